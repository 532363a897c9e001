"""Turns moments into comparisons: raw and adjusted, by segment, and judged together."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from scipy.special import log_ndtr

from experiments.layout import Layout, Placed
from experiments.plan import Plan, PlannedMetric
from experiments.standing import margin_z
from experiments.stats.estimate import Estimate, Inconclusive, Result
from experiments.stats.moments import Moments
from experiments.stats.multiplicity import Family, adjust_benjamini_hochberg, adjust_holm, gatekeep

NO_CONTROL = Inconclusive("The experiment has no control.")


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
    """

    metric: str
    arm: str
    role: str
    result: Result
    raw: Result
    ln_p_adjusted: float | None = None

    @property
    def variance_removed(self) -> float | None:
        """The share of the difference's squared error that adjustment took away."""
        if not isinstance(self.result, Estimate) or not isinstance(self.raw, Estimate):
            return None
        if self.result == self.raw:
            return None
        before, after = self.raw.difference_interval, self.result.difference_interval
        return 1.0 - ((after.high - after.low) / (before.high - before.low)) ** 2


def compare_all(
    plan: Plan,
    layout: Layout,
    moments: Mapping[str, Moments],
    strata: Sequence[Mapping[str, Moments]] = (),
) -> list[Compared]:
    """Compare every treatment with the control on every metric, and judge all of it together.

    Args:
        plan: What was promised.
        layout: Where the columns are.
        moments: Of every arm, by its key.
        strata: The same within each stratum, if arms are to be compared there.
    """
    compared = [
        _compare(plan, placed, arm.key, moments, strata or [moments], layout.covariates)
        for placed in layout.metrics
        for arm in plan.treatments
    ]
    return _judge_together(plan, compared)


def compare_segment(plan: Plan, layout: Layout, moments: Mapping[str, Moments]) -> list[Compared]:
    """Compare every treatment with the control on every metric within one segment, as measured."""
    return [
        _compare(plan, placed, arm.key, moments, [moments], ())
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
    moments: Mapping[str, Moments],
    strata: Sequence[Mapping[str, Moments]],
    covariates: Sequence[int],
) -> Compared:
    metric = placed.measured.planned
    if plan.control is None:
        return Compared(metric.key, arm, metric.role, NO_CONTROL, NO_CONTROL)
    control = plan.control.key
    raw = placed.compare([(moments[control], moments[arm])], confidence=plan.confidence)
    if not isinstance(raw, Estimate) or (len(strata) == 1 and not covariates):
        return Compared(metric.key, arm, metric.role, raw, raw)
    adjusted = placed.compare(
        [(stratum[control], stratum[arm]) for stratum in strata],
        covariates=covariates,
        confidence=plan.confidence,
    )
    result = adjusted if isinstance(adjusted, Estimate) else raw
    return Compared(metric.key, arm, metric.role, result, raw)


def _judge_together(plan: Plan, compared: Sequence[Compared]) -> list[Compared]:
    """Adjust p-values for how many comparisons there are.

    Each arm has an equal share of the error (Bonferroni), as in the verdict. Within an arm, either
    each metric stands by itself, or all are judged in order of importance: the goal; then whether
    guardrails keep their margins; then the secondary metrics, by their false discovery rate. Harm
    to guardrails is judged by itself (Holm): it must be seen whatever the goal does.
    """
    margins = {metric.key: metric for metric in plan.metrics if metric.margin is not None}
    judged: dict[tuple[str, str], Compared] = {}
    for arm in plan.treatments:
        own = [item for item in compared if item.arm == arm.key]
        goal, guardrails, secondary = (
            [item for item in own if item.role == role]
            for role in ("goal", "guardrail", "secondary")
        )
        kept = [
            _ln_p_of_margin(item.result, margins[item.metric])
            for item in guardrails
            if item.metric in margins
        ]
        if plan.correction == "metric":
            adjusted = [_ln_p(goal), _ln_p(guardrails), _ln_p(secondary)]
        else:
            first, _, last = gatekeep(
                [
                    Family(_ln_p(goal), adjust_holm),
                    Family(kept, adjust_holm),
                    Family(_ln_p(secondary), adjust_benjamini_hochberg),
                ]
            )
            adjusted = [first, adjust_holm(_ln_p(guardrails)), last]
        for group, values in zip((goal, guardrails, secondary), adjusted, strict=True):
            shared = [min(value + math.log(len(plan.treatments)), 0.0) for value in values]
            judged |= {(item.metric, item.arm): item for item in _with_adjusted(group, shared)}
    return [judged[item.metric, item.arm] for item in compared]


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
