"""A quantile of values, such as the 90th percentile of basket size or of page load time."""

from functools import reduce
from operator import add
from typing import Annotated, Literal

import msgspec
import numpy as np

from experiments.metrics.base import Shares, Strata, Thresholds, ValueParams
from experiments.metrics.columns import AtMost, Column, Cut, Total
from experiments.stats.estimate import Inconclusive, Result
from experiments.stats.moments import Moments
from experiments.stats.quantile import compare_quantiles_poststratified
from experiments.wording import Unit

# A quantile is found between values.
LEAST_VALUES = 2


class QuantileParams(ValueParams, frozen=True, forbid_unknown_fields=True):
    """As for every metric of values, and which quantile of what.

    Attributes:
        percentile: Between 1 and 99.
        over: Single events' values, or the totals of customers with any event.
    """

    percentile: Annotated[float, msgspec.Meta(ge=1, le=99)] = 50
    over: Literal["events", "customers"] = "events"

    def __post_init__(self) -> None:
        """Refuse to take back single values."""
        super().__post_init__()
        if self.over == "events" and self.less is not None:
            raise ValueError("`less` takes back from customers' totals, not from single events")

    @property
    def values(self) -> AtMost:
        """How many values a customer has."""
        total = Total(
            "sum", self.events, self.taken_back, self.window, from_property=self.from_property or ""
        )
        return AtMost(total, per_customer=self.over == "customers")

    @property
    def level(self) -> float:
        """The quantile, between 0 and 1."""
        return self.percentile / 100


class Quantile:
    """Values of one customer hang together: customers, not values, are what varies by chance."""

    label: str = "Quantile of values"
    params_type: type[QuantileParams] = QuantileParams

    def describe(self, params: QuantileParams) -> str:
        """Say what is measured."""
        of = "single" if params.over == "events" else "customers' total"
        what = f"{of} {params.from_property or 'value'}s of {params.events}"
        return f"{params.percentile:g}th percentile of {what} {params.describe_window()}"

    def unit(self, params: QuantileParams) -> Unit:
        """Say in what it is measured."""
        return params.currency or "number"

    def cuts(self, params: QuantileParams) -> tuple[Cut, ...]:
        """Ask for quantiles over all arms, on both sides of the one that is wanted."""
        return (Cut(params.values, params.level, is_spread=True),)

    def columns(self, params: QuantileParams, thresholds: Thresholds) -> tuple[Column, ...]:
        """Ask for how many values there are, and how many lie below each threshold."""
        values = params.values
        below = (AtMost(values.values, values.per_customer, t) for t in thresholds[0])
        return (values, *below)

    def history(self, params: QuantileParams) -> tuple[Total, ...]:
        """Look at the total before and how many values made it."""
        return (params.values.values, Total("count", params.events))

    def value(
        self, params: QuantileParams, moments: Moments, thresholds: Thresholds
    ) -> float | None:
        """Return what one arm comes to."""
        values = moments.mean[0]
        if not values or not thresholds[0]:
            return None
        shares = [below / values for below in moments.mean[1 : 1 + len(thresholds[0])]]
        return float(np.interp(params.level, shares, thresholds[0]))

    def compare(
        self,
        params: QuantileParams,
        strata: Strata,
        *,
        thresholds: Thresholds,
        confidence: float,
        shares: Shares = None,
    ) -> Result:
        """Compare two quantiles: strata together, unless they count by shares given."""
        if len(thresholds[0]) < LEAST_VALUES:
            return Inconclusive("There are no two different values yet to find a quantile among.")
        if shares is None:
            strata = [tuple(reduce(add, arms) for arms in zip(*strata, strict=True))]
        return compare_quantiles_poststratified(
            strata,
            shares=shares,
            thresholds=thresholds[0],
            level=params.level,
            confidence=confidence,
        )
