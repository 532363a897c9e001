"""Turn exposures and events into moments per arm: the only analysis SQL, one query."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from django.db import connection, transaction
from psycopg import sql

from experiments.metrics.base import Aggregate
from experiments.stats.moments import Moments

# A customer merged into another counts as that other. Whoever was met in two arms, which only a
# merge can do, belongs to neither: arm_id is null there.
QUERY = sql.SQL("""
    WITH exposed AS (
        SELECT COALESCE(customer.merged_into_id, customer.id) AS person,
               CASE WHEN count(DISTINCT exposure.arm_id) = 1 THEN min(exposure.arm_id) END
                   AS arm_id,
               min(exposure.exposed_at) AS exposed_at
        FROM experiments_exposure AS exposure
        JOIN audience_customer AS customer ON customer.id = exposure.customer_id
        WHERE exposure.experiment_id = %(experiment)s AND exposure.exposed_at <= %(now)s
        GROUP BY 1
    ), happened AS (
        SELECT COALESCE(customer.merged_into_id, customer.id) AS person,
               event.name, event.occurred_at, event.value
        FROM audience_event AS event
        JOIN audience_customer AS customer ON customer.id = event.customer_id
        WHERE event.name = ANY(%(names)s) AND event.occurred_at <= %(now)s
          AND event.occurred_at >= (SELECT min(exposed_at) FROM exposed)
    ), contributed AS (
        SELECT exposed.arm_id, {columns}
        FROM exposed
        LEFT JOIN happened ON happened.person = exposed.person
                          AND happened.occurred_at >= exposed.exposed_at
        GROUP BY exposed.person, exposed.arm_id
    )
    SELECT arm_id, count(*), ARRAY[{means}], ARRAY[{covariances}]
    FROM contributed GROUP BY arm_id
""")

# Any number: it tells these locks from others.
CLAIM = 0x0FFE21AC

COLUMN = {
    "any": "(count(*) FILTER (WHERE {filter}) > 0)::int::double precision",
    "count": "count(*) FILTER (WHERE {filter})::double precision",
    "sum": "COALESCE(sum(happened.value) FILTER (WHERE {filter}), 0)::double precision",
}


@dataclass(frozen=True, slots=True)
class ArmMoments:
    """The moments of every arm that somebody met, by arm id, and who was met in two arms."""

    by_arm: dict[int, Moments]
    moved: int


def claim_analysis(experiment_id: int) -> bool:
    """Keep other workers from this experiment's analysis until the transaction at hand ends.

    A lock of its own: one on the row would let everybody who asks for an analysis, or stops the
    experiment, wait until this one is done.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [CLAIM, experiment_id])
        (is_ours,) = cursor.fetchone()
    return bool(is_ours)


def measure(experiment_id: int, aggregates: Sequence[Aggregate], *, now: datetime) -> ArmMoments:
    """Compute each arm's moments of the aggregates, one column each, as of `now`."""
    columns = [_column(aggregate, index) for index, aggregate in enumerate(aggregates)]
    k = len(aggregates)
    pairs = [(i, j) for i in range(k) for j in range(i + 1)]
    query = QUERY.format(
        columns=sql.SQL(", ").join(columns),
        means=sql.SQL(", ").join(sql.SQL("avg({})").format(_name(i)) for i in range(k)),
        covariances=sql.SQL(", ").join(
            sql.SQL("covar_samp({}, {})").format(_name(i), _name(j)) for i, j in pairs
        ),
    )
    parameters: dict[str, Any] = {
        "experiment": experiment_id,
        "now": now,
        "names": sorted({aggregate.event for aggregate in aggregates}),
    }
    with transaction.atomic(), connection.cursor() as cursor:
        # The planner cannot tell how many people a merge leaves, guesses few, and would then
        # compare every customer with every event. What reads everything is hashed.
        cursor.execute("SET LOCAL enable_nestloop = off")
        cursor.execute(query.as_string(cursor.cursor), parameters)
        rows = cursor.fetchall()
        cursor.execute("SET LOCAL enable_nestloop = on")
    return ArmMoments(
        by_arm={
            arm_id: _to_moments(n, means, covariances, pairs)
            for arm_id, n, means, covariances in rows
            if arm_id is not None
        },
        moved=sum(n for arm_id, n, _, _ in rows if arm_id is None),
    )


def _name(index: int) -> sql.Identifier:
    return sql.Identifier(f"c{index}")


def _column(aggregate: Aggregate, index: int) -> sql.Composed:
    condition = sql.SQL("happened.name = {}").format(sql.Literal(aggregate.event))
    if aggregate.window_seconds is not None:
        condition += sql.SQL(
            " AND happened.occurred_at < exposed.exposed_at + make_interval(secs => {})"
        ).format(sql.Literal(aggregate.window_seconds))
    return sql.SQL(COLUMN[aggregate.how] + " AS {name}").format(filter=condition, name=_name(index))


def _to_moments(
    n: int, means: Sequence[float], covariances: Sequence[Any], pairs: Sequence[tuple[int, int]]
) -> Moments:
    matrix = np.zeros((len(means), len(means)))
    for (i, j), covariance in zip(pairs, covariances, strict=True):
        # One customer has no covariance: null.
        matrix[i, j] = matrix[j, i] = covariance or 0.0
    return Moments(n, tuple(means), tuple(tuple(row) for row in matrix.tolist()))
