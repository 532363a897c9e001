"""The mean per customer of how much or how often, customers with nothing included."""

from typing import Literal

from experiments.metrics.base import Cap, Shares, Strata, Thresholds, ValueParams, capped, cuts_of
from experiments.metrics.columns import Column, Cut, Total
from experiments.stats.estimate import Result
from experiments.stats.lift import compare_means_poststratified
from experiments.stats.moments import Moments
from experiments.wording import Unit


class MeanParams(ValueParams, frozen=True, forbid_unknown_fields=True):
    """As for every metric of values, and what is added up.

    Attributes:
        of: The events' values, or their number.
        cap: The most that one customer's total counts for.
    """

    of: Literal["value", "count"] = "value"
    cap: Cap | None = None

    def __post_init__(self) -> None:
        """Refuse to add up a property of what is only counted."""
        super().__post_init__()
        if self.of == "count" and self.from_property is not None:
            raise ValueError("A count of events adds up no property")
        if self.of == "count" and self.currency is not None:
            raise ValueError("A count of events has no currency")

    @property
    def total(self) -> Total:
        """A customer's total without a cap."""
        return Total(
            "sum" if self.of == "value" else "count",
            self.events,
            self.taken_back,
            self.window,
            from_property=self.from_property or "",
        )


class Mean:
    """Each customer counts the total value, or the number, of its events."""

    label: str = "Mean per customer"
    params_type: type[MeanParams] = MeanParams

    def describe(self, params: MeanParams) -> str:
        """Say what is measured."""
        what = f"total {params.from_property or 'value'}" if params.of == "value" else "number"
        less = f" less \u201c{params.less}\u201d" if params.less else ""
        cap = f", {params.cap}" if params.cap else ""
        window = params.describe_window()
        return f"mean {what} of {params.events}{less} per customer {window}{cap}"

    def unit(self, params: MeanParams) -> Unit:
        """Say in what it is measured."""
        return params.currency or "number"

    def cuts(self, params: MeanParams) -> tuple[Cut, ...]:
        """Ask for the percentile to cap at, if there is one."""
        return cuts_of(params.total, params.cap)

    def columns(self, params: MeanParams, thresholds: Thresholds) -> tuple[Column, ...]:
        """Ask for one column of totals or counts."""
        return (capped(params.total, params.cap, thresholds),)

    def history(self, params: MeanParams) -> tuple[Total, ...]:
        """Look at the total before, and then at how often and whether there was anything."""
        counted = [Total("count", params.events), Total("any", params.events)]
        return (params.total, *(counted if params.of == "value" else counted[1:]))

    def value(self, params: MeanParams, moments: Moments, thresholds: Thresholds) -> float | None:
        """Return what one arm comes to."""
        return moments.mean[0] if moments.n else None

    def compare(
        self,
        params: MeanParams,
        strata: Strata,
        *,
        thresholds: Thresholds,
        confidence: float,
        shares: Shares = None,
    ) -> Result:
        """Compare two means."""
        return compare_means_poststratified(strata, confidence=confidence, shares=shares)
