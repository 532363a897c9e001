"""The share of customers who did something at least once."""

from experiments.metrics.base import Params, Shares, Strata, Thresholds
from experiments.metrics.columns import Column, Cut, Total
from experiments.stats.estimate import Result
from experiments.stats.moments import Moments
from experiments.stats.proportions import compare_shares_poststratified
from experiments.wording import Unit


class Conversion:
    """Each customer counts 1 with at least one event that was not taken back, and 0 without."""

    label: str = "Conversion (share of customers)"
    params_type: type[Params] = Params

    def describe(self, params: Params) -> str:
        """Say what is measured."""
        kept = f" not taken back by \u201c{params.less}\u201d" if params.less else ""
        window = params.describe_window()
        return f"share of customers with at least one {params.events}{kept} {window}"

    def unit(self, params: Params) -> Unit:
        """Say in what it is measured."""
        return "percent"

    def cuts(self, params: Params) -> tuple[Cut, ...]:
        """Ask for none."""
        return ()

    def columns(self, params: Params, thresholds: Thresholds) -> tuple[Column, ...]:
        """Ask for one column of zeros and ones."""
        return (Total("any", params.events, params.taken_back, params.window),)

    def history(self, params: Params) -> tuple[Total, ...]:
        """Look at whether, and then how often, they did it before."""
        return (Total("any", params.events), Total("count", params.events))

    def value(self, params: Params, moments: Moments, thresholds: Thresholds) -> float | None:
        """Return what one arm comes to."""
        return moments.mean[0] if moments.n else None

    def compare(
        self,
        params: Params,
        strata: Strata,
        *,
        thresholds: Thresholds,
        confidence: float,
        shares: Shares = None,
    ) -> Result:
        """Compare two shares."""
        return compare_shares_poststratified(strata, confidence=confidence, shares=shares)
