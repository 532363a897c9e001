"""The rule by which two numbers become a test, a difference and a lift: stated here, once.

Let m_a be the mean of arm a and e_a its squared error. Much hangs on the *effective count* k_a =
m_a^2 / e_a: the conversions, for a rare share; for a mean, as many conversions as would make a
share as uncertain. For shares, the conversions themselves are taken.

**Errors that follow the mean.** A rare outcome that happens less often also varies less, so an arm
that fell short by chance looks surer than it is. A share's error follows from the share itself,
v(m) = u m (1 - m). Of a mean, a third of the squared error is the arm's own, and two thirds are
what the values of both arms say together; that part goes with the mean if no value is below zero
(`errors.py` says why these parts). *Pooled* comparisons use such errors:

- the test takes both at the common mean: for shares, the pooled z-test;
- each mean's limits are where (m_a - m)^2 = q^2 v(m): for shares, Wilson's (1927);
- the difference's interval joins those (Zou & Donner 2008): for shares, Newcombe's (1998).

Shares are always pooled. Means are where the difference would else be skewed by more than 0.05,
which takes a rare outcome and arms that differ in size; otherwise the test is Welch's and the
intervals are Student's. The skewness is the least that a non-negative outcome with the moments of
both arms together can have, that of a share. A ratio, whose values may have any sign, is taken to
be skewed like single values of an exponential, and has no more degrees of freedom than customers
who contribute to its denominator (`ratio.py`). A single mean's own interval is Wilson's way with
its own variance, u m, and at most twice its effective count of degrees of freedom.

**Lift.** s^2 = 1 / k_c + 1 / k_t - 2 cov / (m_c m_t) is the squared error of log(m_t / m_c). The
interval is (m_t / m_c) exp(-+ w) - 1, with w = q s where both counts are at least 10 (for shares,
that of Katz et al. 1978), and w = 2 asinh(q s / 2) where one is smaller: that inverts the scored
test, and goes on to a treatment in which nothing happened, where it reaches from -100% to
q^2 u / m_c - 1. A pooled ratio has Fieller's, by errors that take the treatment's values to be a
multiple of the control's. Where values can be negative, as they must be for a mean below its own
error, it is the first, or else Fieller's (1954), cut off at -100%, which asks for k_c of at least
10. There is no lift where the control's mean is below its own error, or where a mean of rare
outcomes has, at the common mean, an effective count below 5.

**Too little.** A share is compared only where, at the common share, both arms expect 10 customers
with and 10 without a conversion. What is expected says nothing about the difference, so it selects
no lucky samples. The arms' own counts would: with 10 conversions expected in each of two arms, and
an answer only where both had 10, intervals would cover 99.9%.

**What came of it.** How many of 100 intervals lie above + below the truth, without an effect (one
of 30% up or down changes little). Of a share, 10 conversions in each of 2 x 2,000 customers:
difference 2.1 + 2.1, lift 2.7 + 2.7; 90 in 18,000 and 10 in 2,000: 3.3 + 1.8, 3.0 + 1.8. Of spend,
lognormal with sigma 0.6, 10 buyers in each of 2 x 2,000: 2.2 + 2.4, 2.9 + 3.0; 90 and 10: 2.1 +
2.4, 2.3 + 2.9, where Welch's t has 0.4 + 8.2. The tests err as often as their differences miss.
Where a few buyers spend nearly everything lifts remain off: with sigma 1 and 90 and 10 buyers 1.7 +
5.2 (of the fifth that have one), 900 and 100 buyers 2.0 + 3.6; differences have 1.7 + 1.3 and 2.3 +
2.4. An effect that multiplies what 10 buyers spend by 1.3, instead of bringing more of them, makes
differences miss 1.4 + 3.9, and 2.4 + 4.1 with 90 and 10.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.stats.comparisons import Comparisons, Lift, Reason, choose
from experiments.stats.errors import ONE_VALUE, Errors, Variance, blend, blend_multiplied
from experiments.stats.joint import Pair, add_up
from experiments.stats.relative import find_lifts
from experiments.stats.tails import ln_p_student, t_quantile

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

LEAST_SKEWNESS, OWN_SKEWNESS, VALUE_SKEWNESS = 0.05, 0.1, 1.0
SHARE_COUNT = 10.0


def judge_means(
    pair: Pair, *, confidence: float, can_be_rare: bool = True, units: FloatArray | None = None
) -> Comparisons:
    """Compare means, ratios or other numbers without an upper limit.

    Args:
        pair: The numbers.
        confidence: Of every interval, between 0 and 1.
        can_be_rare: Whether they are means of outcomes that may be rare, so that errors follow
            means.
        units: Of how many independent values each is the mean, shape (2, ...), where that is not
            of as many as there are customers.
    """
    m, n = pair.values, pair.n
    e, df = pair.own
    most_df: FloatArray | float = np.inf
    with np.errstate(all="ignore"):
        counts = np.where(m > 0, (m / np.sqrt(e)) ** 2, 0.0)
        is_empty = (m == 0) & (e == 0)
        # What happened to nobody in one arm is as variable as in the other.
        unit = e / m
        unit = np.where(is_empty, unit[::-1] * n[::-1] / n, unit)
        is_known = (counts >= ONE_VALUE) | is_empty
        is_countable = is_known[0] & is_known[1] & ~(is_empty[0] & is_empty[1]) & can_be_rare
        least = _skewness_if_rare(counts, n)
        values = (n if units is None else units) / pair.inflation
        # What arms share cancels in a difference, and neither could lend it to the other.
        apart = np.maximum(e - pair.covariance, 0.0)
        blended, common, alike = blend(
            m, apart, values, is_countable=is_countable, is_multiplied=units is not None
        )
        expected = common * common / alike
        # Of what both arms together say: by their own errors, lucky samples would choose the test.
        skewed = _skewness_if_rare(expected, n)
        can_be_skewed, multiplied = is_countable, None
        if units is not None:
            can_be_skewed = np.ones_like(is_countable)
            multiplied = blend_multiplied(apart, values) + pair.covariance
            share = n / (n[0] + n[1])
            skewed = np.maximum(skewed, VALUE_SKEWNESS / np.sqrt((units[0] + units[1]) * share))
        # Errors fall with customers, so the smaller arm has most of what the difference has.
        third = skewed * (n[::-1] / (n[0] + n[1])) ** 1.5
        is_pooled = can_be_skewed & (np.abs(third[1] - third[0]) > LEAST_SKEWNESS)
        if units is not None:
            each, both = np.maximum(units - 1.0, 1.0), np.maximum(units[0] + units[1] - 2.0, 1.0)
            df = np.fmin(df, each)
            most_df = np.where(is_pooled, both, add_up(apart, each)[1])
    errors = Errors(
        squared_errors=e,
        df=df,
        most_df=most_df,
        counts=counts,
        expected=expected,
        own=Variance(slope=unit),
        common=common,
        blended=blended,
        is_pooled=is_pooled,
        is_own_scored=is_countable & ((least > OWN_SKEWNESS) | is_empty),
        is_countable=is_countable,
        multiplied=multiplied,
    )
    return _judge(pair, errors, [(e[0] + e[1] == 0, Reason.NO_VARIATION)], confidence=confidence)


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
        product = np.sqrt(e[0] * e[1])
        correlation = np.where(product > 0, pair.covariance / product, 0.0)
        unit = np.where((e > 0) & (inside > 0), e / inside, 1.0 / n)
        common = (m[0] * unit[1] + m[1] * unit[0]) / (unit[0] + unit[1])
    always = np.ones(m.shape[1:], dtype=bool)
    variance = Variance(slope=unit, curve=-unit, ceiling=1.0)
    errors = Errors(
        squared_errors=e,
        df=df,
        most_df=np.inf,
        counts=converted,
        expected=common / unit,
        own=variance,
        common=common,
        blended=variance,
        correlation=correlation,
        is_pooled=always,
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
    return _judge(pair, errors, obstacles, confidence=confidence)


def _judge(
    pair: Pair,
    errors: Errors,
    obstacles: Sequence[tuple[BoolArray, Reason]],
    *,
    confidence: float,
) -> Comparisons:
    """Test, estimate and lift; but not where one of the obstacles holds."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}")
    m, n = pair.values, pair.n
    too_few = [
        (n[0] == 0, Reason.NOBODY_IN_CONTROL),
        (n[0] == 1, Reason.ONE_IN_CONTROL),
        (n[1] == 0, Reason.NOBODY_IN_TREATMENT),
        (n[1] == 1, Reason.ONE_IN_TREATMENT),
    ]
    reason = choose([*too_few, *obstacles], otherwise=Reason.NONE)
    with np.errstate(all="ignore"):
        difference = m[1] - m[0]
        squared_error, df = pair.combine(-1.0, 1.0)
        df = np.fmin(df, errors.most_df)
        if errors.is_pooled.any():
            alike = _error_if_alike(pair, errors)
            squared_error = np.where(errors.is_pooled, alike, squared_error)
        test_error = np.sqrt(squared_error)
        ln_p_value = ln_p_student(difference / test_error, df)
        q = t_quantile(df, confidence=confidence)
        below, above = _reach(pair, errors, q, free=q * test_error)
        own_low, own_high = _own_intervals(pair, errors, q, confidence=confidence)
        lifts = find_lifts(pair, errors, test_df=df, confidence=confidence)

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
        is_pooled=errors.is_pooled,
        confidence=confidence,
        is_share=errors.is_share,
    )


def _skewness_if_rare(counts: FloatArray, n: FloatArray) -> FloatArray:
    """Return the skewness of a mean with such a count, if its outcome is some value or nothing."""
    least = np.maximum(1.0 - counts / n, 0.0) / np.sqrt(counts)
    return np.where((counts > 0) & (counts < n), least, 0.0)


def _error_if_alike(pair: Pair, errors: Errors) -> FloatArray:
    """Return the squared error of the difference if both means are the same."""
    each = errors.blended.at(errors.common)
    # A covariance grows with the errors.
    covariance = errors.correlation * np.sqrt(each[0] * each[1])
    return np.asarray(each[0] + each[1] - 2.0 * covariance)


def _keeper(where: BoolArray) -> Callable[[FloatArray], FloatArray]:
    """Return a function that makes NaN of what is not to be kept."""
    if where.all():
        return np.asarray
    return lambda values: np.where(where, values, np.nan)


def _reach(
    pair: Pair, errors: Errors, q: FloatArray, *, free: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return how far the difference's interval reaches down and up."""
    if not errors.is_pooled.any():
        return free, free
    low, high = errors.blended.find_limits(pair.values, q)
    down, up = pair.values - low, high - pair.values

    def join(x: FloatArray, y: FloatArray) -> FloatArray:
        joined = np.sqrt(x * x + y * y - 2.0 * errors.correlation * x * y)
        return np.where(errors.is_pooled, joined, free)

    return join(down[1], up[0]), join(up[1], down[0])


def _own_intervals(
    pair: Pair, errors: Errors, q: FloatArray, *, confidence: float
) -> tuple[FloatArray, FloatArray]:
    """Return the lower and upper ends of each mean's own interval, both of shape (2, ...)."""
    m, df, is_scored = pair.values, errors.df, errors.is_own_scored
    if not errors.is_share:
        df = np.where(is_scored, np.fmin(df, 2.0 * errors.counts), df)
    own = t_quantile(df, confidence=confidence)
    free = own * np.sqrt(errors.squared_errors)
    if not is_scored.any():
        return m - free, m + free
    # A mean of nothing but zeros borrows the other arm's variance, and so its certainty.
    low, high = errors.own.find_limits(m, np.where(m == 0, q, own))
    return np.where(is_scored, low, m - free), np.where(is_scored, high, m + free)
