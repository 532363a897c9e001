"""Analyse an experiment: moments to comparisons, checks and a verdict, stored together."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from experiments.health import CHECKS
from experiments.health.base import ArmCount, Finding, HealthContext
from experiments.metrics import METRICS
from experiments.metrics.base import Aggregate, MetricType, Params, read_params
from experiments.models import Analysis, Arm, Experiment, ExperimentMetric, Role, Status
from experiments.queries import ArmMoments, measure
from experiments.stats.estimate import Inconclusive, Result
from experiments.stats.moments import Moments
from experiments.verdict import ArmResult, Goal, Progress, reach_verdict

CONFIDENCE = 0.95
# A verdict of these kinds decides.
FINAL = ("win", "loss", "flat")


@dataclass(frozen=True, slots=True)
class _Measured:
    """A metric of the experiment with its place among the columns of the moments."""

    row: ExperimentMetric
    type: MetricType[Any]
    params: Params
    columns: range


def analyse(experiment: Experiment, *, now: datetime) -> Analysis:
    """Compute and store what the experiment's data say as of `now`."""
    measured, aggregates = _measured(experiment)
    arms = list(experiment.arms.all())
    found = measure(experiment.pk, aggregates, now=now)
    compared = {item.row.pk: _compare(item, arms, found) for item in measured}
    findings = _check(arms, found)
    report = {
        "confidence": CONFIDENCE,
        "customers": sum(m.n for m in found.by_arm.values()),
        "planned_customers": experiment.planned_customers,
        "moved": found.moved,
        "arms": [
            {
                "key": arm.key,
                "name": arm.name,
                "is_control": arm.is_control,
                "weight": arm.weight,
                "customers": _moments_of(arm, found, 1).n,
            }
            for arm in arms
        ],
        "metrics": [_metric_report(item, arms, found, compared[item.row.pk]) for item in measured],
        "findings": [asdict(finding) for finding in findings],
        "verdict": _verdict(experiment, measured, arms, compared, findings, found, now),
    }
    moments = {arm.key: found.by_arm[arm.pk].to_json() for arm in arms if arm.pk in found.by_arm}
    return Analysis.objects.create(
        experiment=experiment, computed_at=now, moments=moments, report=report
    )


def _measured(experiment: Experiment) -> tuple[list[_Measured], list[Aggregate]]:
    measured: list[_Measured] = []
    aggregates: list[Aggregate] = []
    for row in experiment.measured.select_related("metric"):
        metric = METRICS[row.metric.kind]
        params = read_params(metric, row.metric.params)
        wanted = metric.aggregates(params)
        columns = range(len(aggregates), len(aggregates) + len(wanted))
        measured.append(_Measured(row, metric, params, columns))
        aggregates.extend(wanted)
    return measured, aggregates


def _moments_of(arm: Arm, found: ArmMoments, k: int) -> Moments:
    """Return an arm's moments; nobody's, where nobody met it."""
    empty = Moments(0, (0.0,) * k, ((0.0,) * k,) * k)
    return found.by_arm.get(arm.pk, empty)


def _compare(item: _Measured, arms: Sequence[Arm], found: ArmMoments) -> Mapping[str, Result]:
    """Compare every treatment with the control on one metric, by arm key."""
    k = item.columns.stop
    moments = {arm.key: _moments_of(arm, found, k).select(*item.columns) for arm in arms}
    control = next((arm.key for arm in arms if arm.is_control), None)
    if control is None:
        return {arm.key: Inconclusive("The experiment has no control.") for arm in arms}
    return {
        arm.key: item.type.compare(moments[control], moments[arm.key], confidence=CONFIDENCE)
        for arm in arms
        if not arm.is_control
    }


def _check(arms: Sequence[Arm], found: ArmMoments) -> list[Finding]:
    context = HealthContext(
        arms=tuple(ArmCount(arm.name, arm.weight, _moments_of(arm, found, 1).n) for arm in arms),
        moved=found.moved,
    )
    findings = (check(context) for check in CHECKS)
    return [finding for finding in findings if finding is not None]


def _metric_report(
    item: _Measured, arms: Sequence[Arm], found: ArmMoments, results: Mapping[str, Result]
) -> dict[str, Any]:
    metric, k = item.row.metric, item.columns.stop
    return {
        "key": metric.key,
        "name": metric.name,
        "role": item.row.role,
        "unit": item.type.unit,
        "describes": item.type.describe(item.params),
        "higher_is_better": metric.higher_is_better,
        "means": {arm.key: _moments_of(arm, found, k).mean[item.columns.start] for arm in arms},
        "results": {key: result.to_json() for key, result in results.items()},
    }


def _verdict(
    experiment: Experiment,
    measured: Sequence[_Measured],
    arms: Sequence[Arm],
    compared: Mapping[int, Mapping[str, Result]],
    findings: Sequence[Finding],
    found: ArmMoments,
    now: datetime,
) -> dict[str, Any]:
    goal = next(item for item in measured if item.row.role == Role.GOAL)
    results = compared[goal.row.pk]
    verdict = reach_verdict(
        [ArmResult(arm.name, results[arm.key]) for arm in arms if arm.key in results],
        control=next((arm.name for arm in arms if arm.is_control), "the control"),
        goal=Goal(goal.row.metric.name, goal.type.unit, goal.row.metric.higher_is_better),
        findings=findings,
        progress=Progress(
            customers=sum(m.n for m in found.by_arm.values()),
            planned=experiment.planned_customers,
            is_running=experiment.status == Status.RUNNING,
        ),
        earlier_looks=_earlier_looks(experiment),
    )
    said = {**asdict(verdict), "decided_at": now.isoformat()}
    return (_first_verdict(experiment) or said) if verdict.kind in FINAL else said


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
