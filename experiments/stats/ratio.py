"""Compares one total over another in two arms, where customers, not events, vary by chance."""

from collections.abc import Sequence

import numpy as np

from experiments.stats.estimate import Inconclusive, Result
from experiments.stats.intervals import judge_means
from experiments.stats.joint import JointMeans, Pair
from experiments.stats.moments import Moments
from experiments.stats.poststratification import Stratum, join

# The delta method takes the denominator for nearly certain: its mean over its error, squared.
_FEWEST_BELOW = 10.0


def compare_ratios(control: Moments, treatment: Moments, *, confidence: float = 0.95) -> Result:
    """Estimate the difference and the lift of a ratio of two totals, such as revenue per order.

    A ratio R = y / x of two means per customer varies like the mean of (y - R x) / x (the delta
    method), whatever one customer's events have to do with each other. It is then judged like a
    mean, by the rule of `intervals.py`.

    Args:
        control: Moments of numerator and denominator per customer, and then of any covariates
            known before exposure.
        treatment: Moments of the same columns.
        confidence: Of every interval, between 0 and 1.

    Raises:
        ValueError: The arms have different numbers of columns, or fewer than two.
    """
    return compare_ratios_poststratified([(control, treatment)], confidence=confidence)


def compare_ratios_poststratified(strata: Sequence[Stratum], *, confidence: float = 0.95) -> Result:
    """Do the same within strata that were known before exposure (`poststratification.py`).

    The totals are weighted, not the strata's ratios: the ratio is still that of everybody.

    Args:
        strata: Of each, the moments of control and treatment.
        confidence: Of every interval, between 0 and 1.

    Raises:
        ValueError: As above, or there is no stratum.
    """
    joined = join(strata, outcomes=2)
    if isinstance(joined, Inconclusive):
        return joined
    if reason := find_thin_denominator(joined.joint, column=1) or find_thin_denominator(
        joined.plain, column=1
    ):
        return Inconclusive(reason)
    pair = read_ratio(joined.joint)
    result = judge_means(pair, confidence=confidence).result()
    return joined.sign(result, plain=read_ratio(joined.plain), best=pair)


def find_thin_denominator(joint: JointMeans, *, column: int) -> str | None:
    """Say in which arm there is too little to divide by, or None where there is enough."""
    for arm, name in enumerate(("control", "treatment")):
        mean = joint.means[arm, column]
        squared_error = joint.parts[:, arm, column, arm, column].sum()
        if mean <= 0:
            return f"There is nothing to divide by in the {name} yet."
        if mean**2 < _FEWEST_BELOW * squared_error:
            return f"There is too little to divide by in the {name} yet."
    return None


def read_ratio(joint: JointMeans) -> Pair:
    """Read the first mean over the second."""
    ratios = joint.means[:, 0] / joint.means[:, 1]
    gradients = np.column_stack([np.ones(2), -ratios]) / joint.means[:, 1:2]
    return joint.read(ratios, gradients)
