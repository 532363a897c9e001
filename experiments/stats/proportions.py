"""Compares the share of customers who did something in two arms."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from experiments.stats.estimate import Inconclusive, Result
from experiments.stats.intervals import judge_shares
from experiments.stats.joint import JointMeans, Pair
from experiments.stats.many import compare_shares_many
from experiments.stats.moments import Moments
from experiments.stats.poststratification import Stratum, join

_OUT_OF_RANGE = "not adjusted, as an adjusted share would leave the range from 0 to 1"


def compare_shares(control: Moments, treatment: Moments, *, confidence: float = 0.95) -> Result:
    """Estimate the difference and the lift of a share.

    As `compare_proportions` does, from moments. With covariates known before exposure, shares are
    adjusted (`adjustment.py`), and then judged like those of as many customers as would be needed
    to know them as well without.

    Args:
        control: Moments of a column of zeros and ones, and then of any covariates.
        treatment: Moments of the same columns.
        confidence: Of every interval, between 0 and 1.

    Raises:
        ValueError: The first column holds anything but zeros and ones, or the columns differ.
    """
    return compare_shares_poststratified([(control, treatment)], confidence=confidence)


def compare_shares_poststratified(
    strata: Sequence[Stratum],
    *,
    confidence: float = 0.95,
    shares: Sequence[float] | None = None,
) -> Result:
    """Do the same within strata that were known before exposure (`poststratification.py`).

    Args:
        strata: Of each, the moments of control and treatment.
        confidence: Of every interval, between 0 and 1.
        shares: How much each stratum counts; None is by its customers.

    Raises:
        ValueError: As above, or there is no stratum.
    """
    joined = join(strata, outcomes=1, shares=shares)
    x_c, x_t = (sum(map(_count_ones, arms)) for arms in zip(*strata, strict=True))
    if isinstance(joined, Inconclusive):
        return joined
    n_c, n_t = (int(n) for n in joined.joint.n)
    plain = compare_proportions(x_c=x_c, n_c=n_c, x_t=x_t, n_t=n_t, confidence=confidence)
    before, best = _read_share(joined.plain), _read_share(joined.joint)
    if joined.is_plain or isinstance(plain, Inconclusive):
        return joined.sign(plain, plain=before, best=best)
    if not ((best.values > 0) & (best.values < 1) & (best.own[0] > 0)).all():
        if shares is not None:
            # All of them together would be compared at unequal chances; the most telling alone is.
            most = max(range(len(strata)), key=lambda place: shares[place])
            return compare_shares_poststratified([strata[most]], confidence=confidence)
        return replace(plain, method=f"{plain.method}; {_OUT_OF_RANGE}")
    converted = np.array([x_c, x_t], dtype=np.float64)
    result = judge_shares(best, converted, confidence=confidence).result()
    return joined.sign(result, plain=before, best=best)


def compare_proportions(
    *, x_c: int, n_c: int, x_t: int, n_t: int, confidence: float = 0.95
) -> Result:
    """Estimate the difference and the lift of a share.

    The test pools the arms, as it supposes them equal. The interval of the difference is Newcombe's
    hybrid of two Wilson intervals (1998, method 10). The interval of the lift is symmetric in
    log(p_t / p_c): that of Katz et al. (1978) or, where fewer than ten have converted in an arm,
    the one that agrees with the test. `intervals.py` says why, and what is too little.

    Args:
        x_c: Customers of the control who did it.
        n_c: Customers in the control.
        x_t: Customers of the treatment who did it.
        n_t: Customers in the treatment.
        confidence: Of every interval, between 0 and 1.

    Raises:
        ValueError: More conversions than customers, or a negative count.
    """
    if not (0 <= x_c <= n_c and 0 <= x_t <= n_t):
        raise ValueError(f"expected 0 <= x <= n, not {x_c} of {n_c} and {x_t} of {n_t}")
    return compare_shares_many([n_c, n_t], [x_c, x_t], confidence=confidence).result()


def _read_share(joint: JointMeans) -> Pair:
    """Read the first mean as a share, whose variance p (1 - p) has the divisor n, not n - 1."""
    pair = joint.read_mean()
    scale = np.sqrt(1.0 - 1.0 / joint.n)
    return replace(pair, parts=pair.parts * scale[:, None] * scale)


def _count_ones(arm: Moments) -> int:
    """Recover the number of conversions from the mean of zeros and ones."""
    p, variance = arm.mean[0], arm.covariance[0][0]
    ones = round(arm.n * p)
    expected = ones * (arm.n - ones) / arm.n / (arm.n - 1) if arm.n > 1 else 0.0
    is_binary = math.isclose(arm.n * p, ones, rel_tol=1e-9, abs_tol=1e-6) and math.isclose(
        variance, expected, rel_tol=1e-6, abs_tol=1e-12
    )
    if not is_binary:
        raise ValueError(f"a share needs a first column of zeros and ones, not {arm}")
    return ones
