"""Store incoming messages: customers, identities and events, each message once."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from audience.incoming import ANONYMOUS_PREFIX, Incoming
from audience.partitions import Months, event_partition

# Only messages that were never received go on; a retry finds its id here and stops.
# Ordering keeps two batches that share messages from waiting for each other in a circle.
RECEIVE = """
    INSERT INTO audience_receivedmessage (source_id, message_id)
    SELECT %(source)s, id FROM unnest(%(ids)s::text[]) AS id ORDER BY id
    ON CONFLICT DO NOTHING
    RETURNING message_id
"""

CREATE_CUSTOMERS = """
    INSERT INTO audience_customer (external_key, attributes)
    SELECT key, '{}' FROM unnest(%(keys)s::text[]) AS key ORDER BY key
    ON CONFLICT (external_key) DO NOTHING
"""

# An anonymous id that nobody has yet belongs to whoever came with it, or to itself.
CREATE_IDENTITIES = """
    INSERT INTO audience_identity (kind, value, customer_id)
    SELECT 'anonymous_id', link.anonymous_id, customer.id
    FROM unnest(%(anonymous_ids)s::text[], %(keys)s::text[]) AS link (anonymous_id, key)
    JOIN audience_customer AS customer ON customer.external_key = link.key
    ORDER BY link.anonymous_id
    ON CONFLICT (kind, value) DO NOTHING
"""

# A visitor who logs in turns out to be a customer: what was anonymous is merged into the customer.
# A browser that another customer used before is handed over, and nothing is merged.
MERGE_CUSTOMERS = """
    UPDATE audience_customer AS visitor
    SET merged_into_id = COALESCE(customer.merged_into_id, customer.id), updated_at = now()
    FROM unnest(%(anonymous_ids)s::text[], %(keys)s::text[]) AS link (anonymous_id, key)
    JOIN audience_identity AS identity
      ON identity.kind = 'anonymous_id' AND identity.value = link.anonymous_id
    JOIN audience_customer AS customer ON customer.external_key = link.key
    WHERE visitor.id = identity.customer_id
      AND visitor.external_key = %(prefix)s || link.anonymous_id
      AND visitor.id <> customer.id
      AND visitor.merged_into_id IS NULL
"""

HAND_OVER_IDENTITIES = """
    UPDATE audience_identity AS identity
    SET customer_id = customer.id
    FROM unnest(%(anonymous_ids)s::text[], %(keys)s::text[]) AS link (anonymous_id, key)
    JOIN audience_customer AS customer ON customer.external_key = link.key
    WHERE identity.kind = 'anonymous_id' AND identity.value = link.anonymous_id
      AND identity.customer_id <> customer.id
"""

FIND_STRANGERS = """
    SELECT candidate FROM unnest(%s::text[]) AS candidate
    WHERE NOT EXISTS (
        SELECT 1 FROM audience_identity WHERE kind = 'anonymous_id' AND value = candidate)
    ORDER BY candidate
"""

SET_ATTRIBUTES = """
    UPDATE audience_customer AS customer
    SET attributes = customer.attributes || trait.traits, updated_at = now()
    FROM jsonb_to_recordset(%(traits)s) AS trait (key text, traits jsonb)
    WHERE customer.external_key = trait.key
"""

STORE_EVENTS = """
    INSERT INTO audience_event
        (occurred_at, customer_id, source_id, message_id, name, value, properties)
    SELECT item.occurred_at, COALESCE(customer.id, identity.customer_id), %(source)s,
           item.message_id, item.name, item.value, item.properties
    FROM jsonb_to_recordset(%(events)s) AS item (
        occurred_at timestamptz, key text, anonymous_id text, message_id text,
        name text, value double precision, properties jsonb)
    LEFT JOIN audience_customer AS customer ON customer.external_key = item.key
    LEFT JOIN audience_identity AS identity
      ON item.key IS NULL AND identity.kind = 'anonymous_id'
     AND identity.value = item.anonymous_id
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
            cursor = await connection.execute(RECEIVE, {"source": source_id, "ids": sorted(by_id)})
            fresh_ids = {message_id for (message_id,) in await cursor.fetchall()}
            # In the order of the batch: a later trait wins.
            fresh = [m for m in messages if by_id[m.message_id] is m and m.message_id in fresh_ids]
            await _store_fresh(connection, fresh, source_id=source_id)
        return Stored(new=len(fresh), repeated=len(messages) - len(fresh))


async def _store_fresh(
    connection: AsyncConnection, messages: Sequence[Incoming], *, source_id: int
) -> None:
    keys = {m.customer_key for m in messages if m.customer_key is not None}
    anonymous = {m.anonymous_id for m in messages if m.anonymous_id is not None}
    links = {
        m.anonymous_id: m.customer_key
        for m in messages
        if m.anonymous_id is not None and m.customer_key is not None
    }
    if links:
        keyed = {"anonymous_ids": list(links), "keys": list(links.values())}
        await connection.execute(CREATE_CUSTOMERS, {"keys": sorted(keys)})
        await connection.execute(CREATE_IDENTITIES, keyed)
        await connection.execute(MERGE_CUSTOMERS, {**keyed, "prefix": ANONYMOUS_PREFIX})
        await connection.execute(HAND_OVER_IDENTITIES, keyed)
    elif keys:
        await connection.execute(CREATE_CUSTOMERS, {"keys": sorted(keys)})
    strangers = await _find_strangers(connection, sorted(anonymous - set(links)))
    if strangers:
        own_keys = [ANONYMOUS_PREFIX + stranger for stranger in strangers]
        await connection.execute(CREATE_CUSTOMERS, {"keys": sorted(own_keys)})
        await connection.execute(CREATE_IDENTITIES, {"anonymous_ids": strangers, "keys": own_keys})
    traits = _merge_traits(messages)
    if traits:
        await connection.execute(SET_ATTRIBUTES, {"traits": Jsonb(traits)})
    events = [_event_row(m) for m in messages if m.name is not None]
    if events:
        await connection.execute(STORE_EVENTS, {"source": source_id, "events": Jsonb(events)})


async def _find_strangers(connection: AsyncConnection, anonymous_ids: list[str]) -> list[str]:
    """Return the anonymous ids that belong to nobody yet."""
    if not anonymous_ids:
        return []
    cursor = await connection.execute(
        FIND_STRANGERS,
        [anonymous_ids],
    )
    return [row[0] for row in await cursor.fetchall()]


def _merge_traits(messages: Sequence[Incoming]) -> list[dict[str, object]]:
    """Return each customer's new traits; a later message overrides an earlier one."""
    merged: dict[str, dict[str, object]] = {}
    for message in messages:
        if message.traits:
            key = message.customer_key or f"{ANONYMOUS_PREFIX}{message.anonymous_id}"
            merged.setdefault(key, {}).update(message.traits)
    return [{"key": key, "traits": traits} for key, traits in sorted(merged.items())]


def _event_row(message: Incoming) -> dict[str, object]:
    return {
        "occurred_at": message.occurred_at.isoformat(),
        "key": message.customer_key,
        "anonymous_id": message.anonymous_id,
        "message_id": message.message_id,
        "name": message.name,
        "value": message.value,
        "properties": message.properties,
    }
