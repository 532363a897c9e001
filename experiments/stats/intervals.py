"""The rule by which two numbers become a test, a difference and a lift: stated here, once.

Let m_a be the mean of arm a and e_a its squared error. Much hangs on the *effective count* k_a =
m_a^2 / e_a: the conversions, for a rare share; for a mean, as many conversions as would make a
share as uncertain. For shares, the conversions themselves are taken.

**Errors at the common mean.** A rare outcome that happens less often also varies less, so an arm
that fell short by chance looks surer than it is. If no value is below zero, the variance of a mean
m goes at least like that of a share: v(m) = u m (1 - m / c), where c is the largest value (1 for a
share; else infinite, for that is all that moments say) and u follows from e_a. *Scored* comparisons
use it:

- the test takes both errors at the common mean: for shares, the pooled z-test;
- a mean's own interval holds every m with (m_a - m)^2 <= q^2 v(m): for shares, Wilson's (1927);
- the difference's interval joins those (Zou & Donner 2008): for shares, Newcombe's (1998).

Shares are always scored. Means are where a difference would else be skewed by more than 0.1, which
takes a rare outcome and arms that differ in size or effect; otherwise the test is Welch's and the
intervals are Student's. The skewness is the least that a non-negative outcome with these moments
can have, that of a share. The u of a mean is uncertain in its turn, so an arm has at most twice its
effective count of degrees of freedom (half way between the count seen and that expected).

**Lift.** s^2 = 1 / k_c + 1 / k_t - 2 cov / (m_c m_t) is the squared error of log(m_t / m_c). The
interval is (m_t / m_c) exp(-+ w) - 1, with w = q s where both counts are at least 10 (for shares,
that of Katz et al. 1978), and w = 2 asinh(q s / 2) where one is smaller: that inverts the scored
test, and goes on to a treatment in which nothing happened, where it reaches from -100% to
q^2 u / m_c - 1. Where values can be negative, as they must be for a mean below its own error, it is
the first, or else Fieller's (1954), cut off at -100%, which asks for k_c of at least 10. There is
no lift where the control's mean is below its own error, or where a mean of rare outcomes has, at
the common mean, an effective count below 5.

**Too little.** A share is compared only where, at the common share, both arms expect 10 customers
with and 10 without a conversion. What is expected says nothing about the difference, so it selects
no lucky samples. The arms' own counts would: with 10 conversions expected in each of two arms, and
an answer only where both had 10, intervals would cover 99.9%.

**What came of it.** How many of 100 intervals lie above + below the truth, without an effect (one
of 30% up or down changes little). Of a share, 10 conversions in each of 2 x 2,000 customers:
difference 2.1 + 2.1, lift 2.7 + 2.7; 90 in 18,000 and 10 in 2,000: 3.3 + 1.8, 3.0 + 1.8. Of spend,
lognormal with sigma 0.6, 10 buyers in each of 2 x 2,000: 2.8 + 2.8, 2.4 + 2.5; 90 and 10: 2.3 +
2.8, 1.9 + 3.2, where Welch's t has 0.4 + 8.2. The test errs as often, but in 6.3 of 100 cases with
10 and 10 buyers. Where a few buyers spend nearly everything no moments help: with sigma 1 and 90
and 10 buyers, 1.5 + 7.4; 900 and 100, 1.9 + 4.7.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.stats.comparisons import CodeArray, Comparisons, Lift, Reason
from experiments.stats.joint import Pair
from experiments.stats.tails import ln_p_student, t_quantile

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

LEAST_SKEWNESS = 0.1
LOG_RATIO_COUNT = 10.0
FIELLER_COUNT = 10.0
LIFT_COUNT = 5.0
SHARE_COUNT = 10.0
# One value among zeros has an effective count of exactly 1; leave room for its rounding.
_ONE = 1 - 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class _Nature:
    """What errors are, and how they follow means; of each comparison.

    Attributes:
        squared_errors: As estimated, shape (2, ...).
        df: Their degrees of freedom, shape (2, ...).
        counts: Effective counts, shape (2, ...).
        unit: The u of v(m) = u m (1 - m / c), shape (2, ...).
        inverse_ceiling: 1 / c.
        is_scored: Whether test and difference take errors at the common mean, shape (...).
        is_own_scored: Whether each mean's own interval does, shape (2, ...).
        is_countable: Whether no value can be below zero, as far as moments tell, shape (...).
    """

    squared_errors: FloatArray
    df: FloatArray
    counts: FloatArray
    unit: FloatArray
    inverse_ceiling: float
    is_scored: BoolArray
    is_own_scored: BoolArray
    is_countable: BoolArray

    @property
    def is_share(self) -> bool:
        """Whether numbers are shares, whose errors follow from themselves and so are sure."""
        return self.inverse_ceiling > 0

    def at(self, mean: FloatArray) -> FloatArray:
        """Return the squared errors of means that were equal to this, shape (2, ...)."""
        return self.unit * mean * (1.0 - self.inverse_ceiling * mean)

    def find_limits(self, m: FloatArray, q: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the least and the largest means within q of their own errors of those found."""
        squared = q * q * self.unit
        width = 1.0 + squared * self.inverse_ceiling
        centre = (m + squared / 2.0) / width
        reach = np.sqrt(q * q * self.at(m) + squared * squared / 4.0) / width
        high = centre + reach
        return np.maximum(centre - reach, 0.0), np.minimum(high, 1.0) if self.is_share else high


def judge_means(pair: Pair, *, confidence: float, can_be_rare: bool = True) -> Comparisons:
    """Compare means, ratios or other numbers without an upper limit.

    Args:
        pair: The numbers.
        confidence: Of every interval, between 0 and 1.
        can_be_rare: Whether they are means of outcomes that may be rare, so that errors follow
            means.
    """
    m, n = pair.values, pair.n
    e, df = pair.own
    with np.errstate(all="ignore"):
        counts = np.where(m > 0, (m / np.sqrt(e)) ** 2, 0.0)
        is_empty = (m == 0) & (e == 0)
        # What happened to nobody in one arm is as variable as in the other.
        unit = e / m
        unit = np.where(is_empty, unit[::-1] * n[::-1] / n, unit)
        is_known = (counts >= _ONE) | is_empty
        is_countable = is_known[0] & is_known[1] & ~(is_empty[0] & is_empty[1]) & can_be_rare
        # The skewness of each mean, if its outcome is some value or nothing.
        least = np.maximum(1.0 - counts / n, 0.0) / np.sqrt(counts)
        least = np.where((counts > 0) & (counts < n), least, 0.0)
        total = e[0] + e[1]
        third = least * (e / total) ** 1.5
        skewness = np.abs(third[1] - third[0])
    nature = _Nature(
        squared_errors=e,
        df=df,
        counts=counts,
        unit=unit,
        inverse_ceiling=0.0,
        is_scored=is_countable & (skewness > LEAST_SKEWNESS),
        is_own_scored=is_countable & ((least > LEAST_SKEWNESS) | is_empty),
        is_countable=is_countable,
    )
    return _judge(pair, nature, [(total == 0, Reason.NO_VARIATION)], confidence=confidence)


def judge_shares(pair: Pair, converted: FloatArray, *, confidence: float) -> Comparisons:
    """Compare shares of customers.

    Args:
        pair: The shares.
        converted: How many customers did it, shape (2, ...).
        confidence: Of every interval, between 0 and 1.
    """
    m, n = pair.values, pair.n
    e, df = pair.own
    with np.errstate(all="ignore"):
        inside = m * (1.0 - m)
        unit = np.where((e > 0) & (inside > 0), e / inside, 1.0 / n)
    always = np.ones(m.shape[1:], dtype=bool)
    nature = _Nature(
        squared_errors=e,
        df=df,
        counts=converted,
        unit=unit,
        inverse_ceiling=1.0,
        is_scored=always,
        is_own_scored=np.ones(m.shape, dtype=bool),
        is_countable=always,
    )
    everyone, fewest = n[0] + n[1], np.minimum(n[0], n[1])
    did = converted[0] + converted[1]
    obstacles = [
        (did == 0, Reason.NONE_CONVERTED),
        (did == everyone, Reason.ALL_CONVERTED),
        (fewest * did < SHARE_COUNT * everyone, Reason.FEW_CONVERTED),
        (fewest * (everyone - did) < SHARE_COUNT * everyone, Reason.FEW_LEFT),
    ]
    return _judge(pair, nature, obstacles, confidence=confidence)


def _judge(
    pair: Pair,
    nature: _Nature,
    obstacles: Sequence[tuple[BoolArray, Reason]],
    *,
    confidence: float,
) -> Comparisons:
    """Test, estimate and lift; but not where one of the obstacles holds."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}")
    m, n, u = pair.values, pair.n, nature.unit
    too_few = [
        (n[0] == 0, Reason.NOBODY_IN_CONTROL),
        (n[0] == 1, Reason.ONE_IN_CONTROL),
        (n[1] == 0, Reason.NOBODY_IN_TREATMENT),
        (n[1] == 1, Reason.ONE_IN_TREATMENT),
    ]
    reason = _choose([*too_few, *obstacles], otherwise=Reason.NONE)
    with np.errstate(all="ignore"):
        difference = m[1] - m[0]
        squared_error, df = pair.combine(-1.0, 1.0)
        common = (m[0] * u[1] + m[1] * u[0]) / (u[0] + u[1])
        expected = common / u
        scored_df = (
            df if nature.is_share else np.fmin(df, _df_of_counts(u, (expected + nature.counts) / 2))
        )
        if nature.is_scored.any():
            scored = _error_at(common, pair, nature)
            squared_error = np.where(nature.is_scored, scored, squared_error)
            df = np.where(nature.is_scored, scored_df, df)
        test_error = np.sqrt(squared_error)
        ln_p_value = ln_p_student(difference / test_error, df)
        q = t_quantile(df, confidence=confidence)
        below, above = _reach(pair, nature, q, free=q * test_error)
        own_low, own_high = _own_intervals(pair, nature, q, confidence=confidence)
        lifts = _lift(pair, nature, expected, scored_df, confidence=confidence)

    is_known = reason == Reason.NONE
    has_lift = is_known & (lifts.how <= Lift.FIELLER)
    keep = _keeper(is_known)
    keep_lift = _keeper(has_lift)
    return Comparisons(
        n=n,
        means=m,
        means_low=keep(own_low),
        means_high=keep(own_high),
        difference=keep(difference),
        difference_low=keep(difference - below),
        difference_high=keep(difference + above),
        relative=keep_lift(lifts.point),
        relative_low=keep_lift(lifts.low),
        relative_high=keep_lift(lifts.high),
        p_value=keep(np.exp(ln_p_value)),
        ln_p_value=keep(ln_p_value),
        test_error=keep(test_error),
        test_df=keep(df),
        reason=reason,
        lift=lifts.how,
        is_scored=nature.is_scored,
        confidence=confidence,
        is_share=nature.is_share,
    )


def _error_at(common: FloatArray, pair: Pair, nature: _Nature) -> FloatArray:
    """Return the squared error of the difference if both means are the same."""
    each = nature.at(common)
    # A covariance grows with the errors; a mean of nothing but zeros has neither.
    scale = np.sqrt(each / nature.squared_errors)
    covariance = pair.covariance * scale[0] * scale[1]
    covariance = np.where(pair.covariance == 0, 0.0, covariance)
    return np.asarray(each[0] + each[1] - 2.0 * covariance)


def _choose(cases: Sequence[tuple[BoolArray, int]], *, otherwise: int) -> CodeArray:
    """Take the code of the first case that holds, everywhere."""
    chosen = np.asarray(int(otherwise))
    for condition, code in reversed(cases):
        chosen = np.where(condition, int(code), chosen)
    return chosen.astype(np.int8)


def _keeper(where: BoolArray) -> Callable[[FloatArray], FloatArray]:
    """Return a function that makes NaN of what is not to be kept."""
    if where.all():
        return np.asarray
    return lambda values: np.where(where, values, np.nan)


def _df_of_counts(weights: FloatArray, counts: FloatArray) -> FloatArray:
    """Return Satterthwaite's degrees of freedom if each error has twice its count; at least 1."""
    shares = weights / (weights[0] + weights[1])
    inverse = shares * shares / (2.0 * counts)
    return np.asarray(np.maximum(1.0 / (inverse[0] + inverse[1]), 1.0))


def _reach(
    pair: Pair, nature: _Nature, q: FloatArray, *, free: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return how far the difference's interval reaches down and up."""
    if not nature.is_scored.any():
        return free, free
    low, high = nature.find_limits(pair.values, q)
    down, up = pair.values - low, high - pair.values
    e = nature.squared_errors
    correlation = pair.covariance / np.sqrt(e[0] * e[1])
    correlation = np.where(pair.covariance == 0, 0.0, correlation)

    def join(x: FloatArray, y: FloatArray) -> FloatArray:
        joined = np.sqrt(x * x + y * y - 2.0 * correlation * x * y)
        return np.where(nature.is_scored, joined, free)

    return join(down[1], up[0]), join(up[1], down[0])


def _own_intervals(
    pair: Pair, nature: _Nature, q: FloatArray, *, confidence: float
) -> tuple[FloatArray, FloatArray]:
    """Return the lower and upper ends of each mean's own interval, both of shape (2, ...)."""
    m, df, is_scored = pair.values, nature.df, nature.is_own_scored
    if not nature.is_share:
        df = np.where(is_scored, np.fmin(df, 2.0 * nature.counts), df)
    own = t_quantile(df, confidence=confidence)
    free = own * np.sqrt(nature.squared_errors)
    if not is_scored.any():
        return m - free, m + free
    # A mean of nothing but zeros borrows the other arm's variance, and so its certainty.
    low, high = nature.find_limits(m, np.where(m == 0, q, own))
    return np.where(is_scored, low, m - free), np.where(is_scored, high, m + free)


@dataclass(frozen=True, slots=True, eq=False)
class _Lifts:
    """Lifts with their intervals, and how they were found; each of shape (...)."""

    point: FloatArray
    low: FloatArray
    high: FloatArray
    how: CodeArray


def _lift(
    pair: Pair,
    nature: _Nature,
    expected: FloatArray,
    scored_df: FloatArray,
    *,
    confidence: float,
) -> _Lifts:
    m, counts = pair.values, nature.counts
    ratio = m[1] / m[0]
    squared, df = pair.combine(-1.0 / m[0], 1.0 / m[1])
    if not nature.is_share:
        df = np.fmin(df, _df_of_counts(1.0 / counts, counts))
    is_log = (counts[0] >= LOG_RATIO_COUNT) & (counts[1] >= LOG_RATIO_COUNT)
    q = t_quantile(np.where(is_log, df, scored_df), confidence=confidence)
    width = q * np.sqrt(squared)
    width = np.where(is_log, width, 2.0 * np.arcsinh(width / 2.0))
    low, high = ratio * np.exp(-width), ratio * np.exp(width)
    is_empty = nature.is_countable & (m[1] == 0)
    if is_empty.any():
        low = np.where(is_empty, 0.0, low)
        high = np.where(is_empty, q * q * nature.unit[1] / m[0], high)
    cases = [
        (~((m[0] > 0) & (counts[0] >= _ONE)), Lift.NO_BASE),
        (nature.is_countable & (np.minimum(*expected) < LIFT_COUNT), Lift.TOO_RARE),
        # Two customers know so little of their variance that no float holds the upper end.
        (is_log & np.isinf(high) & np.isfinite(ratio), Lift.TOO_RARE),
        (is_log, Lift.LOG_RATIO),
        (nature.is_countable, Lift.SCORE),
    ]
    if not (is_log | nature.is_countable).all():
        bounds = _fieller(pair, nature, ratio, confidence=confidence)
        is_open = ~((counts[0] >= FIELLER_COUNT) & (bounds[0] <= bounds[1]))
        low = np.where(is_log | nature.is_countable, low, np.maximum(bounds[0], 0.0))
        high = np.where(is_log | nature.is_countable, high, bounds[1])
        cases += [(is_open, Lift.NO_BASE), (bounds[1] < 0, Lift.BELOW_ZERO)]
    how = _choose(cases, otherwise=Lift.FIELLER)
    return _Lifts(np.maximum(ratio, 0.0) - 1.0, low - 1.0, high - 1.0, how)


def _fieller(
    pair: Pair, nature: _Nature, ratio: FloatArray, *, confidence: float
) -> tuple[FloatArray, FloatArray]:
    """Return the ratios r at which m_t - r m_c is within q of its errors of zero; NaN if open."""
    m, e = pair.values, nature.squared_errors
    _, df = pair.combine(-ratio, 1.0)
    squared = t_quantile(df, confidence=confidence) ** 2
    a = m[0] ** 2 - squared * e[0]
    b = m[0] * m[1] - squared * pair.covariance
    c = m[1] ** 2 - squared * e[1]
    root = np.sqrt(b * b - a * c)
    a = np.where(a > 0, a, np.nan)
    return (b - root) / a, (b + root) / a
