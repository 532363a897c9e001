"""Looks over a draft before customers meet it: what blocks it, and what its makers should know."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from django.db import OperationalError, connection, transaction
from django.db.models import Q

from audience.matching import count_customers
from audience.models import Event
from experiments.assigning.assignment import BUCKETS
from experiments.metrics import METRICS
from experiments.metrics.base import name_events, read_params
from experiments.models import LIVE, UNSTARTED, Experiment, Role
from experiments.wording import say_list

# A metric without an event for so long measures nothing.
RECENT = timedelta(days=28)
# So long an event is searched for; where there are very many, a name that never comes takes longer.
PATIENCE_MS = 3_000


@dataclass(frozen=True, slots=True)
class Issue:
    """Something about a draft.

    Attributes:
        code: Which check found it.
        is_blocking: Whether it has to be put right first; else it is worth knowing.
        sentence: What is the matter and what to do.
        step: The set-up page's step where that can be done.
    """

    code: str
    is_blocking: bool
    sentence: str
    step: str


def find_issues(experiment: Experiment, *, now: datetime) -> list[Issue]:
    """Run every check on a draft; what blocks comes first."""
    found = [issue for check in PREFLIGHT for issue in check(experiment, now)]
    return sorted(found, key=lambda issue: not issue.is_blocking)


def check_arms(experiment: Experiment, now: datetime) -> Iterator[Issue]:
    """Look for arms that cannot be compared, or do not differ."""
    arms = list(experiment.arms.all())
    weighted = [arm for arm in arms if arm.weight > 0]
    if len(weighted) < 2:
        yield Issue("arms", True, "At least two arms need a share of the customers.", "arms")
    if not any(arm.is_control for arm in weighted):
        yield Issue("control", True, "One arm with customers has to be the control.", "arms")
    total = sum(arm.weight for arm in arms)
    if total != BUCKETS:
        yield Issue("weights", True, f"The arms' shares add up to {total / 100:g}%.", "arms")
    payloads = [arm.payload for arm in weighted]
    same = [a.name for i, a in enumerate(weighted) if a.payload in payloads[:i]]
    if same:
        yield Issue(
            "same_payloads",
            False,
            f"{say_list(same)} gives customers the same as another arm: this is an A/A test.",
            "arms",
        )


def check_metrics(experiment: Experiment, now: datetime) -> Iterator[Issue]:
    """Look for missing parts, and for metrics of which nothing was heard lately."""
    rows = list(experiment.measured.select_related("metric"))
    roles = {row.role for row in rows}
    if Role.GOAL not in roles:
        yield Issue("goal", True, "Choose the metric that decides: the goal.", "metrics")
    if Role.GUARDRAIL not in roles:
        yield Issue(
            "guardrail",
            True,
            "Choose at least one guardrail: a metric that must not be harmed meanwhile.",
            "metrics",
        )
    for row in rows:
        metric = row.metric
        try:
            names = name_events(read_params(METRICS[metric.kind], metric.params))
        except msgspec.ValidationError as error:
            yield Issue("metric", True, f"{metric} cannot be measured: {error}.", "metrics")
            continue
        for name in names:
            yield from _check_event(name, metric.name, now=now)


def check_audience(experiment: Experiment, now: datetime) -> Iterator[Issue]:
    """Look for an audience that is empty or too small."""
    if not experiment.audience:
        return
    size = count_customers(experiment.audience)
    if size == 0:
        yield Issue("audience", True, "Nobody is in the audience.", "audience")
    elif size * experiment.traffic < experiment.planned_customers * BUCKETS:
        yield Issue(
            "audience_size",
            False,
            f"{size:,} customers are in the audience today, fewer than the "
            f"{experiment.planned_customers:,} planned; it counts on new ones.",
            "audience",
        )


def check_overlaps(experiment: Experiment, now: datetime) -> Iterator[Issue]:
    """Look for other experiments that the same customers meet: what they change, and the goal."""
    goal = experiment.measured.filter(role=Role.GOAL).values_list("metric_id", flat=True).first()
    keys = {key for arm in experiment.arms.all() for key in arm.named_values}
    others = Experiment.objects.filter(status__in=LIVE, is_standalone=True, is_holdout=False)
    for other in others.exclude(pk=experiment.pk).prefetch_related("arms", "measured"):
        if experiment.group_id is not None and experiment.group_id == other.group_id:
            continue
        shared = keys & {key for arm in other.arms.all() for key in arm.named_values}
        if shared:
            yield Issue(
                "overlap",
                True,
                f"{other} runs and sets {say_list(sorted(shared))} too: the same customers would "
                "get contradicting values. Put both into one exclusion group, or wait.",
                "audience",
            )
        elif any(row.role == Role.GOAL and row.metric_id == goal for row in other.measured.all()):
            yield Issue(
                "same_goal",
                False,
                f"{other} runs on the same customers and the same goal. Both are measured rightly "
                "unless one changes what the other does, which is watched for.",
                "audience",
            )


def check_group(experiment: Experiment, now: datetime) -> Iterator[Issue]:
    """Look whether the exclusion group's share is still free."""
    if experiment.group_id is None:
        return
    reserved = (
        Experiment.objects.filter(group=experiment.group_id)
        .exclude(pk=experiment.pk)
        .filter(status__in=[*UNSTARTED[1:], *LIVE])
        .filter(Q(group_from__lt=experiment.group_until, group_until__gt=experiment.group_from))
    )
    for other in reserved:
        yield Issue(
            "group",
            True,
            f"{other} has taken a part of its share of the group {experiment.group} by now.",
            "audience",
        )


def check_requirements(experiment: Experiment, now: datetime) -> Iterator[Issue]:
    """Look for required experiments that give nobody an arm, and for hold-outs left aside."""
    required = [
        row.arm.experiment
        for row in experiment.prerequisites.select_related("arm__experiment__served_arm")
    ]
    for other in required:
        if other.status not in LIVE and other.served_arm_id is None:
            yield Issue(
                "prerequisite",
                True,
                f"It requires an arm of {other}, which gives nobody an arm now.",
                "audience",
            )
    if experiment.is_holdout:
        return
    ids = {other.pk for other in required}
    holdouts = Experiment.objects.filter(is_holdout=True, is_global=False, status__in=LIVE)
    for holdout in holdouts.exclude(pk__in=ids):
        yield Issue(
            "holdout",
            False,
            f"It does not keep to the hold-out {holdout}, so its effect is in both sides of that.",
            "audience",
        )


def check_sides(experiment: Experiment, now: datetime) -> Iterator[Issue]:
    """Look for a hold-out that leaves customers on neither side."""
    if not experiment.is_holdout or experiment.is_global:
        return
    if experiment.audience or experiment.traffic < BUCKETS:
        yield Issue(
            "sides",
            False,
            "Who is not in its audience, or not in the share that it takes, is on neither side of "
            "it: they get what is shipped, but take part in no experiment that keeps to it.",
            "audience",
        )


def check_global(experiment: Experiment, now: datetime) -> Iterator[Issue]:
    """Look whether a hold-out from everything is one of everybody, and whether one runs already."""
    if not experiment.is_global:
        return
    if experiment.audience:
        yield Issue("global", True, "Everybody takes part in it: leave no condition.", "audience")
    running = Experiment.objects.filter(is_global=True, status__in=LIVE)
    for other in running.exclude(pk=experiment.pk):
        yield Issue("epoch", False, f"{other} has to be stopped before it can start.", "audience")


def check_end(experiment: Experiment, now: datetime) -> Iterator[Issue]:
    """Look for an end before the results may be seen."""
    end = experiment.planned_end
    if end is None:
        return
    if (end - now.date()).days < experiment.minimum_days:
        yield Issue(
            "end",
            True,
            f"It would end on {end:%-d %B %Y}, before its minimum of {experiment.minimum_days} "
            "days is over.",
            "plan",
        )


PREFLIGHT: tuple[Callable[[Experiment, datetime], Iterator[Issue]], ...] = (
    check_arms,
    check_metrics,
    check_audience,
    check_overlaps,
    check_group,
    check_requirements,
    check_sides,
    check_global,
    check_end,
)


def has_come_lately(event: str, *, now: datetime) -> bool | None:
    """Tell whether an event came in the last 28 days; None where that took too long to find out."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = {PATIENCE_MS}")
            is_known = Event.objects.filter(name=event, occurred_at__gt=now - RECENT).exists()
            cursor.execute("SET LOCAL statement_timeout = DEFAULT")
    except OperationalError:
        return None
    return is_known


def _check_event(name: str, metric: str, *, now: datetime) -> Iterator[Issue]:
    is_known = has_come_lately(name, now=now)
    if is_known is None:
        yield Issue(
            "unknown_event",
            False,
            f"Whether \u201c{name}\u201d, which {metric} counts, came in the last 28 days could "
            "not be found out in time.",
            "metrics",
        )
    elif not is_known:
        yield Issue(
            "no_events",
            True,
            f"{metric} counts \u201c{name}\u201d, and no such event came in the last 28 days. "
            "Send some first, or check how it is spelt.",
            "metrics",
        )
