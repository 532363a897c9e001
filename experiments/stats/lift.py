"""Compares the mean per customer of two arms."""

from collections.abc import Sequence

from experiments.stats.estimate import Inconclusive, Result
from experiments.stats.intervals import judge_means
from experiments.stats.moments import Moments
from experiments.stats.poststratification import Stratum, join


def compare_means(control: Moments, treatment: Moments, *, confidence: float = 0.95) -> Result:
    """Estimate the difference and the lift of a mean, for groups that may vary unequally.

    By Welch's t where that holds, and by the rule of `intervals.py` where the outcome is rare.
    Covariates sharpen it (`adjustment.py`) as far as they can be used.

    Args:
        control: Moments of the outcome and then of any covariates known before exposure.
        treatment: Moments of the same columns.
        confidence: Of every interval, between 0 and 1.

    Raises:
        ValueError: The arms have different numbers of columns.
    """
    return compare_means_poststratified([(control, treatment)], confidence=confidence)


def compare_means_poststratified(strata: Sequence[Stratum], *, confidence: float = 0.95) -> Result:
    """Do the same within strata that were known before exposure (`poststratification.py`).

    Args:
        strata: Of each, the moments of control and treatment.
        confidence: Of every interval, between 0 and 1.

    Raises:
        ValueError: There is no stratum, or their columns differ.
    """
    joined = join(strata, outcomes=1)
    if isinstance(joined, Inconclusive):
        return joined
    pair = joined.joint.read_mean()
    result = judge_means(pair, confidence=confidence).result()
    return joined.sign(result, plain=joined.plain.read_mean(), best=pair)
