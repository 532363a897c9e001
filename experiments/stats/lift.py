"""Compares the mean per customer of two arms."""

from collections.abc import Sequence

from experiments.stats.estimate import Inconclusive, Result
from experiments.stats.intervals import judge_means
from experiments.stats.moments import Moments
from experiments.stats.poststratification import Stratum, join


def compare_means(
    control: Moments,
    treatment: Moments,
    *,
    confidence: float = 0.95,
    can_be_negative: bool = False,
) -> Result:
    """Estimate the difference and the lift of a mean, for groups that may vary unequally.

    By Welch's t where that holds, and by the rule of `intervals.py` where the outcome is rare.
    Covariates sharpen it (`adjustment.py`) as far as they can be used.

    Args:
        control: Moments of the outcome and then of any covariates known before exposure.
        treatment: Moments of the same columns.
        confidence: Of every interval, between 0 and 1.
        can_be_negative: Whether values may be below zero, so that no error follows from a mean.

    Raises:
        ValueError: The arms have different numbers of columns.
    """
    return compare_means_poststratified(
        [(control, treatment)], confidence=confidence, can_be_negative=can_be_negative
    )


def compare_means_poststratified(
    strata: Sequence[Stratum],
    *,
    confidence: float = 0.95,
    can_be_negative: bool = False,
    shares: Sequence[float] | None = None,
) -> Result:
    """Do the same within strata that were known before exposure (`poststratification.py`).

    Args:
        strata: Of each, the moments of control and treatment.
        confidence: Of every interval, between 0 and 1.
        can_be_negative: As above.
        shares: How much each stratum counts; None is by its customers.

    Raises:
        ValueError: There is no stratum, or their columns differ.
    """
    joined = join(strata, outcomes=1, shares=shares)
    if isinstance(joined, Inconclusive):
        return joined
    pair = joined.joint.read_mean()
    judged = judge_means(pair, confidence=confidence, can_be_rare=not can_be_negative)
    result = judged.result()
    return joined.sign(result, plain=joined.plain.read_mean(), best=pair)
