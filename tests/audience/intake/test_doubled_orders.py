"""An order that came under two names counts once when these turn out to be one person."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection
from psycopg import AsyncConnection

from audience.columns.store import Store as Columns
from audience.incoming import Incoming
from audience.intake.ingest import Ingest
from audience.intake.listening import Told
from audience.intake.orders import LOCK
from audience.models import Customer, Event, RejectedEvent, RenamedEvent
from tests.asgi import database_url
from tests.audience.columns.test_store import find
from tests.audience.conftest import Store
from tests.audience.intake.test_orders import CANCEL, NOW, ORDER, REFUND, events, net, sent, values
from tests.makers import make_source
from tests.racing import locked_table, wait_for_blocked

VISITOR = {"customer": None, "browser": "b1"}


def join(store: Store, *, browser: str = "b1", customer: str = "ann") -> None:
    """Let a visitor turn out to be a customer."""
    store(Incoming(f"link-{browser}", NOW, customer_key=customer, anonymous_id=browser))


def owners(name: str) -> list[str]:
    found = events(name).values_list("customer__external_key", flat=True)
    return [key.removeprefix("anonymous:") for key in found]


def test_the_order_received_first_counts_and_the_other_is_kept_under_another_name(
    store: Store,
) -> None:
    store(sent(ORDER, **VISITOR, revenue=40))
    second = sent(ORDER, revenue=41, coupon="SPRING")
    store(second)
    assert net() == 81.0
    join(store)
    assert (values(ORDER), owners(ORDER)) == ([40.0], ["b1"])
    repeated = events("Order Repeated").get()
    assert (repeated.message_id, repeated.value) == (second.message_id, 41.0)
    assert repeated.properties["coupon"] == "SPRING"
    assert RenamedEvent.objects.get().event_id == repeated.id
    reason = RejectedEvent.objects.get().reason
    assert "'A17' had come under another name of the same person, and counts once" in reason


def test_other_orders_stay_and_so_do_those_of_others(store: Store) -> None:
    store(sent(ORDER, **VISITOR, revenue=40), sent(ORDER, **VISITOR, order_id="B1", revenue=1))
    store(sent(ORDER, revenue=40), sent(ORDER, order_id="C1", revenue=2))
    store(sent(ORDER, "ben", revenue=40), sent(ORDER, order_id=None, revenue=4))
    join(store)
    assert sorted(value or 0 for value in values(ORDER)) == [1.0, 2.0, 4.0, 40.0, 40.0]
    assert sorted(owners(ORDER)) == ["ann", "ann", "b1", "b1", "ben"]


def test_a_third_name_of_the_person_makes_no_third_order(store: Store) -> None:
    store(sent(ORDER, revenue=40))
    for browser in ("b1", "b2"):
        store(sent(ORDER, None, browser=browser, revenue=40))
    join(store)
    join(store, browser="b2")
    assert (values(ORDER), len(values("Order Repeated"))) == ([40.0], 2)


@pytest.mark.parametrize(
    ("visitors", "anns", "left"),
    [
        ([], [(REFUND, {})], 0.0),
        ([(REFUND, {})], [(REFUND, {})], 0.0),
        ([(CANCEL, {})], [(CANCEL, {})], 0.0),
        ([(REFUND, {"total": 30})], [(REFUND, {"total": 30})], 0.0),
        ([(REFUND, {"total": 10})], [(REFUND, {"total": 10})], 20.0),
        ([(REFUND, {"total": 10})], [(CANCEL, {})], 0.0),
        ([(REFUND, {"total": 0.1}), (REFUND, {"total": 0.2})], [(REFUND, {"total": 39.7})], 0.0),
    ],
    ids=["one", "both", "cancelled", "too much", "in parts", "part and rest", "to the cent"],
)
def test_no_more_is_taken_back_than_the_order(
    store: Store, visitors: Sequence[Any], anns: Sequence[Any], left: float
) -> None:
    store(sent(ORDER, **VISITOR, revenue=40))
    store(sent(ORDER, revenue=40))
    store(*(sent(name, **VISITOR, **said) for name, said in visitors))
    store(*(sent(name, **said) for name, said in anns))
    join(store)
    assert values(ORDER) == [40.0]
    assert net() == pytest.approx(left, abs=1e-9)


def test_a_reversal_that_waited_under_one_name_finds_the_order_of_the_other(store: Store) -> None:
    cancelled = sent(CANCEL, **VISITOR, at=NOW - timedelta(hours=1))
    store(cancelled)
    store(sent(ORDER, revenue=40))
    assert net() == 40.0
    join(store)
    found = events(CANCEL).get()
    assert (found.value, found.message_id, owners(CANCEL)) == (40.0, cancelled.message_id, ["b1"])
    # What waited and was settled is not settled again by another joining.
    store(sent(ORDER, None, browser="b2", revenue=40))
    join(store, browser="b2")
    assert (values(ORDER), values(CANCEL)) == ([40.0], [40.0])


def test_what_comes_with_the_joining_counts_against_what_came_before(store: Store) -> None:
    store(sent(ORDER, **VISITOR, revenue=40))
    store(sent(ORDER, revenue=40))
    store(sent(ORDER, browser="b1", revenue=40), sent(REFUND, browser="b1"))
    assert (values(ORDER), values(REFUND)) == ([40.0], [40.0])


def test_who_listens_hears_of_it(store: Store) -> None:
    heard: list[tuple[str | None, float | None]] = []

    async def listen(connection: AsyncConnection[Any], stored: Sequence[Told]) -> None:
        heard.extend((told.message.name, told.message.value) for told in stored)

    store(sent(ORDER, **VISITOR, revenue=40), sent(REFUND, **VISITOR, total=30))
    store(sent(ORDER, revenue=40), sent(REFUND, total=30))
    store.ingest = Ingest(store.pool, listeners=[listen])
    join(store)
    expected = [("Order Repeated", 40.0), ("Refund Repeated", 30.0), (REFUND, 10.0)]
    assert sorted(heard, key=repr) == sorted(expected, key=repr)


@contextmanager
def held_order(order: str) -> Iterator[psycopg.Connection]:
    """Keep everybody else from storing events of an order, in another transaction."""
    with psycopg.connect(database_url()) as other:
        other.execute(LOCK, {"orders": [order]})
        yield other


def link(browser: str) -> Incoming:
    """Say that a visitor is ann."""
    return Incoming(f"link-{browser}", NOW, customer_key="ann", anonymous_id=browser)


async def start(store: Store, *messages: Incoming, blocked: int) -> "asyncio.Task[Any]":
    """Begin to store messages by themselves, until so many sessions in all stand at a lock."""
    ingest = Ingest(store.pool)
    task = asyncio.create_task(ingest.store(messages, source_id=store.source.pk))
    await asyncio.to_thread(wait_apart, blocked)
    return task


def wait_apart(blocked: int) -> None:
    """Wait in a session of this thread's own, so that the loop goes on."""
    try:
        wait_for_blocked(blocked)
    finally:
        connection.close()


async def finish(*tasks: "asyncio.Task[Any]") -> None:
    """Wait until all of it is stored."""
    await asyncio.gather(*tasks)


def test_an_order_stored_meanwhile_is_waited_for(store: Store) -> None:
    """Another transaction holds the order's lock and commits the order under ann's name."""
    ann = Customer.objects.create(external_key="ann")
    store(sent(ORDER, **VISITOR, revenue=40))
    server, _ = make_source()
    with held_order("A17") as other:
        joining = store.runner.run(start(store, link("b1"), blocked=1))
        other.execute(
            "INSERT INTO audience_event (occurred_at, customer_id, source_id, message_id, name,"
            " value, properties) VALUES (%s, %s, %s, 'x', %s, 40, %s)",
            [NOW, ann.pk, server.pk, ORDER, json.dumps({"order_id": "A17"})],
        )
    store.runner.run(finish(joining))
    assert (values(ORDER), values("Order Repeated")) == ([40.0], [40.0])


def test_who_joins_a_visitor_waits_for_the_visitors_order(store: Store) -> None:
    """The order is settled, and about to be stored, when the visitor turns out to be ann."""
    store(sent("Seen", **VISITOR), sent(ORDER, revenue=40))
    with locked_table("audience_event"):
        ordering = store.runner.run(start(store, sent(ORDER, **VISITOR, revenue=40), blocked=1))
        joining = store.runner.run(start(store, link("b1"), blocked=2))
    store.runner.run(finish(ordering, joining))
    assert (values(ORDER), values("Order Repeated")) == ([40.0], [40.0])


def test_a_visitors_order_waits_for_who_joins_the_visitor(store: Store) -> None:
    """The visitor is ann already, and the orders of both were looked at, but it's not committed."""
    store(sent(ORDER, **VISITOR, order_id="X", revenue=1), sent(ORDER, revenue=40))
    with held_order("X"):
        joining = store.runner.run(start(store, link("b1"), blocked=1))
        ordering = store.runner.run(start(store, sent(ORDER, **VISITOR, revenue=40), blocked=2))
    store.runner.run(finish(ordering, joining))
    assert values(ORDER) == [1.0, 40.0]
    assert "came before" in RejectedEvent.objects.get().reason


def test_visitors_and_customers_who_order_at_once_keep_nobody_in_a_circle(store: Store) -> None:
    browsers = [f"b{n}" for n in range(6)]
    store(*(sent("Seen", None, browser=browser) for browser in browsers))

    async def race() -> None:
        tasks = []
        for number, browser in enumerate(browsers):
            about = {"order_id": f"R{number}", "revenue": 40}
            tasks += [
                await begin(sent(ORDER, None, browser=browser, **about)),
                await begin(sent(ORDER, f"c{number}", **about), sent("Seen", f"c{number}")),
                await begin(sent("Seen", f"c{number}", browser=browser)),
            ]
        await asyncio.gather(*tasks)

    async def begin(*messages: Incoming) -> "asyncio.Task[Any]":
        return asyncio.create_task(Ingest(store.pool).store(messages, source_id=store.source.pk))

    store.runner.run(race())
    assert values(ORDER) == [40.0] * len(browsers)


def test_the_columns_in_memory_follow(store: Store) -> None:
    store(sent(ORDER, **VISITOR, revenue=40), sent("Seen", **VISITOR))
    store(sent(ORDER, revenue=40), sent(ORDER, order_id="B1", revenue=2))
    # Long ago, so that nothing of it is read again with what came lately.
    Event.objects.update(received_at=NOW - timedelta(days=1))
    columns = Columns()
    twice = {"event": ORDER, "at_least": 2}
    thrice = {"event": ORDER, "at_least": 3}
    worth = {"total": ORDER, "at_least": 43}
    repeated = {"event": "Order Repeated", "at_least": 1}
    where = {**twice, "where": [{"property": "order_id", "is": "known"}]}
    asked = (twice, thrice, worth, repeated, where)
    ann = Customer.objects.get(external_key="ann").pk
    assert find(columns, *asked) == [{ann}, set(), set(), set(), {ann}]
    join(store)
    assert find(columns, *asked) == [{ann}, set(), set(), {ann}, {ann}]
    assert find(columns, {"total": ORDER, "at_most": 42}) == [{ann}]
