"""Compares as many pairs of arms at once as there are: metrics by segments by treatments.

One call on arrays costs about as much as a few single comparisons. Those are calls on arrays
without dimensions, so that both give the same numbers.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.stats.comparisons import Comparisons
from experiments.stats.intervals import judge_means, judge_shares
from experiments.stats.joint import Pair

FloatArray = NDArray[np.float64]


def compare_means_many(
    n: ArrayLike, mean: ArrayLike, variance: ArrayLike, *, confidence: float = 0.95
) -> Comparisons:
    """Compare means of treatments with those of controls, by the rule of `intervals.py`.

    Args:
        n: Customers of control and treatment, shape (2, ...).
        mean: Their means, of the same shape.
        variance: Their sample variances (divisor n - 1), of the same shape; 0 where unknown.
        confidence: Of every interval, between 0 and 1.

    Raises:
        ValueError: The shapes differ, or no sample could have these numbers.
    """
    sizes, means, variances = (_read(values) for values in (n, mean, variance))
    if not sizes.shape == means.shape == variances.shape:
        raise ValueError(
            "n, mean and variance need the same shape, "
            f"not {sizes.shape}, {means.shape} and {variances.shape}"
        )
    if not ((sizes >= 0).all() and np.isfinite(means).all() and (variances >= 0).all()):
        raise ValueError("n and variance must be at least 0, and the mean finite")
    pair = Pair.of_independent(
        means,
        variances / np.maximum(sizes, 1.0),
        df=np.maximum(sizes - 1.0, 1.0),
        n=sizes,
    )
    return judge_means(pair, confidence=confidence)


def compare_shares_many(
    n: ArrayLike, converted: ArrayLike, *, confidence: float = 0.95
) -> Comparisons:
    """Compare shares of customers in treatments with those in controls.

    Args:
        n: Customers of control and treatment, shape (2, ...).
        converted: How many of them did it, of the same shape.
        confidence: Of every interval, between 0 and 1.

    Raises:
        ValueError: The shapes differ, more have converted than there are, or a count is negative.
    """
    sizes, counts = _read(n), _read(converted)
    if sizes.shape != counts.shape:
        raise ValueError(
            f"n and converted need the same shape, not {sizes.shape} and {counts.shape}"
        )
    if not ((counts >= 0) & (counts <= sizes)).all():
        raise ValueError("expected 0 <= converted <= n everywhere")
    shares = counts / np.maximum(sizes, 1.0)
    pair = Pair.of_independent(
        shares,
        shares * (1.0 - shares) / np.maximum(sizes, 1.0),
        df=np.full(sizes.shape, np.inf),
        n=sizes,
    )
    return judge_shares(pair, counts, confidence=confidence)


def _read(values: ArrayLike) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0 or len(array) != 2:
        raise ValueError(f"the first axis is control and treatment, but the shape is {array.shape}")
    return array
