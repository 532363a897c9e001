"""Gathers what an analysis is made from: who was exposed, what it came to, how events came in."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from experiments.health.bots import PER_DAY
from experiments.measuring.currencies import Paid, count_currencies
from experiments.measuring.layout import Layout
from experiments.measuring.queries import (
    ArmMoments,
    Arrived,
    DidTooMuch,
    Exposed,
    count_exposures,
    find_layout,
    measure,
    watch_arrivals,
)
from experiments.metrics.columns import (
    SECONDS_PER_DAY,
    AtMost,
    Column,
    Events,
    Reached,
    Total,
    Window,
)
from experiments.models import Arm, Experiment, Status
from experiments.plan import Plan
from experiments.sql.columns import Scope
from experiments.sql.statements import AttributeDimension, Dimension, ExperimentDimension
from experiments.stats.moments import Moments
from experiments.wording import tell_apart

# Of the other running experiments, so many are watched for interactions.
MOST_OVERLAPS = 20
# The effect is compared between a customer's first days and as many after them: a quarter of the
# experiment's time, or half of the metric's window, but no more than two weeks.
LEAST_TREND_SECONDS, MOST_TREND_SECONDS = SECONDS_PER_DAY, 14 * SECONDS_PER_DAY


@dataclass(frozen=True, slots=True)
class Other:
    """Another experiment that runs: its name, and its arms' labels by id."""

    experiment_id: int
    name: str
    arms: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was read for one analysis.

    Attributes:
        plan: What was promised.
        now: As of when.
        started_at: When the experiment started, or its first customer came if that was earlier.
        ended_at: When it was stopped, or now.
        exposed: Who was exposed, by phase, arm and segment.
        layout: Where the columns are; those of the trend come after them.
        found: Their moments.
        attributes: The first dimensions of `found` and `exposed`, by name.
        others: The other experiments, which are the dimensions after them.
        trend: The places of the goal's early and late columns, if it can be split so.
        arrived: How events came in, by name.
        busy: Customers who did too much, by arm.
        paid: In which currencies the metrics' values came.
    """

    plan: Plan
    now: datetime
    started_at: datetime
    ended_at: datetime
    exposed: Sequence[Exposed]
    layout: Layout
    found: ArmMoments
    attributes: Sequence[str]
    others: Sequence[Other]
    trend: tuple[int, int] | None
    arrived: Sequence[Arrived]
    busy: Sequence[DidTooMuch]
    paid: Sequence[Paid]

    @property
    def columns(self) -> int:
        """How many columns the moments have."""
        return len(self.layout.columns) + len(self.trend or ())

    @property
    def strata(self) -> int | None:
        """Which of the dimensions holds the groups within which arms are compared, if any."""
        name = self.plan.adjustment.strata
        return None if name is None else self.attributes.index(name)

    @property
    def customers(self) -> int:
        """How many took part, over all arms."""
        return sum(moments.n for moments in self.found.by_arm.values())

    @property
    def days(self) -> float:
        """How long the experiment has run."""
        return (self.ended_at - self.started_at) / timedelta(days=1)


def gather(
    experiment: Experiment,
    plan: Plan,
    *,
    phases: Sequence[datetime],
    changes: Sequence[datetime] = (),
    now: datetime,
) -> Evidence:
    """Read everything as of `now`.

    Args:
        experiment: The experiment.
        plan: What was promised.
        phases: When each later phase of exposures began.
        changes: The same, where weights were changed in any; what is measured is kept apart then.
        now: What is later is not known yet.
    """
    attributes = list(dict.fromkeys([*plan.segments, *_strata(plan)]))
    by_attribute = [AttributeDimension(name) for name in attributes]
    exposed = count_exposures(experiment.pk, now=now, phases=phases, dimensions=by_attribute)
    first_at = min((group.first_at for group in exposed), default=now)
    started_at = min(experiment.started_at or now, first_at)
    ended_at = min(experiment.stopped_at or now, now)
    scope = Scope(experiment.pk, first_at, now)

    layout = find_layout(scope, plan.metrics, plan.adjustment)
    trend = _trend_columns(layout, elapsed=ended_at - started_at)
    others = _find_others(experiment)
    dimensions: list[Dimension] = [
        *by_attribute,
        *(ExperimentDimension(other.experiment_id) for other in others),
    ]
    found = measure(scope, [*layout.columns, *trend], dimensions, phases=changes)
    arrived, busy = watch_arrivals(
        scope, _event_names(layout.columns), live_since=experiment.created_at, per_day=PER_DAY
    )
    at = len(layout.columns)
    return Evidence(
        plan=plan,
        now=now,
        started_at=started_at,
        ended_at=ended_at,
        exposed=exposed,
        layout=layout,
        found=found,
        attributes=attributes,
        others=others,
        trend=(at, at + 1) if trend else None,
        arrived=arrived,
        busy=busy,
        paid=count_currencies(scope, layout),
    )


def nobody(columns: int) -> Moments:
    """Return the moments of an arm that nobody met."""
    return Moments(0, (0.0,) * columns, ((0.0,) * columns,) * columns)


def label_arms(arms: Iterable[Arm]) -> dict[int, str]:
    """Say what to call each arm of an experiment, by id; those of the same name are told apart."""
    keys = {arm.key: arm for arm in arms}
    labels = tell_apart({key: arm.name for key, arm in keys.items()})
    return {arm.pk: labels[key] for key, arm in keys.items()}


def _strata(plan: Plan) -> list[str]:
    return [] if plan.adjustment.strata is None else [plan.adjustment.strata]


def _find_others(experiment: Experiment) -> list[Other]:
    running = Experiment.objects.filter(status=Status.RUNNING).exclude(pk=experiment.pk)
    found = list(running.order_by("-started_at")[:MOST_OVERLAPS])
    arms: dict[int, list[Arm]] = {other.pk: [] for other in found}
    for arm in Arm.objects.filter(experiment__in=found):
        arms[arm.experiment_id].append(arm)
    return [Other(other.pk, other.name, label_arms(arms[other.pk])) for other in found]


def _trend_columns(layout: Layout, *, elapsed: timedelta) -> tuple[Total, ...]:
    """Split the goal into a customer's early and later time, where it is one total."""
    goal = layout.goal
    column = layout.columns[goal.own[0]]
    if not isinstance(column, Total) or len(goal.own) > 1:
        return ()
    opens, closes = column.window.opens, column.window.closes
    span = min(int(elapsed.total_seconds()) // 4, MOST_TREND_SECONDS)
    if closes is not None:
        span = min(span, (closes - opens) // 2)
    if span < LEAST_TREND_SECONDS:
        return ()
    early, late = Window(opens, opens + span), Window(opens + span, opens + 2 * span)
    return tuple(
        replace(column, window=window, mature_after=opens + 2 * span) for window in (early, late)
    )


def _event_names(columns: Sequence[Column]) -> list[str]:
    """Name the events that the columns count after exposure."""
    events: set[Events] = set()
    for column in columns:
        match column:
            case Total():
                events |= {column.events, *([column.less] if column.less else [])}
            case Reached():
                events |= set(column.steps)
            case AtMost():
                events.add(column.values.events)
    return sorted({event.name for event in events})
