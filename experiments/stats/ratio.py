"""Compares one total over another in two arms, where customers, not events, vary by chance."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.stats.estimate import Inconclusive, Result
from experiments.stats.intervals import judge_means
from experiments.stats.joint import JointMeans, Pair
from experiments.stats.moments import Moments
from experiments.stats.poststratification import Joined, Stratum, join

FloatArray = NDArray[np.float64]

# In each arm, so much is needed to divide by if the arms are alike; in customers worth as much.
FEWEST_UNITS = 10.0
TOO_THIN = (
    "There is too little to divide by: if both arms were alike, at least 10 customers who "
    "contribute to it would have to be expected in each."
)


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


def compare_ratios_poststratified(
    strata: Sequence[Stratum],
    *,
    confidence: float = 0.95,
    shares: Sequence[float] | None = None,
) -> Result:
    """Do the same within strata that were known before exposure (`poststratification.py`).

    The totals are weighted, not the strata's ratios: the ratio is still that of everybody.

    Args:
        strata: Of each, the moments of control and treatment.
        confidence: Of every interval, between 0 and 1.
        shares: How much each stratum counts; None is by its customers.

    Raises:
        ValueError: As above, or there is no stratum.
    """
    joined = join(strata, outcomes=2, shares=shares)
    if isinstance(joined, Inconclusive):
        return joined
    if reason := find_thin_denominator(joined, column=1):
        return Inconclusive(reason)
    pair = read_ratio(joined.joint)
    units = count_units(joined.plain, column=1)
    result = judge_means(pair, confidence=confidence, units=units).result()
    return joined.sign(result, plain=read_ratio(joined.plain), best=pair)


def find_thin_denominator(joined: Joined, *, column: int) -> str | None:
    """Say in which arm there is too little to divide by, or None where there is enough."""
    for arm, name in enumerate(("control", "treatment")):
        if min(joined.plain.means[arm, column], joined.joint.means[arm, column]) <= 0:
            return f"There is nothing to divide by in the {name} yet."
    n = joined.plain.n
    units = count_units(joined.plain, column=column)
    # What both arms have together selects no lucky samples; what each of them has would.
    if units.sum() * n.min() < FEWEST_UNITS * n.sum():
        return TOO_THIN
    return None


def count_units(plain: JointMeans, *, column: int) -> FloatArray:
    """Return of how many equal customers each arm's denominator is worth, shape (2,).

    Kish's effective number (1965), (sum of x)^2 / sum of x^2: those who contribute nothing tell
    nothing of the ratio, and those who contribute much hold it in their hands. A variance of
    residuals whose own variances grow with x has about as many degrees of freedom.
    """
    means = plain.means[:, column]
    squared_errors = plain.parts[:, [0, 1], column, [0, 1], column].sum(axis=0)
    return np.asarray(1.0 / (1.0 / plain.n + squared_errors / means**2))


def read_ratio(joint: JointMeans) -> Pair:
    """Read the first mean over the second."""
    ratios = joint.means[:, 0] / joint.means[:, 1]
    gradients = np.column_stack([np.ones(2), -ratios]) / joint.means[:, 1:2]
    return joint.read(ratios, gradients)
