"""Puts the evidence before the health checks: which numbers each of them looks at."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from experiments.analysing.phases import Phase as MeasuredPhase
from experiments.analysing.phases import pair
from experiments.health import CHECKS
from experiments.health.base import (
    ArmCount,
    Arrivals,
    Busy,
    Covariate,
    Currencies,
    Finding,
    HealthContext,
    Largest,
    Overlap,
    Phase,
    Segment,
    Trend,
)
from experiments.measuring.evidence import Evidence, label_arms, nobody
from experiments.measuring.layout import Placed
from experiments.metrics.columns import Column, Total
from experiments.models import Arm
from experiments.plan import Plan
from experiments.stats.moments import Moments
from experiments.stats.poststratification import Stratum


def find_problems(
    evidence: Evidence,
    arms: Sequence[Arm],
    *,
    plans: Sequence[Plan],
    phases: Sequence[MeasuredPhase],
    earlier_looks: Sequence[int],
) -> list[Finding]:
    """Run every check.

    Args:
        evidence: What was read.
        arms: The experiment's arms, in their order.
        plans: Every version of the plan, the oldest first: their weights held one after another.
        phases: What the arms' customers did, by when they came.
        earlier_looks: How many customers there were when it was looked at before.
    """
    context = _context(evidence, arms, plans, phases, earlier_looks)
    findings = (check(context) for check in CHECKS)
    return [finding for finding in findings if finding is not None]


def _context(
    evidence: Evidence,
    arms: Sequence[Arm],
    plans: Sequence[Plan],
    phases: Sequence[MeasuredPhase],
    earlier_looks: Sequence[int],
) -> HealthContext:
    names = label_arms(arms)
    alike = _find_alike(evidence, arms, phases)
    return HealthContext(
        arms=tuple(
            ArmCount(names[arm.pk], arm.weight, _moments(evidence, arm.pk).n) for arm in arms
        ),
        moved=evidence.found.moved,
        control=next((names[arm.pk] for arm in arms if arm.is_control), None),
        phases=_phases(evidence, arms, names, plans, None) if len(plans) > 1 else (),
        fraction=evidence.customers / evidence.plan.planned_customers,
        earlier=tuple(count / evidence.plan.planned_customers for count in earlier_looks),
        segments=_segments(evidence, arms, names, plans),
        strata=evidence.plan.adjustment.strata,
        covariates=tuple(
            Covariate(
                name,
                {names[pk]: m.select(place) for pk, m in evidence.found.by_arm.items()},
                {
                    names[pk]: (before.select(place), after.select(place))
                    for pk, (before, after) in alike.items()
                },
            )
            for name, place in zip(
                evidence.layout.covariate_names, evidence.layout.covariates, strict=True
            )
        ),
        largest=_largest(evidence, names),
        busy=tuple(
            Busy(names[busy.arm_id], busy.customers, busy.events, busy.all_events)
            for busy in evidence.busy
        ),
        trends=_trends(evidence, arms, names, alike),
        overlaps=_overlaps(evidence, names),
        arrivals=_arrivals(evidence),
        currencies=_currencies(evidence),
        days=evidence.days,
        minimum_days=evidence.plan.minimum_days,
    )


def _moments(evidence: Evidence, arm_id: int) -> Moments:
    return evidence.found.by_arm.get(arm_id, nobody(1))


def _phases(
    evidence: Evidence,
    arms: Sequence[Arm],
    names: Mapping[int, str],
    plans: Sequence[Plan],
    segment: tuple[int, str] | None,
) -> tuple[Phase, ...]:
    """Count customers against the weights of the time when they came."""
    counted = {
        (group.phase, group.arm_id): group.customers
        for group in evidence.exposed
        if group.segment == segment
    }
    phases = []
    for index, plan in enumerate(plans):
        weights = {arm.key: arm.weight for arm in plan.arms}
        phases.append(
            tuple(
                # Every other phase is the settling after a change, which no weights describe.
                ArmCount(
                    names[arm.pk], weights.get(arm.key, 0), counted.get((2 * index, arm.pk), 0)
                )
                for arm in arms
            )
        )
    return tuple(phases)


def _segments(
    evidence: Evidence, arms: Sequence[Arm], names: Mapping[int, str], plans: Sequence[Plan]
) -> tuple[Segment, ...]:
    places = dict.fromkeys(group.segment for group in evidence.exposed if group.segment)
    return tuple(
        Segment(
            evidence.attributes[index],
            value,
            _phases(evidence, arms, names, plans, (index, value)),
        )
        for index, value in places
    )


def _largest(evidence: Evidence, names: Mapping[int, str]) -> tuple[Largest, ...]:
    """Name the largest customer in each total and arm."""
    nouns = evidence.plan.nouns
    return tuple(
        Largest(
            nouns[placed.measured.planned.key],
            names[pk],
            evidence.found.largest[pk][place],
            moments.select(place),
        )
        for placed in evidence.layout.metrics
        for place in placed.own
        if _adds_up(evidence.layout.columns[place])
        for pk, moments in evidence.found.by_arm.items()
    )


def _adds_up(column: Column) -> bool:
    return isinstance(column, Total) and column.how != "any"


def _find_alike(
    evidence: Evidence, arms: Sequence[Arm], phases: Sequence[MeasuredPhase]
) -> dict[int, Stratum]:
    """Return the control's and each treatment's moments among customers of equal odds."""
    control = next((arm for arm in arms if arm.is_control), None)
    if control is None:
        return {}
    return {
        arm.pk: pair(phases, control.key, arm.key).mixed
        for arm in arms
        if arm.pk in evidence.found.by_arm and not arm.is_control
    }


def _trends(
    evidence: Evidence,
    arms: Sequence[Arm],
    names: Mapping[int, str],
    alike: Mapping[int, Stratum],
) -> tuple[Trend, ...]:
    if evidence.trend is None:
        return ()
    early, late = evidence.trend
    control = next((arm for arm in arms if arm.is_control), None)
    if control is None or control.pk not in evidence.found.by_arm:
        return ()
    change = {late: 1.0, early: -1.0}
    return tuple(
        Trend(
            names[pk],
            before.combine(change),
            after.combine(change),
            evidence.plan.goal.higher_is_better,
        )
        for pk, (before, after) in alike.items()
    )


def _overlaps(evidence: Evidence, names: Mapping[int, str]) -> tuple[Overlap, ...]:
    """Cut the goal by the arms of other experiments, where it is one number per customer."""
    goal = evidence.layout.goal
    if not _is_one_number(goal):
        return ()
    overlaps = []
    for index, other in enumerate(evidence.others, start=len(evidence.attributes)):
        cells = {
            (names[pk], other.arms[int(value)]): moments.select(goal.own[0])
            for value, by_arm in evidence.found.by_segment[index].items()
            if value.isdigit() and int(value) in other.arms
            for pk, moments in by_arm.items()
        }
        if cells:
            overlaps.append(Overlap(other.name, cells))
    return tuple(overlaps)


def _is_one_number(goal: Placed) -> bool:
    return len(goal.own) == 1 or goal.measured.planned.kind == "funnel"


def _arrivals(evidence: Evidence) -> tuple[Arrivals, ...]:
    """Say how events came in, and how many customers have come since the last one."""
    customers = sum(group.customers for group in evidence.exposed if group.segment is None)
    day = timedelta(days=1)
    return tuple(
        Arrivals(
            metric=one.name,
            events=one.events,
            late=one.late,
            days=((one.last_at or evidence.now) - evidence.started_at) / day,
            silent_days=0.0 if one.last_at is None else (evidence.now - one.last_at) / day,
            customers=customers - (one.customers_since if one.last_at else 0),
            customers_since=one.customers_since if one.last_at else 0,
        )
        for one in evidence.arrived
    )


def _currencies(evidence: Evidence) -> tuple[Currencies, ...]:
    """Say in which currencies the values of each metric came."""
    found = []
    for paid in evidence.paid:
        measured = paid.metric.measured
        found.append(
            Currencies(
                metric=evidence.plan.nouns[measured.planned.key],
                decides=measured.planned.role in ("goal", "guardrail"),
                own=getattr(measured.params, "currency", None),
                counted=paid.counted,
                left_out=paid.left_out,
            )
        )
    return tuple(found)
