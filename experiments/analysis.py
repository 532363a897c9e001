"""Analyse an experiment: evidence to comparisons, checks and a verdict, stored together."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import msgspec

from experiments.beliefs import Belief, form_beliefs
from experiments.comparing import Compared, compare_all, compare_segment, judge_segments
from experiments.earlier import FINAL, Earlier, recall_looks
from experiments.evidence import Evidence, gather, label_arms, nobody
from experiments.health.base import Finding
from experiments.layout import Placed
from experiments.models import Analysis, Arm, Experiment, Status
from experiments.past import find_prior
from experiments.plan import Plan
from experiments.planner import days_left
from experiments.planning import draft_plan, read_plan
from experiments.sentences import Goal, Progress, Verdict
from experiments.standing import ArmResult, Guardrail
from experiments.stats.estimate import Result
from experiments.stats.moments import Moments
from experiments.trust import find_problems
from experiments.verdict import reach_verdict

# So long after a change of weights old ones may still be served.
SETTLING = timedelta(minutes=1)


def analyse(experiment: Experiment, *, now: datetime) -> Analysis:
    """Compute and store what the experiment's data say as of `now`."""
    versions = list(experiment.plans.all())
    plans = [read_plan(version) for version in versions] or [draft_plan(experiment)]
    phases = _phases([version.valid_from for version in versions[1:]])
    evidence = gather(experiment, _without_idle_arms(plans), phases=phases, now=now)
    arms = list(experiment.arms.all())
    earlier = recall_looks(experiment)
    findings = find_problems(evidence, arms, plans=plans, earlier_looks=earlier.customers)
    moments = _by_key(evidence.found.by_arm, arms, evidence.columns)
    strata = _strata(evidence, arms)
    compared = compare_all(evidence.plan, evidence.layout, moments, strata)
    customers = evidence.customers
    beliefs = form_beliefs(
        evidence.plan,
        compared,
        prior=find_prior(experiment),
        fraction=customers / evidence.plan.planned_customers,
        earlier=[count / evidence.plan.planned_customers for count in earlier.customers],
    )
    said = _judge(experiment, evidence, compared, findings, earlier)
    is_repeated = earlier.verdict is not None and said.kind != "unsound"
    labels = label_arms(arms)
    report = {
        "confidence": evidence.plan.confidence,
        "customers": customers,
        "planned_customers": evidence.plan.planned_customers,
        "days": evidence.days,
        "minimum_days": evidence.plan.minimum_days,
        "days_left": _days_left(experiment, evidence),
        "moved": evidence.found.moved,
        "arms": [
            {
                "key": arm.key,
                "name": labels[arm.pk],
                "is_control": arm.is_control,
                "weight": arm.weight,
                "customers": moments[arm.key].n,
            }
            for arm in arms
        ],
        "metrics": [
            _metric_report(
                placed,
                evidence.plan.nouns[key],
                moments,
                [c for c in compared if c.metric == key],
                beliefs,
            )
            for placed in evidence.layout.metrics
            for key in [placed.measured.planned.key]
        ],
        "covariates": list(evidence.layout.covariate_names),
        "segments": _segments_report(evidence, arms),
        "findings": [asdict(finding) for finding in findings],
        "verdict": earlier.verdict if is_repeated else _verdict_report(said, evidence),
    }
    return Analysis.objects.create(
        experiment=experiment,
        plan_version=versions[-1] if versions else None,
        computed_at=now,
        moments=_to_stored(evidence, arms, strata),
        report=report,
        look=None if is_repeated else said.look,
        is_decision=not is_repeated and said.kind in FINAL,
    )


def _phases(changed_at: Sequence[datetime]) -> list[datetime]:
    """Begin each later version of the plan with a time in which some were served by the one before.

    A version that comes within that time ends it, so that every second phase is one in which the
    weights were sure.
    """
    settled = [at + SETTLING for at in changed_at]
    ended = [min(pair) for pair in zip(settled, changed_at[1:], strict=False)] + settled[-1:]
    return [moment for pair in zip(changed_at, ended, strict=True) for moment in pair]


def _without_idle_arms(plans: Sequence[Plan]) -> Plan:
    """Return the newest plan without treatments that no version gave customers to.

    They would take their share of the error, and no experiment could stop because all of its arms
    do harm. One that had customers once was judged, and still counts.
    """
    served = {arm.key for plan in plans for arm in plan.arms if arm.weight > 0 or arm.is_control}
    arms = tuple(arm for arm in plans[-1].arms if arm.key in served)
    return msgspec.structs.replace(plans[-1], arms=arms)


def _days_left(experiment: Experiment, evidence: Evidence) -> int | None:
    """Say how many days are left at the pace so far; None where nobody comes."""
    if experiment.status != Status.RUNNING:
        return None
    return days_left(
        planned=evidence.plan.planned_customers,
        so_far=evidence.customers,
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


def _to_stored(
    evidence: Evidence, arms: Sequence[Arm], strata: Sequence[Mapping[str, Moments]]
) -> dict[str, Any]:
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
        # Within segments no two metrics are compared and nothing is adjusted; covariances of all
        # with all would be three million characters with ten metrics and forty segments.
        "segments": {
            name: {
                value: {
                    placed.measured.planned.key: {
                        keys[pk]: m.select(*placed.own).to_json() for pk, m in by_arm.items()
                    }
                    for placed in layout.metrics
                }
                for value, by_arm in evidence.found.by_segment[index].items()
            }
            for index, name in enumerate(evidence.attributes)
        },
        "strata": [{arm: m.to_json() for arm, m in stratum.items()} for stratum in strata],
    }


def _metric_report(
    placed: Placed,
    noun: str,
    moments: Mapping[str, Moments],
    compared: Sequence[Compared],
    beliefs: Mapping[tuple[str, str], Belief],
) -> dict[str, Any]:
    metric, measured = placed.measured.planned, placed.measured
    return {
        "key": metric.key,
        "name": noun,
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
        "together": {item.arm: asdict(item.together) for item in compared if item.together},
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


def _judge(
    experiment: Experiment,
    evidence: Evidence,
    compared: Sequence[Compared],
    findings: Sequence[Finding],
    earlier: Earlier,
) -> Verdict:
    plan = evidence.plan
    labels, nouns = plan.labels, plan.nouns
    goal = evidence.layout.goal
    return reach_verdict(
        _arm_results(plan, compared),
        control=labels[plan.control.key] if plan.control else "the control",
        goal=Goal(
            nouns[plan.goal.key],
            goal.measured.type.unit(goal.measured.params),
            plan.goal.higher_is_better,
        ),
        guardrails=[
            Guardrail(nouns[metric.key], metric.higher_is_better, metric.margin)
            for metric in plan.metrics
            if metric.role == "guardrail"
        ],
        findings=findings,
        progress=Progress(
            customers=evidence.customers,
            planned=plan.planned_customers,
            is_running=experiment.status == Status.RUNNING,
            days=evidence.days,
            minimum_days=plan.minimum_days,
            known=sum(
                evidence.layout.customers_known(goal, moments)
                for moments in evidence.found.by_arm.values()
            ),
        ),
        earlier_looks=earlier.looks,
        harm_looks=earlier.harm_looks,
        harmful_before=[labels[key] for key in earlier.harmful if key in labels],
        confidence=plan.confidence,
        monitoring=plan.monitoring,
    )


def _verdict_report(verdict: Verdict, evidence: Evidence) -> dict[str, Any]:
    keys = {label: key for key, label in evidence.plan.labels.items()}
    return {
        **asdict(verdict),
        "harmful": list(verdict.harmful),
        "harmful_arms": [keys[label] for label in verdict.harmful],
        "decided_at": evidence.now.isoformat(),
    }


def _arm_results(plan: Plan, compared: Sequence[Compared]) -> list[ArmResult]:
    """Sort the comparisons by arm: the goal, and the guardrails by name."""
    labels, nouns = plan.labels, plan.nouns
    results: dict[tuple[str, str], Result] = {(c.arm, c.metric): c.result for c in compared}
    guardrails = [metric.key for metric in plan.metrics if metric.role == "guardrail"]
    return [
        ArmResult(
            labels[arm.key],
            results[arm.key, plan.goal.key],
            {nouns[key]: results[arm.key, key] for key in guardrails},
        )
        for arm in plan.treatments
    ]
