"""Turns moments into comparisons: raw and adjusted, by segment, and judged together."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from scipy.special import log_ndtr

from experiments.analysing.phases import Phase, pair
from experiments.analysing.standing import margin_z
from experiments.measuring.layout import Layout, Placed
from experiments.plan import Plan, PlannedMetric
from experiments.stats.estimate import Estimate, Inconclusive, Interval, Result
from experiments.stats.multiplicity import (
    Decision,
    Effect,
    Family,
    adjust_benjamini_hochberg,
    adjust_holm,
    decide_benjamini_hochberg,
    decide_holm,
    gatekeep,
)

NO_CONTROL = Inconclusive("The experiment has no control.")
# So many widths of an interval are as good as without an end.
ENDLESS = 10.0


@dataclass(frozen=True, slots=True)
class Compared:
    """One treatment on one metric.

    Attributes:
        metric: The metric's key.
        arm: The treatment's key.
        role: The metric's.
        result: What counts: adjusted where that could be done, else as measured.
        raw: As measured, without adjustment.
        ln_p_adjusted: Natural logarithm of the p-value when all comparisons are judged together;
            None without an estimate.
        together: The interval of the difference that agrees with it: of the goal and guardrails it
            holds for all of them at once, of secondary metrics for most of those found; None where
            they are not reached.
    """

    metric: str
    arm: str
    role: str
    result: Result
    raw: Result
    ln_p_adjusted: float | None = None
    together: Interval | None = None

    @property
    def variance_removed(self) -> float | None:
        """The share of the difference's squared error that adjustment took away."""
        if not isinstance(self.result, Estimate) or not isinstance(self.raw, Estimate):
            return None
        if self.result == self.raw:
            return None
        before, after = self.raw.difference_interval, self.result.difference_interval
        return 1.0 - ((after.high - after.low) / (before.high - before.low)) ** 2


@dataclass(frozen=True, slots=True)
class _Measured:
    """A comparison with the interval of its difference at any confidence."""

    item: Compared
    interval_at: Callable[[float], Interval]

    @property
    def effect(self) -> Effect | None:
        """What there is to judge; None without an estimate."""
        result = self.item.result
        if not isinstance(result, Estimate):
            return None
        return Effect(result.difference, result.ln_p_value, self.interval_at)


def compare_all(plan: Plan, layout: Layout, phases: Sequence[Phase]) -> list[Compared]:
    """Compare every treatment with the control on every metric, and judge all of it together.

    Args:
        plan: What was promised.
        layout: Where the columns are.
        phases: What the arms' customers did, by when they came.
    """
    return _judge_together(
        plan,
        [
            _compare(plan, placed, arm.key, phases, layout.covariates)
            for placed in layout.metrics
            for arm in plan.treatments
        ],
    )


def compare_segment(plan: Plan, layout: Layout, phases: Sequence[Phase]) -> list[Compared]:
    """Compare every treatment with the control on every metric within one segment, as measured."""
    return [
        _compare(plan, placed, arm.key, phases, ()).item
        for placed in layout.metrics
        for arm in plan.treatments
    ]


def judge_segments(compared: Sequence[Compared]) -> list[Compared]:
    """Judge the comparisons of all segments together, by their false discovery rate.

    Segments are looked at for ideas: what matters is how many of the findings are false.
    """
    return _with_adjusted(compared, adjust_benjamini_hochberg(_ln_p(compared)))


def _compare(
    plan: Plan,
    placed: Placed,
    arm: str,
    phases: Sequence[Phase],
    covariates: Sequence[int],
) -> _Measured:
    metric = placed.measured.planned
    if plan.control is None:
        missing = Compared(metric.key, arm, metric.role, NO_CONTROL, NO_CONTROL)
        return _Measured(missing, lambda _: Interval(0.0, 0.0))
    paired = pair(phases, plan.control.key, arm)

    def adjusted_at(confidence: float) -> Result:
        return placed.compare(
            paired.parts, covariates=covariates, confidence=confidence, shares=paired.part_shares
        )

    def raw_at(confidence: float) -> Result:
        return placed.compare(paired.whole, confidence=confidence, shares=paired.shares)

    raw = result = raw_at(plan.confidence)
    if len(paired.parts) > len(paired.whole) or covariates:
        result = placed.sharpen(
            raw,
            paired.parts,
            covariates=covariates,
            confidence=plan.confidence,
            shares=paired.part_shares,
        )
    result_at = raw_at if result is raw else adjusted_at
    compared = Compared(metric.key, arm, metric.role, result, raw)
    # Holm asks for both ends apart, at the same confidence.
    return _Measured(compared, cache(lambda at: _interval(result, result_at(at))))


def _interval(known: Result, other: Result) -> Interval:
    """Return the interval at another confidence, or from end to end where it has none there.

    A quantile's interval may leave the thresholds when it gets wider.
    """
    if isinstance(other, Estimate):
        return other.difference_interval
    assert isinstance(known, Estimate)
    reach = ENDLESS * (known.difference_interval.high - known.difference_interval.low)
    return Interval(known.difference - reach, known.difference + reach)


def _judge_together(plan: Plan, compared: Sequence[_Measured]) -> list[Compared]:
    """Adjust p-values and intervals for how many comparisons there are.

    Each arm has an equal share of the error (Bonferroni), as in the verdict. Within an arm, either
    each metric stands by itself, or all are judged in order of importance: the goal; then whether
    guardrails keep their margins; then the secondary metrics, by their false discovery rate. Harm
    to guardrails is judged by itself (Holm): it must be seen whatever the goal does.
    """
    judged: dict[tuple[str, str], Compared] = {}
    for arm in plan.treatments:
        own = [one for one in compared if one.item.arm == arm.key]
        judged |= {(item.metric, item.arm): item for item in _judge_arm(plan, own)}
    return [judged[one.item.metric, one.item.arm] for one in compared]


def _judge_arm(plan: Plan, own: Sequence[_Measured]) -> list[Compared]:
    arms = len(plan.treatments)
    alpha = (1.0 - plan.confidence) / arms
    if plan.correction == "metric":
        return [
            item
            for one in own
            for item in _decide([one], decide_holm(_effects([one]), alpha=alpha), arms=arms)
        ]
    goal, guardrails, secondary = (
        [one for one in own if one.item.role == role] for role in ("goal", "guardrail", "secondary")
    )
    margins = {metric.key: metric for metric in plan.metrics if metric.margin is not None}
    kept = [
        _ln_p_of_margin(one.item.result, margins[one.item.metric])
        for one in guardrails
        if one.item.metric in margins
    ]
    # A goal without an estimate opens no gate.
    shown = [effect.ln_p_value for effect in _effects(goal)] or [0.0]
    passed = gatekeep([Family(shown, adjust_holm), Family(kept, adjust_holm)])
    gate = max(value for family in passed for value in family)
    found = decide_benjamini_hochberg(_effects(secondary), alpha=alpha)
    return [
        *_decide(goal, decide_holm(_effects(goal), alpha=alpha), arms=arms),
        *_decide(guardrails, decide_holm(_effects(guardrails), alpha=alpha), arms=arms),
        *_decide(secondary, found, arms=arms, gate=gate, is_open=gate < math.log(alpha)),
    ]


def _effects(group: Sequence[_Measured]) -> list[Effect]:
    return [effect for one in group if (effect := one.effect) is not None]


def _decide(
    group: Sequence[_Measured],
    decisions: Sequence[Decision],
    *,
    arms: int,
    gate: float = -math.inf,
    is_open: bool = True,
) -> list[Compared]:
    """Write decisions down beside the comparisons with an estimate.

    Args:
        group: The comparisons.
        decisions: On those with an estimate.
        arms: Which share the error equally.
        gate: The adjusted p-value, as a logarithm, of what has to be shown before these.
        is_open: Whether it was; until then no interval could promise anything.
    """
    found = iter(decisions)
    judged = []
    for one in group:
        if one.effect is None:
            judged.append(one.item)
            continue
        decision = next(found)
        ln_p = min(max(decision.ln_adjusted, gate) + math.log(arms), 0.0)
        together = decision.interval if is_open else None
        judged.append(replace(one.item, ln_p_adjusted=ln_p, together=together))
    return judged


def _ln_p_of_margin(result: Result, metric: PlannedMetric) -> float:
    """Return the logarithm of the two-sided p-value of a loss as large as the margin."""
    assert metric.margin is not None
    z = margin_z(result, margin=metric.margin, higher_is_better=metric.higher_is_better)
    return min(math.log(2.0) + float(log_ndtr(-z)), 0.0)


def _ln_p(compared: Sequence[Compared]) -> list[float]:
    return [item.result.ln_p_value for item in compared if isinstance(item.result, Estimate)]


def _with_adjusted(compared: Sequence[Compared], adjusted: Sequence[float]) -> list[Compared]:
    values = iter(adjusted)
    return [
        replace(item, ln_p_adjusted=next(values)) if isinstance(item.result, Estimate) else item
        for item in compared
    ]
