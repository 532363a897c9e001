"""Analyse an experiment: evidence to comparisons, checks and a verdict, stored together."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from experiments.beliefs import Belief, form_beliefs
from experiments.comparing import Compared, compare_all, compare_segment, judge_segments
from experiments.evidence import Evidence, gather, nobody
from experiments.health.base import Finding
from experiments.layout import Placed
from experiments.models import Analysis, Arm, Experiment, Status
from experiments.past import find_prior
from experiments.plan import Plan
from experiments.planner import days_left
from experiments.planning import draft_plan, read_plan
from experiments.sentences import Goal
from experiments.standing import ArmResult, Guardrail
from experiments.stats.estimate import Result
from experiments.stats.moments import Moments
from experiments.trust import find_problems
from experiments.verdict import Progress, reach_verdict

# So long after a change of weights old ones may still be served.
SETTLING = timedelta(minutes=1)
# A verdict of these kinds decides.
FINAL = ("win", "loss", "flat")


def analyse(experiment: Experiment, *, now: datetime) -> Analysis:
    """Compute and store what the experiment's data say as of `now`."""
    versions = list(experiment.plans.all())
    plans = [read_plan(version) for version in versions] or [draft_plan(experiment)]
    # Each later version begins with a time in which some were still served by the one before.
    phases = [
        moment
        for version in versions[1:]
        for moment in (version.valid_from, version.valid_from + SETTLING)
    ]
    evidence = gather(experiment, plans[-1], phases=phases, now=now)
    arms = list(experiment.arms.all())
    earlier_looks = _earlier_looks(experiment)
    findings = find_problems(evidence, arms, plans=plans, earlier_looks=earlier_looks)
    moments = _by_key(evidence.found.by_arm, arms, evidence.columns)
    compared = compare_all(evidence.plan, evidence.layout, moments, _strata(evidence, arms))
    beliefs = form_beliefs(
        evidence.plan,
        compared,
        prior=find_prior(experiment),
        fraction=sum(m.n for m in moments.values()) / evidence.plan.planned_customers,
        earlier=earlier_looks,
    )
    report = {
        "confidence": evidence.plan.confidence,
        "customers": sum(m.n for m in moments.values()),
        "planned_customers": evidence.plan.planned_customers,
        "days": evidence.days,
        "minimum_days": evidence.plan.minimum_days,
        "days_left": _days_left(experiment, evidence),
        "moved": evidence.found.moved,
        "arms": [
            {
                "key": arm.key,
                "name": arm.name,
                "is_control": arm.is_control,
                "weight": arm.weight,
                "customers": moments[arm.key].n,
            }
            for arm in arms
        ],
        "metrics": [
            _metric_report(placed, moments, [c for c in compared if c.metric == key], beliefs)
            for placed in evidence.layout.metrics
            for key in [placed.measured.planned.key]
        ],
        "covariates": list(evidence.layout.covariate_names),
        "segments": _segments_report(evidence, arms),
        "findings": [asdict(finding) for finding in findings],
        "verdict": _verdict(experiment, evidence, compared, findings, earlier_looks),
    }
    return Analysis.objects.create(
        experiment=experiment,
        plan_version=versions[-1] if versions else None,
        computed_at=now,
        moments=_to_stored(evidence, arms),
        report=report,
    )


def _days_left(experiment: Experiment, evidence: Evidence) -> int | None:
    """Say how many days are left at the pace so far; None where nobody comes."""
    if experiment.status != Status.RUNNING:
        return None
    return days_left(
        planned=evidence.plan.planned_customers,
        so_far=sum(moments.n for moments in evidence.found.by_arm.values()),
        days=evidence.days,
    )


def _by_key(by_arm: Mapping[int, Moments], arms: Sequence[Arm], columns: int) -> dict[str, Moments]:
    """Return every arm's moments by its key; nobody's, where nobody met it."""
    return {arm.key: by_arm.get(arm.pk, nobody(columns)) for arm in arms}


def _strata(evidence: Evidence, arms: Sequence[Arm]) -> list[dict[str, Moments]]:
    """Return the arms' moments within each stratum, if arms are to be compared there."""
    strata = evidence.plan.adjustment.strata
    if strata is None:
        return []
    by_value = evidence.found.by_segment[evidence.attributes.index(strata)]
    columns = evidence.columns
    return [_by_key(by_arm, arms, columns) for _, by_arm in sorted(by_value.items())]


def _to_stored(evidence: Evidence, arms: Sequence[Arm]) -> dict[str, Any]:
    """Write down what every number of the report can be computed from."""
    keys = {arm.pk: arm.key for arm in arms}
    layout = evidence.layout
    return {
        "arms": {keys[pk]: m.to_json() for pk, m in evidence.found.by_arm.items()},
        "metrics": {
            placed.measured.planned.key: {
                "columns": list(placed.own),
                "thresholds": [list(values) for values in placed.thresholds],
            }
            for placed in layout.metrics
        },
        "covariates": list(layout.covariates),
        "segments": {
            name: {
                value: {keys[pk]: m.to_json() for pk, m in by_arm.items()}
                for value, by_arm in evidence.found.by_segment[index].items()
            }
            for index, name in enumerate(evidence.attributes)
        },
    }


def _metric_report(
    placed: Placed,
    moments: Mapping[str, Moments],
    compared: Sequence[Compared],
    beliefs: Mapping[tuple[str, str], Belief],
) -> dict[str, Any]:
    metric, measured = placed.measured.planned, placed.measured
    return {
        "key": metric.key,
        "name": metric.name,
        "role": metric.role,
        "margin": metric.margin,
        "unit": measured.type.unit(measured.params),
        "describes": measured.type.describe(measured.params),
        "higher_is_better": metric.higher_is_better,
        "means": {arm: placed.value(m) for arm, m in moments.items()},
        "results": {item.arm: item.result.to_json() for item in compared},
        "raw": {item.arm: item.raw.to_json() for item in compared if item.raw != item.result},
        "variance_removed": {
            item.arm: removed for item in compared if (removed := item.variance_removed) is not None
        },
        "ln_p_adjusted": {item.arm: item.ln_p_adjusted for item in compared},
        "beliefs": {
            item.arm: beliefs[metric.key, item.arm].to_json()
            for item in compared
            if (metric.key, item.arm) in beliefs
        },
    }


def _segments_report(evidence: Evidence, arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """Compare the arms within every segment, and judge all of these comparisons together."""
    columns = evidence.columns
    places, compared = [], []
    for dimension, by_value in zip(evidence.attributes, evidence.found.by_segment, strict=False):
        for value, by_arm in sorted(by_value.items()):
            moments = _by_key(by_arm, arms, columns)
            own = compare_segment(evidence.plan, evidence.layout, moments)
            places.append((dimension, value, moments, len(own)))
            compared += own
    judged = iter(judge_segments(compared))
    return [
        {
            "dimension": dimension,
            "value": value,
            "customers": {arm: m.n for arm, m in moments.items()},
            "results": [
                {
                    "metric": item.metric,
                    "arm": item.arm,
                    "result": item.result.to_json(),
                    "ln_p_adjusted": item.ln_p_adjusted,
                }
                for item in (next(judged) for _ in range(size))
            ],
        }
        for dimension, value, moments, size in places
    ]


def _verdict(
    experiment: Experiment,
    evidence: Evidence,
    compared: Sequence[Compared],
    findings: Sequence[Finding],
    earlier_looks: Sequence[float],
) -> dict[str, Any]:
    plan = evidence.plan
    verdict = reach_verdict(
        _arm_results(plan, compared),
        control=plan.control.name if plan.control else "the control",
        goal=_goal(evidence),
        guardrails=[
            Guardrail(metric.name, metric.higher_is_better, metric.margin)
            for metric in plan.metrics
            if metric.role == "guardrail"
        ],
        findings=findings,
        progress=Progress(
            customers=sum(m.n for m in evidence.found.by_arm.values()),
            planned=plan.planned_customers,
            is_running=experiment.status == Status.RUNNING,
            days=evidence.days,
            minimum_days=plan.minimum_days,
        ),
        earlier_looks=earlier_looks,
        confidence=plan.confidence,
        monitoring=plan.monitoring,
    )
    said = {
        **asdict(verdict),
        "harmful": list(verdict.harmful),
        "decided_at": evidence.now.isoformat(),
    }
    return (_first_verdict(experiment) or said) if verdict.kind in FINAL else said


def _goal(evidence: Evidence) -> Goal:
    measured = next(
        placed.measured
        for placed in evidence.layout.metrics
        if placed.measured.planned.role == "goal"
    )
    return Goal(
        measured.planned.name,
        measured.type.unit(measured.params),
        measured.planned.higher_is_better,
    )


def _arm_results(plan: Plan, compared: Sequence[Compared]) -> list[ArmResult]:
    """Sort the comparisons by arm: the goal, and the guardrails by name."""
    names = {metric.key: metric.name for metric in plan.metrics}
    results: dict[tuple[str, str], Result] = {(c.arm, c.metric): c.result for c in compared}
    guardrails = [metric.key for metric in plan.metrics if metric.role == "guardrail"]
    return [
        ArmResult(
            arm.name,
            results[arm.key, plan.goal.key],
            {names[key]: results[arm.key, key] for key in guardrails},
        )
        for arm in plan.treatments
    ]


def _earlier_looks(experiment: Experiment) -> list[float]:
    """Return at which fractions of the planned size the experiment was judged before."""
    looks = experiment.analyses.order_by("computed_at").values_list(
        "report__verdict__look", flat=True
    )
    return [float(look) for look in looks if look is not None]


def _first_verdict(experiment: Experiment) -> dict[str, Any] | None:
    """Return the first verdict that decided; it stands.

    The error is spent by then, and one that is given anew with every look finds false winners.
    """
    decided = experiment.analyses.filter(report__verdict__kind__in=FINAL).order_by("computed_at")
    first = decided.first()
    return None if first is None else first.report["verdict"]
