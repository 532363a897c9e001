"""Compares a quantile of values in two arms, where customers, not values, vary by chance.

Thresholds t_1 < ... < t_G are settled beforehand, the same for both arms. The share of an arm's
values that are at most t_j is a ratio of two totals,

    F(t_j) = values at most t_j / values,

so that it allows for customers with several values, which hang together (the delta method). The
quantile is where F, interpolated, crosses the level. Its interval holds every t at which F lies
within q standard errors of the level (Woodruff 1952): in the tail of the values it reaches further
out than in, and the distance to either end, over q, is the quantile's standard error on that side.
A difference's lower end is reached where the treatment's quantile is lower and the control's
higher than they seem, so those are the errors that it takes, and the upper end the other two; the
test takes those that face no difference.

With 150 customers an arm, each with some values that hang together, or with 1,800 and 200, 95%
intervals of the difference of 90th percentiles missed 2.9 + 2.7 and 3.2 + 2.7 percent, below and
above; one error for both sides, half the length over q, made that 0.8 + 2.0 and 1.1 + 5.1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from experiments.stats.errors import blend
from experiments.stats.estimate import Inconclusive, Interval, Result
from experiments.stats.intervals import judge_means
from experiments.stats.joint import JointMeans, Pair
from experiments.stats.moments import Moments
from experiments.stats.poststratification import Stratum, join
from experiments.stats.ratio import count_units, find_thin_denominator
from experiments.stats.tails import t_quantile

FloatArray = NDArray[np.float64]

METHOD = "Quantiles and their errors from Woodruff's intervals, with customers as clusters"
SCORE = "t-test of the shares of values below the quantile of both arms together"

# Thresholds lie so many standard errors from the quantile, on both sides, in the logarithm of the
# odds. The far ones are for arms that hold a tenth of the customers, for values that come in
# clusters, and for effects.
_STEPS = np.array([1.0, 2.5, 5.0, 10.0, 20.0, 40.0])

# Of a reach's square, so much is an arm's own where arms are small and unequal. A third would be
# right for errors that are the same on both sides (`errors.py`); these take in half of the
# skewness by themselves.
_OWN_PART = 2.0 / 3.0

_ARMS = ("control", "treatment")
_OUTSIDE = "The quantile of the {arm} lies outside the thresholds at which values were counted."
_OPEN = (
    "There are too few values yet: the interval of the {arm}'s quantile reaches beyond the "
    "thresholds at which values were counted."
)


def quantile_levels(level: float, n: int) -> tuple[float, ...]:
    """Return the levels of the pooled quantiles to take as thresholds, at most 13, increasing.

    Args:
        level: Of the quantile to be compared, between 0 and 1.
        n: How many values there are in all arms together, at least 1.

    Raises:
        ValueError: The level is not between 0 and 1, or there is no value.
    """
    if not 0 < level < 1 or n < 1:
        raise ValueError(f"a quantile needs 0 < level < 1 and n >= 1, not {level} and {n}")
    error = 1.0 / math.sqrt(n * level * (1.0 - level))
    levels = expit(logit(level) + error * np.concatenate([-_STEPS, _STEPS]))
    # Beyond the least and the largest value there is nothing to learn.
    least = min(0.5 / n, level / 2, (1.0 - level) / 2)
    return tuple(sorted({level, *np.clip(levels, least, 1.0 - least).tolist()}))


def compare_quantiles(
    control: Moments,
    treatment: Moments,
    *,
    thresholds: Sequence[float],
    level: float,
    confidence: float = 0.95,
) -> Result:
    """Estimate the difference and the lift of a quantile of values, several to a customer or none.

    Args:
        control: Moments of how many values a customer has, of how many of them are at most each
            threshold, and then of any covariates known before exposure.
        treatment: Moments of the same columns.
        thresholds: Two or more that do not decrease, settled before arms are looked at; see
            `quantile_levels`.
        level: Of the quantile, between 0 and 1.
        confidence: Of every interval, between 0 and 1.

    Raises:
        ValueError: The thresholds or the level are wrong, or the columns differ or are too few.
    """
    return compare_quantiles_poststratified(
        [(control, treatment)], thresholds=thresholds, level=level, confidence=confidence
    )


def compare_quantiles_poststratified(
    strata: Sequence[Stratum],
    *,
    thresholds: Sequence[float],
    level: float,
    confidence: float = 0.95,
    shares: Sequence[float] | None = None,
) -> Result:
    """Do the same for values of all strata together (`poststratification.py`).

    Args:
        strata: Of each, the moments of control and treatment.
        thresholds: As above.
        level: As above.
        confidence: Of every interval, between 0 and 1.
        shares: How much each stratum counts; None is by its customers.

    Raises:
        ValueError: As above, or there is no stratum.
    """
    points = np.array(thresholds, dtype=np.float64)
    if len(points) < 2 or not (np.isfinite(points).all() and (np.diff(points) >= 0).all()):
        raise ValueError(f"thresholds must be two or more and not decrease, not {thresholds}")
    if not 0 < level < 1:
        raise ValueError(f"the level must lie between 0 and 1, not {level}")
    joined = join(strata, outcomes=1 + len(points), shares=shares)
    if isinstance(joined, Inconclusive):
        return joined
    if reason := find_thin_denominator(joined, column=0):
        return Inconclusive(reason)
    units = count_units(joined.plain, column=0)
    plain = _read(joined.plain, points, units=units, level=level, confidence=confidence)
    if isinstance(plain, Inconclusive):
        return plain
    best = plain
    if not joined.is_plain:
        sharper = _read(joined.joint, points, units=units, level=level, confidence=confidence)
        if isinstance(sharper, Inconclusive):
            return sharper
        best = sharper
    return joined.sign(best.compare(confidence=confidence), plain=plain.pair(), best=best.pair())


@dataclass(frozen=True, slots=True, eq=False)
class _Quantiles:
    """Both arms' quantiles with Woodruff's intervals.

    Attributes:
        there: The shares of values up to the quantiles, as a pair.
        alike: The shares of values up to the quantile that both arms have together.
        units: Of how many equal customers' values they are, shape (2,).
        lent: How far each interval would reach down and up if the arms were alike, shapes
            (2,); None where that is beyond the thresholds.
        q: How many of their errors the intervals reach, shape (2,).
        values: The quantiles, shape (2,).
        low: Lower ends, shape (2,).
        high: Upper ends, shape (2,).
    """

    there: Pair
    alike: Pair
    units: FloatArray
    lent: tuple[FloatArray, FloatArray] | None
    q: FloatArray
    values: FloatArray
    low: FloatArray
    high: FloatArray

    def pair(self, lengths: FloatArray | None = None) -> Pair:
        """Return the quantiles as a pair, whose errors are so many lengths over q, shape (2,)."""
        if lengths is None:
            lengths = (self.high - self.low) / 2.0
        errors = np.sqrt(self.there.own[0])
        scale = np.divide(lengths / self.q, errors, out=np.zeros(2), where=errors > 0)
        parts = self.there.parts * scale[:, None] * scale
        return replace(self.there, values=self.values, parts=parts)

    def compare(self, *, confidence: float) -> Result:
        """Compare the quantiles, with errors on both sides of each."""
        down, up = self.values - self.low, self.high - self.values
        shares = judge_means(self.alike, confidence=confidence, units=self.units)
        if shares.is_pooled and self.lent is not None:
            down, up = (_blend(own, lent) for own, lent in zip((down, up), self.lent, strict=True))
        # Where the difference would be smaller, and where it would be larger.
        low, high = (
            judge_means(self.pair(lengths), confidence=confidence, can_be_rare=False).result()
            for lengths in (np.array([up[0], down[1]]), np.array([down[0], up[1]]))
        )
        if isinstance(low, Inconclusive) or isinstance(high, Inconclusive):
            return low if isinstance(low, Inconclusive) else high
        test = low if low.difference > 0 else high
        if shares.is_pooled:
            ln_p = float(shares.ln_p_value)
            test = replace(test, p_value=math.exp(ln_p), ln_p_value=ln_p, method=SCORE)
        lifts = [each.relative_interval for each in (low, high)]
        without = [each for each in (low, high) if each.relative is None]
        return replace(
            test,
            control_interval=Interval(float(self.low[0]), float(self.high[0])),
            treatment_interval=Interval(float(self.low[1]), float(self.high[1])),
            difference_interval=Interval(
                low.difference_interval.low, high.difference_interval.high
            ),
            relative=None if without else test.relative,
            relative_interval=_join(*lifts),
            no_lift=without[0].no_lift if without else "",
            method=f"{METHOD}; {test.method}",
        )


def _blend(own: FloatArray, lent: FloatArray) -> FloatArray:
    """Return how far an interval reaches if so much of its variance is its own."""
    return np.asarray(np.sqrt(_OWN_PART * own * own + (1.0 - _OWN_PART) * lent * lent))


def _join(low: Interval | None, high: Interval | None) -> Interval | None:
    """Take the lower end of one interval and the upper end of another, if both are there."""
    return None if low is None or high is None else Interval(low.low, high.high)


def _read(
    joint: JointMeans, points: FloatArray, *, units: FloatArray, level: float, confidence: float
) -> _Quantiles | Inconclusive:
    """Read both arms' quantiles off the means, or say why they cannot be known."""
    # F at every threshold, made to increase where adjustment let it dip, and its gradients.
    shares = joint.means[:, 1:] / joint.means[:, :1]  # (2, G)
    gradients = np.zeros((2, len(points), 1 + len(points)))
    gradients[:, :, 0] = -shares / joint.means[:, :1]
    gradients[:, :, 1:] = np.eye(len(points)) / joint.means[:, :1, None]
    curves = np.maximum.accumulate(shares, axis=1)

    at = [_cross(curve, level) for curve in curves]
    if None in at:
        return Inconclusive(_OUTSIDE.format(arm=_ARMS[at.index(None)]))
    there = joint.read(
        np.full(2, level),
        np.stack([_interpolate(rows, i) for rows, i in zip(gradients, at, strict=True)]),
    )
    pooled = np.average(curves, axis=0, weights=joint.n * joint.means[:, 0])
    together = _cross(pooled, level)
    alike = joint.read(
        np.array([_interpolate(curve, together) for curve in curves]),
        np.stack([_interpolate(rows, together) for rows in gradients]),
    )
    squared_errors, df = there.own
    errors, q = np.sqrt(squared_errors), t_quantile(df, confidence=confidence)
    ends = []
    for arm, curve in enumerate(curves):
        reach = q[arm] * errors[arm]
        low, high = _cross(curve, level - reach), _cross(curve, level + reach)
        if low is None or high is None:
            return Inconclusive(_OPEN.format(arm=_ARMS[arm]))
        ends.append([_interpolate(points, low), _interpolate(points, high)])
    values = np.array([_interpolate(points, i) for i in at])
    lent = _find_lent(alike, pooled, points, values=values, units=units, q=q, level=level)
    return _Quantiles(there, alike, units, lent, q, values, *np.array(ends).T)


def _find_lent(
    alike: Pair,
    pooled: FloatArray,
    points: FloatArray,
    *,
    values: FloatArray,
    units: FloatArray,
    q: FloatArray,
    level: float,
) -> tuple[FloatArray, FloatArray] | None:
    """Return how far both intervals would reach down and up if the arms were alike.

    Up to a factor, for the arm whose values an effect multiplied: what is read off the values of
    both arms together is scaled to each arm's own.
    """
    e, _ = alike.own
    apart = np.maximum(e - alike.covariance, 0.0)
    worth = units / alike.inflation
    _, _, each = blend(alike.values, apart, worth, is_countable=np.array(True), is_multiplied=True)
    reach = q * np.sqrt(each + alike.covariance)
    at = [_cross(pooled, x) for x in (level, *(level - reach), *(level + reach))]
    if None in at:
        return None
    there, *ends = (_interpolate(points, i) for i in at)
    scale = values / there
    return (there - np.array(ends[:2])) * scale, (np.array(ends[2:]) - there) * scale


def _cross(curve: FloatArray, level: float) -> float | None:
    """Return where a curve that does not fall first reaches a level, as a fractional index."""
    if curve[0] > level or curve[-1] < level:
        return None
    index = int(np.argmax(curve >= level))
    if index == 0:
        return 0.0
    before, after = curve[index - 1], curve[index]
    return index - 1 + float((level - before) / (after - before))


def _interpolate(rows: FloatArray, index: float | None) -> FloatArray:
    """Return what lies at a fractional index, between two rows or numbers."""
    assert index is not None
    before = min(int(index), len(rows) - 2)
    weight = index - before
    return np.asarray((1 - weight) * rows[before] + weight * rows[before + 1])
