"""Lists experiments as people look for them: with status, health, and what their goal came to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import OuterRef, Subquery

from experiments.models import LIVE, Analysis, Experiment, ExperimentMetric, Metric, Status
from experiments.stats.estimate import Estimate, result_from_json
from experiments.wording import say_lift

SORTS = {
    "newest": "Newest first",
    "impact": "Largest effect first",
    "name": "By name",
    "status": "By status",
}
_ORDER = {status: place for place, status in enumerate((*LIVE, *Status))}
# From the worst on.
_HEALTH = ("blocking", "warning", "note")
HEALTH_SAID = {
    "blocking": "untrustworthy",
    "warning": "look at it",
    "note": "fine, with a note",
    "": "fine",
    "none": "not analysed",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One experiment in the list.

    Attributes:
        experiment: The experiment.
        health: The worst that a check found, in words.
        is_healthy: Whether that is nothing to look at.
        goal: Name of its goal metric.
        effect: The best arm's lift, drawn towards what experiments usually do; empty when hidden.
        impact: The same as a number, its size, for sorting.
        customers: How many took part.
        days_left: At the pace so far.
        sentence: What its newest analysis says.
    """

    experiment: Experiment
    health: str
    is_healthy: bool
    goal: str
    effect: str
    impact: float
    customers: int
    days_left: int | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Span:
    """An experiment on the calendar."""

    experiment: Experiment
    begins: date
    ends: date
    is_estimated: bool


@dataclass(frozen=True, slots=True)
class Moved:
    """What an experiment did to a metric: one arm, in words."""

    experiment: Experiment
    role: str
    arm: str
    effect: str
    interval: str
    is_moved: bool
    is_good: bool


def list_experiments(*, sort: str, status: str, may_peek: bool, now: datetime) -> list[Line]:
    """Return a line for every experiment, or for those of one status."""
    experiments = _with_summary(Experiment.objects.all())
    if status:
        experiments = experiments.filter(status=status)
    goals = dict(
        ExperimentMetric.objects.filter(role="goal").values_list("experiment_id", "metric__name")
    )
    lines = [
        _to_line(experiment, goals.get(experiment.pk, ""), may_peek=may_peek, now=now)
        for experiment in experiments
    ]
    match sort:
        case "impact":
            lines.sort(key=lambda line: -line.impact)
        case "name":
            lines.sort(key=lambda line: line.experiment.name.lower())
        case "status":
            lines.sort(key=lambda line: _ORDER[Status(line.experiment.status)])
    return lines


def list_spans(*, now: datetime) -> list[Span]:
    """Return from when to when each experiment runs, or is meant to."""
    spans = []
    for experiment in _with_summary(Experiment.objects.exclude(started_at=None)):
        assert experiment.started_at is not None
        begins = experiment.started_at.date()
        if experiment.stopped_at is not None:
            spans.append(Span(experiment, begins, experiment.stopped_at.date(), False))
            continue
        left = _summary(experiment).get("days_left")
        planned = experiment.planned_end
        earliest = begins + timedelta(days=experiment.minimum_days)
        paced = now.date() + timedelta(days=left) if left is not None else now.date()
        ends = planned or max(earliest, paced)
        spans.append(Span(experiment, begins, max(ends, begins), planned is None))
    return sorted(spans, key=lambda span: (span.begins, span.experiment.pk))


def list_moved(metric: Metric, *, may_peek: bool, now: datetime) -> list[Moved]:
    """Return what every experiment that measured a metric did to it, the newest first."""
    measured = Experiment.objects.filter(measured__metric=metric).exclude(started_at=None)
    newest = Analysis.objects.filter(experiment=OuterRef("pk")).order_by("-computed_at")
    found = measured.annotate(metrics_found=Subquery(newest.values("report__metrics")[:1]))
    lines: list[Moved] = []
    for experiment in found.order_by("-started_at").prefetch_related("arms"):
        if experiment.hidden_until(now) is not None and not may_peek:
            continue
        told = getattr(experiment, "metrics_found", None) or []
        report = next((one for one in told if one["key"] == metric.key), None)
        if report is not None:
            names = {arm.key: arm.name for arm in experiment.arms.all()}
            lines += _moved_by(experiment, report, names)
    return lines


def _moved_by(experiment: Experiment, report: Any, names: dict[str, str]) -> list[Moved]:
    lines = []
    for arm, raw in report["results"].items():
        result = result_from_json(raw)
        if not isinstance(result, Estimate) or result.relative_interval is None:
            continue
        ends = result.relative_interval
        is_up = result.direction == "up"
        lines.append(
            Moved(
                experiment,
                report["role"],
                names.get(arm, arm),
                say_lift(result.relative or 0.0),
                f"{say_lift(ends.low)} to {say_lift(ends.high)}",
                is_moved=(report["ln_p_adjusted"].get(arm) or 0.0) < _LN_ALPHA,
                is_good=is_up == report["higher_is_better"],
            )
        )
    return lines


# Of all comparisons of the experiment together, at most one in twenty by chance.
_LN_ALPHA = -2.995732273553991


def _with_summary(experiments: Any) -> Any:
    newest = Analysis.objects.filter(experiment=OuterRef("pk")).order_by("-computed_at", "-pk")
    return experiments.annotate(summary=Subquery(newest.values("summary")[:1])).order_by(
        "-created_at", "-pk"
    )


def _summary(experiment: Experiment) -> dict[str, Any]:
    found: dict[str, Any] = getattr(experiment, "summary", None) or {}
    return found


def _to_line(experiment: Experiment, goal: str, *, may_peek: bool, now: datetime) -> Line:
    summary = _summary(experiment)
    severities: Sequence[str] = summary.get("findings", ())
    health = next((one for one in _HEALTH if one in severities), "") if summary else "none"
    is_hidden = experiment.hidden_until(now) is not None and not may_peek
    lifts = (
        []
        if is_hidden
        else [
            arm["shrunk"] for arm in summary.get("arms", {}).values() if arm["shrunk"] is not None
        ]
    )
    best = max(lifts, key=abs, default=None)
    return Line(
        experiment=experiment,
        health=HEALTH_SAID[health],
        is_healthy=health not in ("blocking", "warning"),
        goal=goal,
        effect="" if best is None else say_lift(best),
        impact=0.0 if best is None else abs(best),
        customers=summary.get("customers", 0),
        days_left=summary.get("days_left"),
        sentence="Results are hidden yet." if is_hidden else summary.get("sentence", ""),
    )
