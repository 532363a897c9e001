"""Judges many comparisons at once, so that looking at more of them does not find more by chance.

Everything is done on natural logarithms of p-values: the smallest ones do not fit a float.

Two promises are on offer. Holm (1979) keeps the chance of any false finding below alpha, however
the comparisons depend on each other. Benjamini & Hochberg (1995) keep the expected share of false
ones among the findings below alpha, if the comparisons are independent or positively dependent
(Benjamini & Yekutieli 2001). Each comes with intervals that agree with its findings.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.stats.estimate import Interval


@dataclass(frozen=True, slots=True)
class Effect:
    """One comparison among several.

    Attributes:
        difference: Estimated; only its sign is used.
        ln_p_value: Natural logarithm of the two-sided p-value of no difference.
        interval_at: Computes the interval of the difference at a given confidence.
    """

    difference: float
    ln_p_value: float
    interval_at: Callable[[float], Interval]


@dataclass(frozen=True, slots=True)
class Decision:
    """What can be said of one comparison when all of them are looked at together.

    Attributes:
        ln_adjusted: Natural logarithm of the adjusted p-value, comparable with any alpha.
        is_significant: The adjusted p-value is below alpha.
        interval: Of the difference. It lies on one side of zero exactly when significant, and an
            end at zero does not belong to it then; otherwise it holds zero.
    """

    ln_adjusted: float
    is_significant: bool
    interval: Interval


@dataclass(frozen=True, slots=True)
class Family:
    """Comparisons that are judged together, and how.

    Attributes:
        ln_p_values: Natural logarithms of their p-values; there may be none.
        adjust: `adjust_holm` or `adjust_benjamini_hochberg`.
    """

    ln_p_values: Sequence[float]
    adjust: Callable[[Sequence[float]], list[float]]


def adjust_holm(ln_p_values: Sequence[float]) -> list[float]:
    """Return the logarithms of Holm's adjusted p-values, in the order given.

    With p(1) <= ... <= p(m), the i-th is the largest of (m - j + 1) p(j) for j <= i, at most 1
    (Holm 1979; Wright 1992).

    Raises:
        ValueError: A number is no logarithm of a p-value.
    """
    ln_p = _check(ln_p_values)
    order = np.argsort(ln_p, kind="stable")
    adjusted = np.empty_like(ln_p)
    remaining = np.arange(len(ln_p), 0, -1)
    adjusted[order] = np.maximum.accumulate(ln_p[order] + np.log(remaining))
    return [float(value) for value in np.minimum(adjusted, 0.0)]


def adjust_benjamini_hochberg(ln_p_values: Sequence[float]) -> list[float]:
    """Return the logarithms of Benjamini & Hochberg's adjusted p-values, in the order given.

    With p(1) <= ... <= p(m), the i-th is the smallest of m p(j) / j for j >= i (1995; Yekutieli &
    Benjamini 1999).

    Raises:
        ValueError: A number is no logarithm of a p-value.
    """
    ln_p = _check(ln_p_values)
    order = np.argsort(ln_p, kind="stable")[::-1]
    adjusted = np.empty_like(ln_p)
    ranks = np.arange(len(ln_p), 0, -1)
    adjusted[order] = np.minimum.accumulate(ln_p[order] + np.log(len(ln_p) / ranks))
    return [float(value) for value in np.minimum(adjusted, 0.0)]


def decide_holm(effects: Sequence[Effect], *, alpha: float) -> list[Decision]:
    """Decide the direction of each effect, with simultaneous intervals that agree.

    All intervals hold at once with probability 1 - alpha, however the effects depend on each other.
    To claim a direction, and not only a difference, Holm's test runs twice at alpha / 2, once on
    the one-sided p-values of "up" and once on those of "down". Each yields a bound per effect
    (Strassburger & Bretz 2008; Guilbaud 2008), where r is the number of effects that it leaves
    undecided:

        undecided: the one-sided bound at alpha / (2 r);
        decided:   zero, or the bound at alpha / (2 m) if beyond zero and nothing is undecided.

    A bound at zero is the price of Holm's greater power over Bonferroni: the error saved on the
    decided went to the others. Where all findings go one way this is Holm's test of the two-sided
    p-values; where they go both ways it may find a little less, and never less than Bonferroni.

    Raises:
        ValueError: Alpha is not in (0, 1), or a number is no logarithm of a p-value.
    """
    ln_alpha = _ln_alpha(alpha)
    ln_p_values = [effect.ln_p_value for effect in effects]
    is_up = [effect.difference > 0 for effect in effects]
    up = _adjust_directional(ln_p_values, is_up)
    down = _adjust_directional(ln_p_values, [effect.difference < 0 for effect in effects])
    lows = _bounds(effects, up, alpha, lambda interval: interval.low)
    highs = _bounds(effects, down, alpha, lambda interval: -interval.high)
    return [
        Decision(min(pair), min(pair) < ln_alpha, Interval(low, 0.0 - high))
        for *pair, low, high in zip(up, down, lows, highs, strict=True)
    ]


def decide_benjamini_hochberg(effects: Sequence[Effect], *, alpha: float) -> list[Decision]:
    """Decide which effects are findings, with intervals corrected for having been selected.

    Among R findings of m effects each interval has the confidence 1 - R alpha / m: the expected
    share of findings whose interval misses is at most alpha (false coverage rate, Benjamini &
    Yekutieli 2005), under the same conditions as the decisions. The others are shown at the same
    confidence (that of one finding where there is none), which holds zero, but promises nothing.

    Raises:
        ValueError: Alpha is not in (0, 1), or a number is no logarithm of a p-value.
    """
    ln_alpha = _ln_alpha(alpha)
    adjusted = adjust_benjamini_hochberg([effect.ln_p_value for effect in effects])
    findings = sum(value < ln_alpha for value in adjusted)
    decisions = []
    for effect, value in zip(effects, adjusted, strict=True):
        interval = effect.interval_at(1 - max(findings, 1) * alpha / len(effects))
        is_found = value < ln_alpha
        low = _agree(interval.low, is_beyond=is_found and effect.difference > 0)
        high = 0.0 - _agree(-interval.high, is_beyond=is_found and effect.difference < 0)
        decisions.append(Decision(value, is_found, Interval(low, high)))
    return decisions


def gatekeep(families: Sequence[Family]) -> list[list[float]]:
    """Return adjusted logarithms of p-values when families are judged in order of importance.

    Serial gatekeeping (Maurer, Hothorn & Lehmacher 1995; Westfall & Krishen 2001): goals, then
    guardrails, then secondary metrics, then segments. A family counts only if everything in the
    families before it is significant, and then has the full alpha again. So an adjusted p-value is
    the largest of its own within the family and of all those before.

    If every family uses Holm, the chance of any false finding in any of them is at most alpha. If
    the last one uses Benjamini & Hochberg, that holds for those before, and the last one's false
    discovery rate is at most alpha.

    No interval is offered: a family that passes all its alpha on keeps only the side of zero, and
    one that was not reached has no bound at all.
    """
    gate = -math.inf
    adjusted: list[list[float]] = []
    for family in families:
        own = [max(value, gate) for value in family.adjust(family.ln_p_values)]
        gate = max([gate, *own])
        adjusted.append(own)
    return adjusted


def _check(ln_p_values: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    ln_p = np.array(ln_p_values, dtype=np.float64).reshape(-1)
    if not (ln_p <= 0).all():
        raise ValueError(f"a p-value's logarithm is at most 0, not all of {list(ln_p_values)}")
    return ln_p


def _ln_alpha(alpha: float) -> float:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, not {alpha}")
    return math.log(alpha)


def _adjust_directional(ln_p_values: Sequence[float], is_towards: Sequence[bool]) -> list[float]:
    """Return Holm's adjusted one-sided p-values, doubled as they are one of two families."""
    one_sided = [
        ln_p - math.log(2) if towards else math.log1p(-math.exp(ln_p) / 2)
        for ln_p, towards in zip(_check(ln_p_values), is_towards, strict=True)
    ]
    return [min(value + math.log(2), 0.0) for value in adjust_holm(one_sided)]


def _bounds(
    effects: Sequence[Effect],
    ln_adjusted: Sequence[float],
    alpha: float,
    low_of: Callable[[Interval], float],
) -> list[float]:
    """Return Strassburger & Bretz's lower bound of each effect, or of its negative."""
    is_decided = [value < math.log(alpha) for value in ln_adjusted]
    undecided = len(effects) - sum(is_decided)
    confidence = 1 - alpha / (undecided or len(effects) or 1)
    return [
        0.0
        if decided and undecided
        # Two-sided at twice the error: its lower end is the one-sided bound.
        else _agree(low_of(effect.interval_at(confidence)), is_beyond=decided)
        for effect, decided in zip(effects, is_decided, strict=True)
    ]


def _agree(bound: float, *, is_beyond: bool) -> float:
    """Move a lower bound to zero where another formula than the p-value's put it across."""
    return max(bound, 0.0) if is_beyond else min(bound, 0.0)
