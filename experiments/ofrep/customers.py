"""Looks up who asks for flags and records what was met, for as long as PostgreSQL answers."""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from audience.customers.finding import BY_ANONYMOUS_ID, BY_KEY, FIND, Name, find_or_make
from experiments.assigning.exposures import MET_ARMS, Met, record_exposures, to_met_arms
from wire.breaker import Breaker
from wire.pools import UNFIT

logger = logging.getLogger(__name__)

# Clients give up after 5 seconds, and an answer without the customer is better than none.
PATIENCE_SECONDS = 1.0

UNREACHABLE = (*UNFIT, TimeoutError)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a customer: `id` is None for one who was not seen before."""

    key: str
    id: int | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    met: Mapping[int, int] = field(default_factory=dict)


class Customers:
    """The customers behind a pool of connections; without PostgreSQL, none is known."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection]) -> None:
        """Ask through this pool."""
        self._pool = pool
        self._breaker = Breaker()

    async def find(self, name: Name, experiments: Sequence[int]) -> Known | None:
        """Return what is known of a customer, in one query that changes nothing.

        Args:
            name: The customer's.
            experiments: The ids of those whose arms the customer may have met.

        Returns:
            None, if PostgreSQL does not answer in time.
        """
        where: LiteralString = BY_ANONYMOUS_ID if name.customer_key is None else BY_KEY
        params = {
            "key": name.customer_key,
            "anonymous_id": name.anonymous_id,
            "experiments": list(experiments),
        }
        if self._breaker.is_open:
            return None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), self._pool.connection() as connection:
                cursor = await connection.execute(FIND.format(columns=MET_ARMS) + where, params)
                row = await cursor.fetchone()
        except UNREACHABLE as error:
            self._give_up(error)
            return None
        self._breaker.close()
        if row is None:
            return Known(name.key)
        id_, key, attributes, met = row
        return Known(key, id_, attributes, to_met_arms(met))

    async def record(
        self, known: Known, name: Name, exposures: Iterable[tuple[int, int]], *, now: datetime
    ) -> bool:
        """Record that a customer met arms, and say whether that was possible.

        Args:
            known: What `find` returned; who was not seen before is made.
            name: By which it was found.
            exposures: Pairs of an experiment's and an arm's id.
            now: When.
        """
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), self._pool.connection() as connection:
                id_ = known.id
                if id_ is None:
                    id_ = (await find_or_make(connection, name, besides="", params={})).id
                async with connection.transaction():
                    await record_exposures(
                        connection,
                        [Met(experiment, id_, arm, now) for experiment, arm in exposures],
                    )
        except UNREACHABLE as error:
            self._give_up(error)
            return False
        return True

    def _give_up(self, error: Exception) -> None:
        # A connection that was found broken cost no time, and the next one may be sound.
        if isinstance(error, TimeoutError | PoolTimeout):
            self._breaker.open()
        logger.error("Flags are evaluated without their customers for now: %r", error)
