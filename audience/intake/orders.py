"""Settle orders as their events are stored: each counts once, and reversals take back their part.

A person's orders are looked up by their ids, among the events of all the customers that this person
turned out to be. Not among everybody's: whoever has the public key of a web page could otherwise
claim orders before those who place them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString

from msgspec.structs import replace
from psycopg import AsyncConnection

from audience.commerce import (
    ONCE,
    ORDER_ID,
    ORDERED,
    REVERSALS,
    WAITING,
    Order,
    order_id_of,
    taken_back,
)
from audience.intake.listening import TOLD_COLUMNS, Told, to_told
from audience.intake.rejecting import Rejection, reject

NAMES = [ORDERED, *REVERSALS, *WAITING.values()]
WAITED_FOR = {waiting: name for name, waiting in WAITING.items()}
# An order and its refund may be stored at the same moment: one of them waits here for the other
# to be committed. The number tells these locks from others. There are few of them, because
# PostgreSQL has room for some thousands in all.
LOCK_NUMBER: LiteralString = "abs(hashtext(order_id) %% 64)"
LOCK: LiteralString = f"""
    SELECT pg_advisory_xact_lock(x'0FFE21AE'::int, number) FROM (
        SELECT DISTINCT {LOCK_NUMBER} AS number
        FROM unnest(%(orders)s::text[]) AS order_id ORDER BY number) AS locks
"""
FIND = f"""
    SELECT asked.customer_id, asked.order_id, person.id, event.id, {TOLD_COLUMNS}
    FROM unnest(%(customers)s::bigint[], %(orders)s::text[]) AS asked (customer_id, order_id)
    CROSS JOIN LATERAL (
        SELECT COALESCE(merged_into_id, id) AS id FROM audience_customer
        WHERE id = asked.customer_id
    ) AS person
    LEFT JOIN LATERAL (
        SELECT * FROM audience_event
        WHERE customer_id = ANY(ARRAY(
                SELECT person.id UNION ALL
                SELECT id FROM audience_customer WHERE merged_into_id = person.id))
          AND name = ANY(%(names)s)
          AND {ORDER_ID} = asked.order_id
    ) AS event ON true
    ORDER BY event.id
"""


@dataclass(slots=True)
class Standing:
    """What is known of one order so far."""

    order: Order | None = None
    before: float = 0.0
    done: set[str] = field(default_factory=set)
    waiting: list[Told] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Settled:
    """What is to be stored, and what is not because it was counted before."""

    stored: Sequence[Told]
    repeated: Sequence[Rejection]


async def settle_orders(connection: AsyncConnection[Any], told: Sequence[Told]) -> Settled:
    """Give reversals their amounts and leave out what came before, in the transaction at hand.

    The same order may come from a browser and from a server, as two messages: the first counts.
    A reversal that says no amount and comes before its order waits under another name, and is
    stored under its own, with the amount, together with the order.
    """
    ids = [order_id_told(each) for each in told]
    if not any(ids):
        return Settled(told, ())
    asked = {(each.customer_id, id_) for each, id_ in zip(told, ids, strict=True) if id_}
    standings = await _find(connection, asked)
    stored: list[Told] = []
    repeated: list[Rejection] = []
    # Orders first: who sent both together meant them in this order.
    for is_order in (True, False):
        for each, id_ in zip(told, ids, strict=True):
            if (each.message.name == ORDERED) != is_order:
                continue
            if id_ is None:
                stored.append(each)
                continue
            taken = take(standings[each.customer_id, id_], each, id_)
            if isinstance(taken, Rejection):
                repeated.append(taken)
            else:
                stored.extend(taken)
    return Settled(stored, repeated)


async def lock_orders(connection: AsyncConnection[Any], order_ids: Sequence[str]) -> None:
    """Keep others from storing events of these orders until the transaction ends."""
    await connection.execute(LOCK, {"orders": order_ids})


def order_id_told(told: Told) -> str | None:
    """Return the id of the order that an event is one of; None if it is of none."""
    return order_id_in(told.message.name, told.message.properties)


def order_id_in(name: str | None, properties: Mapping[str, Any]) -> str | None:
    """Return the id of the order that an event of this name is one of; None if it is of none."""
    return order_id_of(properties) if name == ORDERED or name in REVERSALS else None


def take(
    standing: Standing, told: Told, order_id: str, *, said: float | None = None
) -> Sequence[Told] | Rejection:
    """Note an event of an order that is new, and return what is to be stored for it.

    Args:
        standing: What is known of the order.
        told: The event.
        order_id: Of the order.
        said: How much it takes back, where that was said beside its properties.

    Returns:
        The events, among them what had waited for the order; or why there is nothing to store.
    """
    message = told.message
    assert message.name is not None, "only events are settled"
    if message.name in standing.done:
        return reject(
            told, f"{message.name} of the order {order_id!r} came before, and counts once."
        )
    if message.name in ONCE:
        standing.done.add(message.name)
    if message.name == ORDERED:
        standing.order = Order(message.value, message.properties)
        waiting, standing.waiting = standing.waiting, []
        return [told, *(_reverse(standing, each) for each in waiting)]
    if standing.order is None and message.value is None:
        return [replace(told, message=replace(message, name=WAITING[message.name]))]
    return [_reverse(standing, told, said=said)]


def _reverse(standing: Standing, told: Told, *, said: float | None = None) -> Told:
    """Return a reversal with the amount that it takes back."""
    message = told.message
    assert message.name is not None, "only events are settled"
    if standing.order is None:
        amount = None if message.value is None else abs(message.value)
    else:
        amount = taken_back(
            message.name,
            message.properties,
            order=standing.order,
            before=standing.before,
            said=said,
        )
    standing.before += amount or 0.0
    return replace(told, message=replace(message, value=amount))


async def _find(
    connection: AsyncConnection[Any], asked: Iterable[tuple[int, str]]
) -> Mapping[tuple[int, str], Standing]:
    """Find what was stored of orders, by the customers and the orders' ids; keep others waiting."""
    pairs = sorted(asked)
    params = {"customers": [c for c, _ in pairs], "orders": [o for _, o in pairs], "names": NAMES}
    await lock_orders(connection, [order for _, order in pairs])
    rows = await (await connection.execute(FIND, params)).fetchall()
    # Two customers who are one person share what is known, and each event is met once.
    by_person: dict[tuple[int, str], Standing] = {}
    found: dict[tuple[int, str], Standing] = {}
    met: set[tuple[int, str, int]] = set()
    for customer_id, order_id, person, event_id, *event in rows:
        standing = by_person.setdefault((person, order_id), Standing())
        found[customer_id, order_id] = standing
        if event_id is not None and (person, order_id, event_id) not in met:
            met.add((person, order_id, event_id))
            recall(standing, to_told(event))
    return found


def recall(standing: Standing, told: Told) -> None:
    """Take note of an event that was stored before."""
    name, value = told.message.name, told.message.value
    assert name is not None, "it is stored as an event"
    meant = WAITED_FOR.get(name, name)
    if meant in ONCE:
        standing.done.add(meant)
    if name == ORDERED:
        standing.order = standing.order or Order(value, told.message.properties)
        # They were settled when it came.
        standing.waiting.clear()
    elif name in REVERSALS:
        standing.before += abs(value or 0.0)
    elif standing.order is None:
        standing.waiting.append(replace(told, message=replace(told.message, name=meant)))
