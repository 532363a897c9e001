"""Let orders count once that came under two names before these turned out to be one person.

What was counted too often keeps all that was said and stands under another name from then on, which
no metric counts. Which events these are is noted, for whoever holds a copy: the columns in memory
and the lake.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace
from psycopg import AsyncConnection

from audience.commerce import (
    CANCELLED,
    DIGITS,
    ORDER_ID,
    ORDERED,
    REPEATED,
    REVERSALS,
    WAITING,
    Order,
    order_id_of,
    taken_back,
)
from audience.intake.listening import TOLD_COLUMNS, Told, to_told
from audience.intake.orders import NAMES, WAITED_FOR, lock_orders, order_id_told
from audience.intake.rejecting import Rejection, reject

THEIRS = f"""
    SELECT DISTINCT {ORDER_ID} FROM audience_event
    WHERE customer_id = ANY(%(joined)s) AND name = ANY(%(names)s) AND {ORDER_ID} IS NOT NULL
"""
# OFFSET 0 keeps the look-up of a name's events apart, so that each finds its own index range.
FIND = f"""
    SELECT person.id, event.id, {TOLD_COLUMNS}
    FROM (SELECT DISTINCT merged_into_id AS id FROM audience_customer
          WHERE id = ANY(%(joined)s) AND merged_into_id IS NOT NULL) AS person
    JOIN audience_customer AS same ON same.id = person.id OR same.merged_into_id = person.id
    CROSS JOIN LATERAL (
        SELECT * FROM audience_event
        WHERE customer_id = same.id AND name = ANY(%(names)s) AND {ORDER_ID} = ANY(%(orders)s)
        OFFSET 0) AS event
    ORDER BY event.id
"""
RENAME = """
    WITH renamed AS (
        UPDATE audience_event AS event SET name = repeated.name
        FROM unnest(%(ids)s::bigint[], %(times)s::timestamptz[], %(names)s::text[])
            AS repeated (id, occurred_at, name)
        WHERE event.id = repeated.id AND event.occurred_at = repeated.occurred_at
        RETURNING event.id, event.received_at)
    INSERT INTO audience_renamedevent (event_id, event_received_at, is_in_lake)
    SELECT id, received_at, false FROM renamed
"""


@dataclass(slots=True)
class Corrected:
    """What became of orders that had come twice.

    Attributes:
        renamed: Events that stand under another name from now on, as they are now.
        to_store: Reversals to be stored, with the amounts that they take back.
        repeated: Why, for the senders' developers.
    """

    renamed: list[Told] = field(default_factory=list)
    to_store: list[Told] = field(default_factory=list)
    repeated: list[Rejection] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Stored:
    """An event as it was stored, and its number."""

    id: int
    told: Told

    @property
    def name(self) -> str:
        assert self.told.message.name is not None, "it is stored as an event"
        return self.told.message.name


async def correct_orders(
    connection: AsyncConnection[Any], joined: Sequence[int], told: Sequence[Told]
) -> Corrected:
    """Look at the orders of visitors who have just been joined, in the transaction at hand.

    The first one received counts, as where both names were known. Reversals under both names never
    take back more than the order together, and one that waited under one name for an order that
    stands under the other takes it back now. Orders that are being stored at this moment are waited
    for: the visitors' by their rows, which whoever stores one locks (`find_customers`), the
    customer's by the orders' locks.

    Args:
        connection: In the transaction that joins them.
        joined: The ids of the visitors.
        told: What else is to be stored; all locks have to be taken together.
    """
    corrected = Corrected()
    if not joined:
        return corrected
    params = {"joined": list(joined), "names": NAMES}
    orders = [order for (order,) in await (await connection.execute(THEIRS, params)).fetchall()]
    if not orders:
        return corrected
    await lock_orders(connection, [*orders, *filter(None, map(order_id_told, told))])
    rows = await (await connection.execute(FIND, {**params, "orders": orders})).fetchall()
    groups: dict[tuple[int, str], list[_Stored]] = {}
    for person, id_, *event in rows:
        stored = _Stored(id_, to_told(event))
        order_id = order_id_of(stored.told.message.properties)
        if order_id is not None:
            groups.setdefault((person, order_id), []).append(stored)
    renamed: list[_Stored] = []
    for (_, order_id), events in groups.items():
        if len({event.told.customer_id for event in events}) > 1:
            renamed += _correct(events, order_id, corrected)
    await _rename(connection, renamed)
    return corrected


def _correct(events: Sequence[_Stored], order_id: str, corrected: Corrected) -> list[_Stored]:
    """Go through one order's events as they came; return those that counted too often."""
    surplus: list[_Stored] = []
    orders = [event for event in events if event.name == ORDERED]
    reversals = [event for event in events if event.name in REVERSALS]
    order = (
        Order(orders[0].told.message.value, orders[0].told.message.properties) if orders else None
    )
    surplus += orders[1:]
    before, is_cancelled = 0.0, False
    for event in reversals:
        amount = abs(event.told.message.value or 0.0)
        left = _left(order, before=before)
        if event.name == CANCELLED and is_cancelled:
            surplus.append(event)
            continue
        is_cancelled |= event.name == CANCELLED
        if left is not None and round(amount - left, DIGITS) > 0:
            surplus.append(event)
            amount = left
            if left > 0:
                corrected.to_store.append(_with(event.told, value=left))
        before += amount
    if order is not None:
        corrected.to_store += _settle_waiting(events, reversals, order, before=before)
    for event in surplus:
        reason = (
            f"{event.name} of the order {order_id!r} had come under another name of the same "
            "person, and counts once."
        )
        corrected.repeated.append(reject(event.told, reason))
        corrected.renamed.append(_with(event.told, name=REPEATED[event.name]))
    return surplus


def _left(order: Order | None, *, before: float) -> float | None:
    """Return what is left to take back; None where nobody knows."""
    if order is None or order.value is None:
        return None
    return round(max(order.value - before, 0.0), DIGITS)


def _settle_waiting(
    events: Sequence[_Stored], settled: Sequence[_Stored], order: Order, *, before: float
) -> list[Told]:
    """Take back what waited for an order under the other name."""
    known = {event.told.message.message_id for event in settled}
    to_store = []
    for event in events:
        if event.name not in WAITING.values() or event.told.message.message_id in known:
            continue
        name = WAITED_FOR[event.name]
        amount = taken_back(name, event.told.message.properties, order=order, before=before)
        before += amount or 0.0
        to_store.append(_with(event.told, name=name, value=amount))
    return to_store


def _with(told: Told, **changes: Any) -> Told:
    return replace(told, message=replace(told.message, **changes))


async def _rename(connection: AsyncConnection[Any], events: Sequence[_Stored]) -> None:
    if events:
        await connection.execute(
            RENAME,
            {
                "ids": [event.id for event in events],
                "times": [event.told.message.occurred_at for event in events],
                "names": [REPEATED[event.name] for event in events],
            },
        )
