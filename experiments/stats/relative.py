"""The interval of a lift, or why there is no lift: the part of the rule of `intervals.py`."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.stats.comparisons import CodeArray, Lift, choose
from experiments.stats.errors import ONE_VALUE, Errors
from experiments.stats.joint import Pair
from experiments.stats.tails import t_quantile

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

LOG_RATIO_COUNT = 10.0
FIELLER_COUNT = 10.0
LIFT_COUNT = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Lifts:
    """Lifts with their intervals, and how they were found; each of shape (...)."""

    point: FloatArray
    low: FloatArray
    high: FloatArray
    how: CodeArray


def find_lifts(pair: Pair, errors: Errors, *, test_df: FloatArray, confidence: float) -> Lifts:
    """Find the lift of every comparison.

    Args:
        pair: The means.
        errors: Theirs.
        test_df: The degrees of freedom of the test, shape (...).
        confidence: Of the intervals.
    """
    m, counts, expected, u = (
        pair.values,
        errors.counts,
        errors.expected,
        np.asarray(errors.own.slope),
    )
    ratio = m[1] / m[0]
    squared, df = pair.combine(-1.0 / m[0], 1.0 / m[1])
    df, scored_df = np.fmin(df, errors.most_df), test_df
    if not errors.is_share:
        df = np.fmin(df, _df_of_counts(1.0 / counts, counts))
        scored_df = np.fmin(test_df, _df_of_counts(u, (expected + counts) / 2))
    is_log = (counts[0] >= LOG_RATIO_COUNT) & (counts[1] >= LOG_RATIO_COUNT)
    q = t_quantile(np.where(is_log, df, scored_df), confidence=confidence)
    width = q * np.sqrt(squared)
    width = np.where(is_log, width, 2.0 * np.arcsinh(width / 2.0))
    low, high = ratio * np.exp(-width), ratio * np.exp(width)
    is_empty = errors.is_countable & (m[1] == 0)
    if is_empty.any():
        low = np.where(is_empty, 0.0, low)
        high = np.where(is_empty, q * q * u[1] / m[0], high)
    cases = [
        (~((m[0] > 0) & (counts[0] >= ONE_VALUE)), Lift.NO_BASE),
        (errors.is_countable & (np.minimum(*expected) < LIFT_COUNT), Lift.TOO_RARE),
        # Two customers know so little of their variance that no float holds the upper end.
        (is_log & np.isinf(high) & np.isfinite(ratio), Lift.TOO_RARE),
    ]
    if errors.multiplied is not None and errors.is_pooled.any():
        bounds = _fieller(pair, errors.multiplied, q=t_quantile(test_df, confidence=confidence))
        is_closed = errors.is_pooled & (bounds[0] > 0) & (bounds[0] <= bounds[1])
        is_closed &= np.minimum(*expected) >= FIELLER_COUNT
        low, high = np.where(is_closed, bounds, [low, high])
        cases.append((is_closed, Lift.FIELLER))
    cases += [(is_log, Lift.LOG_RATIO), (errors.is_countable, Lift.SCORE)]
    if not (is_log | errors.is_countable).all():
        _, df = pair.combine(-ratio, 1.0)
        bounds = _fieller(pair, errors.squared_errors, q=t_quantile(df, confidence=confidence))
        is_open = ~((counts[0] >= FIELLER_COUNT) & (bounds[0] <= bounds[1]))
        low = np.where(is_log | errors.is_countable, low, np.maximum(bounds[0], 0.0))
        high = np.where(is_log | errors.is_countable, high, bounds[1])
        cases += [(is_open, Lift.NO_BASE), (bounds[1] < 0, Lift.BELOW_ZERO)]
    how = choose(cases, otherwise=Lift.FIELLER)
    return Lifts(np.maximum(ratio, 0.0) - 1.0, low - 1.0, high - 1.0, how)


def _fieller(pair: Pair, e: FloatArray, *, q: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the ratios r at which m_t - r m_c is within q of its errors of zero; NaN if open."""
    m, squared = pair.values, q * q
    a = m[0] ** 2 - squared * e[0]
    b = m[0] * m[1] - squared * pair.covariance
    c = m[1] ** 2 - squared * e[1]
    root = np.sqrt(b * b - a * c)
    a = np.where(a > 0, a, np.nan)
    return (b - root) / a, (b + root) / a


def _df_of_counts(weights: FloatArray, counts: FloatArray) -> FloatArray:
    """Return Satterthwaite's degrees of freedom if each error has twice its count; at least 1."""
    shares = weights / (weights[0] + weights[1])
    inverse = shares * shares / (2.0 * counts)
    return np.asarray(np.maximum(1.0 / (inverse[0] + inverse[1]), 1.0))
