"""Analyse an experiment: evidence to comparisons, checks and a verdict, stored together."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

import msgspec

from experiments.analysing.beliefs import form_beliefs
from experiments.analysing.comparing import Compared, compare_all
from experiments.analysing.earlier import FINAL, Earlier, recall_looks
from experiments.analysing.explaining import Looks, explain_all
from experiments.analysing.phases import Phase
from experiments.analysing.reporting import (
    Weights,
    by_key,
    summarise,
    to_phases,
    write_metric,
    write_moments,
    write_segments,
    write_verdict,
)
from experiments.analysing.sentences import Goal, Progress, Verdict
from experiments.analysing.standing import ArmResult, Guardrail
from experiments.analysing.trust import find_problems
from experiments.analysing.verdict import reach_verdict
from experiments.health.base import Finding
from experiments.measuring.evidence import Evidence, gather, label_arms
from experiments.models import LIVE, Analysis, Arm, Experiment
from experiments.plan import Plan
from experiments.planning.past import find_prior
from experiments.planning.phases import find_phases, find_weights
from experiments.planning.planner import days_left
from experiments.planning.versions import draft_plan, read_plan
from experiments.stats.estimate import Result
from experiments.stats.moments import Moments


def analyse(experiment: Experiment, *, now: datetime) -> Analysis:
    """Compute and store what the experiment's data say as of `now`."""
    versions = list(experiment.plans.all())
    plans = [read_plan(version) for version in versions] or [draft_plan(experiment)]
    served = find_weights(versions)
    evidence = gather(
        experiment,
        _without_idle_arms(plans),
        phases=find_phases([version.valid_from for version in versions[1:]]),
        changes=served.starts,
        now=now,
    )
    arms = list(experiment.arms.all())
    earlier = recall_looks(experiment)
    moments = by_key(evidence.found.by_arm, arms, evidence.columns)
    strata = _strata(evidence, arms)
    phases = _phases(evidence, served.weights, arms)
    findings = find_problems(
        evidence, arms, plans=plans, phases=phases, earlier_looks=earlier.customers
    )
    compared = compare_all(evidence.plan, evidence.layout, phases)
    customers = evidence.customers
    beliefs = form_beliefs(
        evidence.plan,
        compared,
        prior=find_prior(experiment),
        fraction=customers / evidence.plan.planned_customers,
        earlier=[count / evidence.plan.planned_customers for count in earlier.customers],
    )
    progress = _progress(experiment, evidence)
    looks = Looks(progress, earlier.looks, earlier.harm_looks, earlier.information)
    explained = explain_all(evidence.plan, evidence.layout, compared, phases, looks)
    said = _judge(evidence, compared, findings, progress=progress, earlier=earlier)
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
            write_metric(
                placed,
                evidence.plan.nouns[key],
                moments,
                [c for c in compared if c.metric == key],
                beliefs,
                explained,
            )
            for placed in evidence.layout.metrics
            for key in [placed.measured.planned.key]
        ],
        "covariates": list(evidence.layout.covariate_names),
        "segments": write_segments(evidence, arms, served.weights),
        "findings": [asdict(finding) for finding in findings],
        "verdict": earlier.verdict if is_repeated else write_verdict(said, evidence),
    }
    return Analysis.objects.create(
        experiment=experiment,
        plan_version=versions[-1] if versions else None,
        computed_at=now,
        moments=write_moments(evidence, arms, strata, looks, phases),
        report=report,
        summary=summarise(report),
        look=None if is_repeated else said.look,
        is_decision=not is_repeated and said.kind in FINAL,
    )


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
    if experiment.status not in LIVE:
        return None
    return days_left(
        planned=evidence.plan.planned_customers,
        so_far=evidence.customers,
        days=evidence.days,
    )


def _phases(evidence: Evidence, weights: Sequence[Weights], arms: Sequence[Arm]) -> list[Phase]:
    """Divide the arms' moments, all and in strata, by when customers came."""
    found = evidence.found
    by_value = {} if evidence.strata is None else found.segment_phases[evidence.strata]
    strata = [parts for _, parts in sorted(by_value.items())]
    return to_phases(found.phases, weights, arms, evidence.columns, strata)


def _strata(evidence: Evidence, arms: Sequence[Arm]) -> list[dict[str, Moments]]:
    """Return the arms' moments within each stratum, if arms are to be compared there."""
    if evidence.strata is None:
        return []
    by_value = evidence.found.by_segment[evidence.strata]
    columns = evidence.columns
    return [by_key(by_arm, arms, columns) for _, by_arm in sorted(by_value.items())]


def _progress(experiment: Experiment, evidence: Evidence) -> Progress:
    goal = evidence.layout.goal
    return Progress(
        customers=evidence.customers,
        planned=evidence.plan.planned_customers,
        is_running=experiment.status in LIVE,
        days=evidence.days,
        minimum_days=evidence.plan.minimum_days,
        known=sum(
            evidence.layout.customers_known(goal, moments)
            for moments in evidence.found.by_arm.values()
        ),
        extensions=tuple((one.customers, one.planned) for one in evidence.plan.extensions),
    )


def _judge(
    evidence: Evidence,
    compared: Sequence[Compared],
    findings: Sequence[Finding],
    *,
    progress: Progress,
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
        progress=progress,
        earlier_looks=earlier.looks,
        harm_looks=earlier.harm_looks,
        earlier_information=earlier.information,
        harmful_before=[labels[key] for key in earlier.harmful if key in labels],
        confidence=plan.confidence,
        monitoring=plan.monitoring,
    )


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
