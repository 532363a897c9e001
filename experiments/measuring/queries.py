"""Ask the database, or the analytics engine, for what an analysis is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from experiments.engines import load_engine, run
from experiments.measuring.layout import (
    Layout,
    covariate_cuts,
    find_covariates,
    lay_out,
    read_metric,
)
from experiments.metrics.columns import AtMost, Column, Cut
from experiments.plan import Adjustment, PlannedMetric
from experiments.sql.columns import Scope
from experiments.sql.conditions import to_threshold
from experiments.sql.statements import (
    Dimension,
    Statement,
    arrivals_statement,
    count_statement,
    days_statement,
    exposures_statement,
    moments_statement,
    quantiles_statement,
    values_statement,
)
from experiments.stats.moments import Moments
from experiments.stats.quantile import quantile_levels

# Any number: it tells these locks from others.
CLAIM = 0x0FFE21AC


@dataclass(frozen=True, slots=True)
class ArmMoments:
    """What columns come to in every arm that somebody met, by arm id.

    Attributes:
        by_arm: Moments of everybody in the arm.
        largest: The largest value of each column in the arm.
        by_segment: For each dimension, in their order: a segment's moments by its name.
        moved: How many people were met in two arms; they are in neither.
        phases: Moments of everybody in the arm, by when they came.
        segment_phases: The same in segments, as in `by_segment`.
    """

    by_arm: Mapping[int, Moments]
    largest: Mapping[int, tuple[float, ...]]
    by_segment: Sequence[Mapping[str, Mapping[int, Moments]]]
    moved: int
    phases: Sequence[Mapping[int, Moments]] = ()
    segment_phases: Sequence[Mapping[str, Sequence[Mapping[int, Moments]]]] = ()


@dataclass(frozen=True, slots=True)
class Exposed:
    """People exposed for the first time in one phase and arm, all of them or those of a segment.

    Attributes:
        phase: Which of the phases, counted from 0.
        arm_id: The arm; None for people met in two.
        segment: Which dimension, counted from 0, and which value of it; None for all people.
        customers: How many.
        first_at: When the first of them was exposed.
        last_at: When the last of them was.
    """

    phase: int
    arm_id: int | None
    segment: tuple[int, str] | None
    customers: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Arrived:
    """How the events of one name came in.

    Attributes:
        name: Of the events.
        events: How many, of people after their exposure.
        late: Those that came more than a day after they happened.
        last_at: When the last one happened; None without any.
        customers_since: Who was exposed since then; everybody without any.
    """

    name: str
    events: int
    late: int
    last_at: datetime | None
    customers_since: int


@dataclass(frozen=True, slots=True)
class DidTooMuch:
    """Events of an arm: all, and those of the customers, so many, who did too much in a day."""

    arm_id: int
    all_events: int
    events: int
    customers: int


def claim_analysis(experiment_id: int) -> bool:
    """Keep other workers from this experiment's analysis until the transaction at hand ends.

    A lock of its own: one on the row would let everybody who asks for an analysis, or stops the
    experiment, wait until this one is done.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [CLAIM, experiment_id])
        (is_ours,) = cursor.fetchone()
    return bool(is_ours)


def count_exposures(
    experiment_id: int,
    *,
    now: datetime,
    phases: Sequence[datetime] = (),
    dimensions: Sequence[Dimension] = (),
) -> list[Exposed]:
    """Count who was exposed, for each phase and arm, and for these in each segment.

    Always in PostgreSQL: exposures are few beside events, and every analysis begins here.

    Args:
        experiment_id: The experiment.
        now: What is later is not known yet.
        phases: When each phase began, the first one aside.
        dimensions: How people are divided into segments.
    """
    scope = Scope(experiment_id, now, now)
    with connection.cursor() as cursor:
        cursor.execute(exposures_statement(scope, phases, dimensions))
        rows = cursor.fetchall()
    return [Exposed(row[0], row[1], _place(row[2:-3]), *row[-3:]) for row in rows]


def watch_arrivals(
    scope: Scope, names: Sequence[str], *, live_since: datetime, per_day: int
) -> tuple[list[Arrived], list[DidTooMuch]]:
    """See how the events of exposed customers came in; see `arrivals_statement`."""
    rows = run_statement(
        arrivals_statement(scope, names, live_since=live_since, per_day=per_day), scope
    )
    counted = {name: (int(events), int(late), at) for name, _, events, late, _, at in rows if name}
    found = [(name, *counted.get(name, (0, 0, None))) for name in names]
    since = _count_exposed_since([at for *_, at in found], scope)
    arrived = [Arrived(*one, customers) for one, customers in zip(found, since, strict=True)]
    busy = [
        DidTooMuch(arm_id, int(events), int(too_many), int(customers))
        for name, arm_id, events, too_many, customers, _ in rows
        if name is None
    ]
    return arrived, busy


def find_thresholds(scope: Scope, cuts: Sequence[Cut]) -> list[list[float]]:
    """Find the values at each cut's quantiles over all arms; no values where there is nothing."""
    if not cuts:
        return []
    spread = [cut.of for cut in cuts if cut.is_spread and isinstance(cut.of, AtMost)]
    sizes = iter(run_statement(count_statement(scope, spread), scope)[0] if spread else ())
    levels = [
        quantile_levels(cut.level, max(int(next(sizes)), 1)) if cut.is_spread else (cut.level,)
        for cut in cuts
    ]
    wanted = [(cut.of, own) for cut, own in zip(cuts, levels, strict=True)]
    (row,) = run_statement(quantiles_statement(scope, wanted), scope)
    # Equal values at several levels are one threshold, whichever way an engine interpolated them.
    return [sorted({to_threshold(float(value)) for value in values or ()}) for values in row]


def find_layout(scope: Scope, metrics: Sequence[PlannedMetric], adjustment: Adjustment) -> Layout:
    """Lay out metrics and what is known from before exposure, with the thresholds found now."""
    measured = [read_metric(planned) for planned in metrics]
    covariates = find_covariates(measured, adjustment)
    cuts = [cut for metric in measured for cut in metric.cuts]
    thresholds = find_thresholds(scope, [*cuts, *covariate_cuts(covariates)])
    return lay_out(measured, covariates, thresholds)


def measure(
    scope: Scope,
    columns: Sequence[Column],
    dimensions: Sequence[Dimension] = (),
    *,
    phases: Sequence[datetime] = (),
) -> ArmMoments:
    """Compute the moments of columns in each arm, and in each arm of each segment.

    Args:
        scope: Whose.
        columns: Of what.
        dimensions: How people are divided into segments.
        phases: When each phase but the first began, where people came in several.
    """
    largest: dict[int, tuple[float, ...]] = {}
    by_phase: list[dict[int, Moments]] = [{} for _ in range(len(phases) + 1)]
    in_segments: list[dict[str, list[dict[int, Moments]]]] = [{} for _ in dimensions]
    moved = 0
    statement = moments_statement(scope, columns, dimensions, phases)
    for row in run_statement(statement, scope):
        phase, arm_id, *rest = row if phases else (0, *row)
        places, (n, means, covariances, maxima) = rest[:-4], rest[-4:]
        place = _place(places)
        if arm_id is None:
            moved += n if place is None else 0
            continue
        moments = to_moments(n, means, covariances)
        if place is None:
            by_phase[phase][arm_id] = moments
            values = tuple(float(value) for value in maxima)
            largest[arm_id] = tuple(map(max, values, largest.get(arm_id, values)))
        else:
            index, name = place
            parts = in_segments[index].setdefault(name, [{} for _ in by_phase])
            parts[phase][arm_id] = moments
    by_segment = [
        {name: _add_up(parts) for name, parts in by_name.items()} for by_name in in_segments
    ]
    return ArmMoments(_add_up(by_phase), largest, by_segment, moved, by_phase, in_segments)


def read_values(scope: Scope, columns: Sequence[Column]) -> NDArray[np.float64]:
    """Return the columns' values of each person, in any order, shape (n, k)."""
    rows = run_statement(values_statement(scope, columns), scope)
    return np.array(rows, dtype=np.float64).reshape(-1, len(columns))


def count_by_day(scope: Scope) -> dict[date, int]:
    """Count who was exposed on each day (UTC)."""
    return {day: int(count) for day, count in run_statement(days_statement(scope), scope)}


def _add_up(phases: Sequence[Mapping[int, Moments]]) -> dict[int, Moments]:
    """Put the phases together, arm by arm."""
    found: dict[int, Moments] = {}
    for by_arm in phases:
        for arm_id, moments in by_arm.items():
            found[arm_id] = found[arm_id] + moments if arm_id in found else moments
    return found


def _count_exposed_since(moments: Sequence[datetime | None], scope: Scope) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*) FILTER (WHERE exposed_at > COALESCE(since, '-infinity'))
            FROM unnest(%s::timestamptz[]) WITH ORDINALITY AS given (since, place)
            CROSS JOIN experiments_exposure
            WHERE experiment_id = %s AND exposed_at <= %s
            GROUP BY place ORDER BY place
            """,
            [list(moments), scope.experiment_id, scope.now],
        )
        found = [int(count) for (count,) in cursor.fetchall()]
    return found or [0] * len(moments)


def to_moments(n: int, means: Sequence[float], covariances: Sequence[float | None]) -> Moments:
    """Put means and the lower triangle of covariances, row by row, together."""
    k = len(means)
    matrix = np.zeros((k, k))
    # One person has no covariance: null.
    matrix[np.tril_indices(k)] = [covariance or 0.0 for covariance in covariances]
    matrix += np.tril(matrix, -1).T
    return Moments(n, tuple(means), tuple(tuple(row) for row in matrix.tolist()))


def _place(places: Sequence[Any]) -> tuple[int, str] | None:
    """Say which segment a row is of: each dimension comes as whether it is left out, and a name."""
    for index in range(0, len(places), 2):
        if not places[index]:
            return index // 2, str(places[index + 1])
    return None


def run_statement(statement: Statement, scope: Scope) -> list[tuple[Any, ...]]:
    """Run a statement where the scope's people are.

    Engines that read the lake know of customers only who met an experiment. What asks for everybody
    who did something, as planning and replaying do, or for what people were given, is answered by
    PostgreSQL.
    """
    if scope.is_in_postgres_alone:
        postgres = load_engine("postgres")
        return postgres.run(
            statement.text, experiment_id=scope.experiment_id, since=statement.since
        )
    return run(statement.text, experiment_id=scope.experiment_id, since=statement.since)
