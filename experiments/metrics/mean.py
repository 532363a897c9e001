"""The mean per customer of how much or how often, customers with nothing included."""

from typing import Literal

from experiments.metrics.base import Aggregate, Params, compare_by_name
from experiments.stats.estimate import Result
from experiments.stats.moments import Moments
from experiments.wording import Unit


class MeanParams(Params, frozen=True, forbid_unknown_fields=True):
    """As for every metric, and whether to add up the events' values or to count the events."""

    of: Literal["value", "count"] = "value"


class Mean:
    """Each customer counts the total value, or the number, of its events."""

    label: str = "Mean per customer"
    unit: Unit = "number"
    params_type: type[MeanParams] = MeanParams

    def describe(self, params: MeanParams) -> str:
        """Say what is measured."""
        what = "total value" if params.of == "value" else "number"
        window = params.describe_window()
        return f"mean {what} of \u201c{params.event}\u201d per customer {window}"

    def aggregates(self, params: MeanParams) -> tuple[Aggregate, ...]:
        """Ask for one column of totals or counts."""
        how: Literal["sum", "count"] = "sum" if params.of == "value" else "count"
        return (Aggregate(params.event, how, params.window_seconds),)

    def compare(self, control: Moments, treatment: Moments, *, confidence: float) -> Result:
        """Compare two means."""
        return compare_by_name(
            "experiments.stats.lift:compare_means", control, treatment, confidence=confidence
        )
