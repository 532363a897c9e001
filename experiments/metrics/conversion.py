"""The share of customers who did something at least once."""

from experiments.metrics.base import Aggregate, Params, compare_by_name
from experiments.stats.estimate import Result
from experiments.stats.moments import Moments
from experiments.wording import Unit


class Conversion:
    """Each customer counts 1 with at least one event and 0 without."""

    label: str = "Conversion (share of customers)"
    unit: Unit = "percent"
    params_type: type[Params] = Params

    def describe(self, params: Params) -> str:
        """Say what is measured."""
        window = params.describe_window()
        return f"share of customers with at least one \u201c{params.event}\u201d {window}"

    def aggregates(self, params: Params) -> tuple[Aggregate, ...]:
        """Ask for one column of zeros and ones."""
        return (Aggregate(params.event, "any", params.window_seconds),)

    def compare(self, control: Moments, treatment: Moments, *, confidence: float) -> Result:
        """Compare two shares."""
        return compare_by_name(
            "experiments.stats.proportions:compare_shares",
            control,
            treatment,
            confidence=confidence,
        )
