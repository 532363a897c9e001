"""Store incoming messages: traits and events of customers, each message once."""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import psycopg
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from audience.incoming import GROUP, Incoming
from audience.intake.doubled_orders import correct_orders
from audience.intake.linking import NOBODY, find_customers
from audience.intake.listening import Listener, Told
from audience.intake.orders import settle_orders
from audience.intake.rejecting import record_rejections
from audience.keeping.partitions import Months, event_partition
from wire.batches import Batches
from wire.dispatcher import unavailable
from wire.pools import UNFIT

logger = logging.getLogger(__name__)

# A customer's attributes are read whenever an offer is decided: a sender cannot grow them for ever.
ATTRIBUTES_BYTES = 64 * 1024
# How many requests share a transaction, and how many transactions run, at most.
SHARING = 8
AT_ONCE = 3
# Whoever has waited so long is asked to come again; no library waits much longer for an answer.
PATIENCE_SECONDS = 10.0

# How many customers' ids are remembered, with their keys: some ten megabytes.
MOST_REMEMBERED = 50_000

# Only messages that were never received go on; a retry is found here by its id, and returned.
# Ordering keeps two batches that share messages from waiting for each other in a circle.
RECEIVE = """
    WITH sent AS (
        SELECT source::bigint, id
        FROM jsonb_each(%(ids)s) AS by_source (source, ids), jsonb_array_elements_text(ids) AS id
    ), fresh AS (
        INSERT INTO audience_receivedmessage (source_id, message_id)
        SELECT source, id FROM sent ORDER BY source, id
        ON CONFLICT DO NOTHING
        RETURNING source_id, message_id)
    SELECT source, id FROM sent
    WHERE (SELECT count(*) FROM fresh) < %(count)s
      AND NOT EXISTS (SELECT FROM fresh WHERE source_id = source AND message_id = id)
"""

# What is said of the group that a customer is known to belong to is added to what is known of it.
SET_ATTRIBUTES = f"""
    UPDATE audience_customer AS customer
    SET attributes = customer.attributes || trait.traits, updated_at = now()
    FROM (
        SELECT sent.id, CASE
            WHEN known.attributes #>> '{{{GROUP},id}}' = sent.traits #>> '{{{GROUP},id}}'
            THEN sent.traits || jsonb_build_object(
                '{GROUP}', (known.attributes -> '{GROUP}') || (sent.traits -> '{GROUP}'))
            ELSE sent.traits END AS traits
        FROM jsonb_to_recordset(%(traits)s) AS sent (id bigint, traits jsonb)
        JOIN audience_customer AS known ON known.id = sent.id
    ) AS trait
    WHERE customer.id = trait.id
      AND octet_length((customer.attributes || trait.traits)::text) <= %(limit)s
    RETURNING customer.id
"""

STORE_EVENTS = """
    INSERT INTO audience_event
        (occurred_at, customer_id, source_id, message_id, name, value, properties)
    SELECT item.occurred_at, item.customer_id, item.source_id,
           item.message_id, item.name, item.value, item.properties
    FROM jsonb_to_recordset(%(events)s) AS item (
        occurred_at timestamptz, customer_id bigint, source_id bigint, message_id text,
        name text, value double precision, properties jsonb)
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """How many messages were new, and how many had come before."""

    new: int
    repeated: int


@dataclass(frozen=True, slots=True)
class _Sent:
    """The messages of one request, and who sent them."""

    source_id: int
    messages: Sequence[Incoming]


class Ingest:
    """Stores messages through a pool; an acknowledged message is committed."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection],
        *,
        listeners: Sequence[Listener] = (),
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """Keep the pool, who is told of new events as they are stored, and how long to wait."""
        self._patience_seconds = patience_seconds
        self._pool = pool
        self._listeners = listeners
        self._months = Months(pool, event_partition)
        self._remembered: dict[str, int] = {}
        self._batches = Batches(self._try_together, at_once=AT_ONCE, largest=SHARING)

    async def store(self, messages: Sequence[Incoming], *, source_id: int) -> Stored:
        """Store a batch, all of it or nothing, in one transaction with others that wait.

        Raises:
            Problem: The database is too busy (503); what was sent may be stored all the same.
            psycopg.Error: It cannot be reached, or takes nothing now: one of `UNFIT`.
        """
        if not messages:
            return Stored(new=0, repeated=0)
        # By itself, so that a month that cannot be made fails nobody else.
        await self._months.prepare(m.occurred_at for m in messages if m.name is not None)
        try:
            async with asyncio.timeout(self._patience_seconds):
                stored = await self._batches.do(_Sent(source_id, messages))
        except TimeoutError as error:
            raise unavailable() from error
        if isinstance(stored, Stored):
            return stored
        raise stored

    async def _try_together(self, requests: Sequence[_Sent]) -> Sequence[Stored | psycopg.Error]:
        """Store the messages of several requests, or fail them all where nobody is at fault.

        To try each by itself would take as long again for every one of them.
        """
        try:
            try:
                return await self._store_together(requests)
            except (psycopg.errors.ForeignKeyViolation, psycopg.errors.DeadlockDetected):
                # Somebody was erased who is remembered here; or others waited for this one and it
                # for them, such as two that log the first decision of a month.
                self._remembered.clear()
                return await self._store_together(requests)
        except UNFIT as error:
            return [error] * len(requests)

    async def _store_together(self, requests: Sequence[_Sent]) -> Sequence[Stored]:
        by_id: dict[tuple[int, str], Incoming] = {}
        for request in requests:
            for message in request.messages:
                by_id.setdefault((request.source_id, message.message_id), message)
        # In a pipeline, statements whose answer nobody needs share a round trip with the commit.
        async with (
            self._pool.connection() as connection,
            connection.pipeline(),
            connection.transaction(),
        ):
            repeated = await _receive(connection, by_id)
            # In the order of their coming: a later trait wins.
            fresh = {id_: message for id_, message in by_id.items() if id_ not in repeated}
            by_key = await self._store_fresh(connection, fresh) if fresh else NOBODY
        self._remember(by_key)
        fresh_ids = set(fresh)
        stored: list[Stored] = []
        for request in requests:
            ids = {(request.source_id, message.message_id) for message in request.messages}
            # What two requests bring is new by the first of them.
            new = len(ids & fresh_ids)
            fresh_ids -= ids
            stored.append(Stored(new=new, repeated=len(request.messages) - new))
        return stored

    async def _store_fresh(
        self, connection: AsyncConnection, fresh: Mapping[tuple[int, str], Incoming]
    ) -> Mapping[str, int]:
        """Store messages, and return the ids of the customers that they name by a key."""
        found = await find_customers(connection, list(fresh.values()), remembered=self._remembered)
        about = [
            Told(message, found.customer_of(message), source_id)
            for (source_id, _), message in fresh.items()
        ]
        await _set_attributes(connection, about)
        events = [told for told in about if told.message.name is not None]
        corrected = await correct_orders(connection, found.joined, events)
        await _store_events(connection, corrected.to_store)
        settled = await settle_orders(connection, events)
        await record_rejections(connection, [*corrected.repeated, *settled.repeated])
        await _store_events(connection, settled.stored)
        if heard := [*corrected.renamed, *corrected.to_store, *settled.stored]:
            for listen in self._listeners:
                await listen(connection, heard)
        return found.by_key

    def _remember(self, by_key: Mapping[str, int]) -> None:
        """Keep customers' ids, which stay as they are, for as long as there is room."""
        if len(self._remembered) > MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered.update(by_key)


async def _receive(
    connection: AsyncConnection, ids: Iterable[tuple[int, str]]
) -> set[tuple[int, str]]:
    """Note that messages were received; return those that had been before."""
    by_source: dict[int, list[str]] = {}
    for source_id, message_id in ids:
        by_source.setdefault(source_id, []).append(message_id)
    count = sum(map(len, by_source.values()))
    cursor = await connection.execute(RECEIVE, {"ids": to_jsonb(by_source), "count": count})
    return set(await cursor.fetchall())


async def _set_attributes(connection: AsyncConnection, about: Sequence[Told]) -> None:
    """Add traits to those already known; a later message overrides an earlier one."""
    merged: dict[int, dict[str, Any]] = {}
    for told in about:
        if told.message.traits:
            _add_traits(merged.setdefault(told.customer_id, {}), told.message.traits)
    if not merged:
        return
    traits = [{"id": id_, "traits": traits} for id_, traits in merged.items()]
    cursor = await connection.execute(
        SET_ATTRIBUTES, {"traits": to_jsonb(traits), "limit": ATTRIBUTES_BYTES}
    )
    described = len(await cursor.fetchall())
    if described < len(traits):
        logger.warning(
            "Traits of %s customers were left out: their attributes would pass %s bytes",
            len(traits) - described,
            ATTRIBUTES_BYTES,
        )


def _add_traits(known: dict[str, Any], traits: Mapping[str, Any]) -> None:
    """Add traits as `SET_ATTRIBUTES` does."""
    group, before = traits.get(GROUP), known.get(GROUP)
    known.update(traits)
    if isinstance(group, dict) and isinstance(before, dict) and group.get("id") == before.get("id"):
        known[GROUP] = {**before, **group}


async def _store_events(connection: AsyncConnection, events: Sequence[Told]) -> None:
    if events:
        await connection.execute(STORE_EVENTS, {"events": write_events(events)})


def write_events(events: Sequence[Told]) -> Jsonb:
    """Write the parameter of `STORE_EVENTS`."""
    rows = [
        {
            "occurred_at": told.message.occurred_at,
            "customer_id": told.customer_id,
            "source_id": told.source_id,
            "message_id": told.message.message_id,
            "name": told.message.name,
            "value": told.message.value,
            "properties": told.message.properties,
        }
        for told in events
    ]
    return to_jsonb(rows)


def to_jsonb(value: object) -> Jsonb:
    """Write a value as JSON for the database, faster than the driver does."""
    return Jsonb(value, dumps=msgspec.json.encode)
