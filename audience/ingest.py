"""Store incoming messages: traits and events of customers, each message once."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from audience.incoming import Incoming
from audience.linking import Found, find_customers
from audience.partitions import Months, event_partition

logger = logging.getLogger(__name__)

# A customer's attributes are read whenever an offer is decided: a sender cannot grow them for ever.
ATTRIBUTES_BYTES = 64 * 1024

# Only messages that were never received go on; a retry finds its id here and stops.
# Ordering keeps two batches that share messages from waiting for each other in a circle.
RECEIVE = """
    INSERT INTO audience_receivedmessage (source_id, message_id)
    SELECT %(source)s, id FROM unnest(%(ids)s::text[]) AS id ORDER BY id
    ON CONFLICT DO NOTHING
    RETURNING message_id
"""

SET_ATTRIBUTES = """
    UPDATE audience_customer AS customer
    SET attributes = customer.attributes || trait.traits, updated_at = now()
    FROM jsonb_to_recordset(%(traits)s) AS trait (id bigint, traits jsonb)
    WHERE customer.id = trait.id
      AND octet_length((customer.attributes || trait.traits)::text) <= %(limit)s
"""

STORE_EVENTS = """
    INSERT INTO audience_event
        (occurred_at, customer_id, source_id, message_id, name, value, properties)
    SELECT item.occurred_at, item.customer_id, %(source)s,
           item.message_id, item.name, item.value, item.properties
    FROM jsonb_to_recordset(%(events)s) AS item (
        occurred_at timestamptz, customer_id bigint, message_id text,
        name text, value double precision, properties jsonb)
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """How many messages were new, and how many had come before."""

    new: int
    repeated: int


class Ingest:
    """Stores messages through a pool; an acknowledged message is committed."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection]) -> None:
        """Keep the pool."""
        self._pool = pool
        self._months = Months(pool, event_partition)

    async def store(self, messages: Sequence[Incoming], *, source_id: int) -> Stored:
        """Store a batch in one transaction, all of it or nothing."""
        by_id = {message.message_id: message for message in reversed(messages)}
        if not by_id:
            return Stored(new=0, repeated=0)
        await self._months.prepare(m.occurred_at for m in messages if m.name is not None)
        async with self._pool.connection() as connection, connection.transaction():
            cursor = await connection.execute(RECEIVE, {"source": source_id, "ids": list(by_id)})
            fresh_ids = {message_id for (message_id,) in await cursor.fetchall()}
            # In the order of the batch: a later trait wins.
            fresh = [m for m in messages if by_id[m.message_id] is m and m.message_id in fresh_ids]
            if fresh:
                found = await find_customers(connection, fresh)
                await _set_attributes(connection, fresh, found)
                await _store_events(connection, fresh, found, source_id=source_id)
        return Stored(new=len(fresh), repeated=len(messages) - len(fresh))


async def _set_attributes(
    connection: AsyncConnection, messages: Sequence[Incoming], found: Found
) -> None:
    """Add traits to those already known; a later message overrides an earlier one."""
    merged: dict[int, dict[str, object]] = {}
    for message in messages:
        if message.traits:
            merged.setdefault(found.customer_of(message), {}).update(message.traits)
    if not merged:
        return
    traits = [{"id": id_, "traits": traits} for id_, traits in merged.items()]
    cursor = await connection.execute(
        SET_ATTRIBUTES, {"traits": Jsonb(traits), "limit": ATTRIBUTES_BYTES}
    )
    if cursor.rowcount < len(traits):
        logger.warning(
            "Traits of %s customers were left out: their attributes would pass %s bytes",
            len(traits) - cursor.rowcount,
            ATTRIBUTES_BYTES,
        )


async def _store_events(
    connection: AsyncConnection, messages: Sequence[Incoming], found: Found, *, source_id: int
) -> None:
    events = [
        {
            "occurred_at": message.occurred_at.isoformat(),
            "customer_id": found.customer_of(message),
            "message_id": message.message_id,
            "name": message.name,
            "value": message.value,
            "properties": message.properties,
        }
        for message in messages
        if message.name is not None
    ]
    if events:
        await connection.execute(STORE_EVENTS, {"source": source_id, "events": Jsonb(events)})
