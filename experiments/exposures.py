"""Record who met which arm, the first time only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection

# In one order, so that two batches that share customers never wait for each other in a circle.
RECORD = """
    INSERT INTO experiments_exposure (experiment_id, customer_id, arm_id, exposed_at)
    SELECT experiment, customer, arm, at
    FROM unnest(%(experiments)s::bigint[], %(customers)s::bigint[], %(arms)s::bigint[],
                %(times)s::timestamptz[]) AS met (experiment, customer, arm, at)
    ORDER BY experiment, customer
    ON CONFLICT (experiment_id, customer_id) DO NOTHING
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
    await connection.execute(
        RECORD,
        {
            "experiments": [m.experiment_id for m in met],
            "customers": [m.customer_id for m in met],
            "arms": [m.arm_id for m in met],
            "times": [m.at for m in met],
        },
    )
