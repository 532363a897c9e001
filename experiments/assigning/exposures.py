"""Record who met which arm, the first time only; and recall it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg import AsyncConnection

# Part of a statement that names `met` who met which arm when. In one order, so that two batches
# that share customers never wait for each other in a circle.
EXPOSED: LiteralString = """
    INSERT INTO experiments_exposure (experiment_id, customer_id, arm_id, exposed_at)
    SELECT experiment_id, customer_id, arm_id, at FROM met
    ORDER BY experiment_id, customer_id
    ON CONFLICT (experiment_id, customer_id) DO NOTHING
"""
RECORD: LiteralString = f"""
    WITH met AS (
        SELECT * FROM unnest(%(experiments)s::bigint[], %(customers)s::bigint[], %(arms)s::bigint[],
                             %(times)s::timestamptz[])
            AS met (experiment_id, customer_id, arm_id, at)
    )
    {EXPOSED}
"""
# What comes late may have happened before what is known. The arm that is known stays, for it was
# served by that. In the order of `EXPOSED`, for the same reason.
ANTEDATE: LiteralString = """
    WITH earlier AS (
        SELECT exposure.id, met.at
        FROM unnest(%(experiments)s::bigint[], %(customers)s::bigint[], %(arms)s::bigint[],
                    %(times)s::timestamptz[]) AS met (experiment_id, customer_id, arm_id, at)
        JOIN experiments_exposure AS exposure USING (experiment_id, customer_id, arm_id)
        WHERE met.at < exposure.exposed_at
        ORDER BY experiment_id, customer_id
        FOR NO KEY UPDATE OF exposure
    )
    UPDATE experiments_exposure AS exposure SET exposed_at = earlier.at
    FROM earlier WHERE exposure.id = earlier.id
"""

# Of the customers that are one person, as `audience/customers/finding.py` finds them, in these
# experiments. Whom a visitor turned out to be inherits the visitor's arms; an own arm comes first.
_FIRST_MET: LiteralString = """
    (SELECT DISTINCT ON (experiment_id) experiment_id, customer_id, arm_id
     FROM experiments_exposure
     WHERE customer_id = ANY(person.ids) AND experiment_id = ANY(%(experiments)s)
     ORDER BY experiment_id, customer_id <> customer.id, exposed_at) AS met
"""
MET_ARMS: LiteralString = f""",
    (SELECT COALESCE(jsonb_object_agg(experiment_id, arm_id), '{{}}') FROM {_FIRST_MET})
"""
# Under which key they met it, where that is another one than the customer's own; most people have
# one name, and nothing is read for them.
MET_AS: LiteralString = f""",
    (SELECT COALESCE(jsonb_object_agg(met.experiment_id, named.external_key), '{{}}')
     FROM {_FIRST_MET}
     JOIN audience_customer AS named ON named.id = met.customer_id
     WHERE met.customer_id <> customer.id AND cardinality(person.ids) > 1)
"""


@dataclass(frozen=True, slots=True)
class Met:
    """A customer met an arm."""

    experiment_id: int
    customer_id: int
    arm_id: int
    at: datetime


async def record_exposures(connection: AsyncConnection, met: Sequence[Met]) -> None:
    """Record exposures in the transaction at hand; those already known stay as they are."""
    await connection.execute(RECORD, _to_arrays(met))


async def record_late_exposures(connection: AsyncConnection, met: Sequence[Met]) -> None:
    """Do the same for what may have happened long ago: of one arm, the first time counts."""
    await record_exposures(connection, met)
    await connection.execute(ANTEDATE, _to_arrays(met))


def _to_arrays(met: Sequence[Met]) -> dict[str, list[Any]]:
    return {
        "experiments": [m.experiment_id for m in met],
        "customers": [m.customer_id for m in met],
        "arms": [m.arm_id for m in met],
        "times": [m.at for m in met],
    }


def to_met_arms(column: Mapping[str, int]) -> dict[int, int]:
    """Read the column `MET_ARMS`: which arm was met, by the experiment's id."""
    return {int(experiment): arm for experiment, arm in column.items()}
