"""An order that is imported counts once, whatever came before it, with it, meanwhile or later."""

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event as Flag
from typing import Any

import psycopg
import pytest
from django.db import connection
from pytest_django import Settings

from audience.importing.copying import EventRow, Imported, import_events
from audience.importing.imported_orders import ImportedOrders, SettledAgain
from audience.intake.listening import Brought, Changed
from audience.models import Customer, Event, RejectedEvent, Source
from tests.asgi import database_url
from tests.audience.conftest import Store
from tests.audience.intake.test_doubled_orders import finish, held_order, link, start
from tests.audience.intake.test_orders import CANCEL, NOW, ORDER, REFUND, events, net, sent, values
from tests.makers import make_source
from tests.racing import locked_table, other_sessions, wait_for_blocked

HOUR = timedelta(hours=1)
_ids = iter(range(10**9))


def row(
    name: str,
    value: float | None = None,
    *,
    key: str = "ann",
    at: datetime = NOW,
    order: str | int | None = "A17",
    **properties: Any,
) -> EventRow:
    """Write a row of a file; it is about the order A17."""
    about = properties if order is None else {"order_id": order, **properties}
    return EventRow(key, name, at, f"csv-{next(_ids)}", value, about)


@pytest.fixture
def source() -> Source:
    return Source.objects.create(name="till")


def bring(source: Source, *rows: EventRow) -> tuple[int, int]:
    """Import rows; return how many were new and how many of known orders."""
    imported = import_events(rows, source=source)
    assert imported.rows == len(rows)
    return imported.new, imported.known_orders


def age() -> None:
    """Let all events have been received before any import could have begun."""
    Event.objects.update(received_at=NOW - timedelta(days=1))
    Customer.objects.update(updated_at=NOW - timedelta(days=1))


@pytest.mark.parametrize("is_old", [True, False], ids=["long ago", "just now"])
def test_an_order_that_came_before_is_not_stored_again(
    store: Store, source: Source, is_old: bool
) -> None:
    store(sent(ORDER, revenue=40))
    if is_old:
        age()
    assert bring(source, row(ORDER, 40.0), row(ORDER, 5.0, order="B1")) == (1, 1)
    assert sorted(v or 0 for v in values(ORDER)) == [5.0, 40.0]
    rejected = RejectedEvent.objects.get()
    assert rejected.source == source
    assert rejected.reason == "Order Completed of the order 'A17' came before, and counts once."


def test_an_order_that_comes_later_is_not_stored_again(store: Store, source: Source) -> None:
    assert bring(source, row(ORDER, 40.0)) == (1, 0)
    store(sent(ORDER, revenue=40))
    assert values(ORDER) == [40.0]


def test_of_two_rows_of_an_order_the_first_counts(store: Store, source: Source) -> None:
    rows = [row(ORDER, 40.0), row("Seen"), row(ORDER, 41.0), row(ORDER, 4.0, key="ben")]
    assert bring(source, *rows) == (3, 1)
    assert sorted(v or 0 for v in values(ORDER)) == [4.0, 40.0]
    # The same file again brings nothing, and none of it is an order that was not in it before.
    assert bring(source, *rows) == (0, 0)


def test_two_files_of_the_same_orders_count_once(store: Store, source: Source) -> None:
    assert bring(source, *(row(ORDER, 1.0, order=f"B{n}") for n in range(3000))) == (3000, 0)
    age()
    again = [row(ORDER, 1.0, order=f"B{n}") for n in range(1, 3001)]
    assert bring(source, *again) == (1, 2999)
    assert net() == 3001.0
    assert RejectedEvent.objects.count() == 100


def test_orders_without_an_id_are_all_different(store: Store, source: Source) -> None:
    assert bring(source, row(ORDER, 1.0, order=None), row(ORDER, 1.0, order=None)) == (2, 0)


def test_an_order_of_a_visitor_is_known_under_the_customers_name(
    store: Store, source: Source
) -> None:
    store(sent(ORDER, None, browser="b1", revenue=40))
    store(link("b1"))
    age()
    assert bring(source, row(ORDER, 40.0), row(ORDER, 40.0, key="anonymous:b1")) == (0, 2)
    assert values(ORDER) == [40.0]


def test_a_number_of_the_intake_is_the_text_of_a_file(store: Store, source: Source) -> None:
    store(sent(ORDER, order_id=1001, revenue=40))
    assert bring(source, row(ORDER, 40.0, order="1001")) == (0, 1)


def test_refunds_take_back_what_they_say_and_no_more_than_is_left(
    store: Store, source: Source
) -> None:
    store(sent(ORDER, revenue=40, total=50))
    store(sent(REFUND, total=25))
    age()
    # A value of a file is in the measure of the order's value.
    rows = [row(REFUND, -5.0), row(REFUND, None, total=10), row(REFUND, 30.0)]
    assert bring(source, *rows) == (3, 0)
    assert (values(REFUND), net()) == ([20.0, 5.0, 8.0, 7.0], 0.0)


def test_a_cancellation_counts_once(store: Store, source: Source) -> None:
    store(sent(ORDER, revenue=40))
    assert bring(source, row(CANCEL), row(CANCEL)) == (1, 1)
    store(sent(CANCEL))
    assert (values(CANCEL), net()) == ([40.0], 0.0)
    store(sent(ORDER, order_id="B1", revenue=1), sent(CANCEL, order_id="B1"))
    assert bring(source, row(CANCEL, 1.0, order="B1")) == (0, 1)


def test_a_file_may_tell_of_orders_and_reversals_in_any_order(store: Store, source: Source) -> None:
    rows = [row(CANCEL), row(REFUND, 10.0), row(ORDER, 40.0), row(ORDER, 40.0)]
    assert bring(source, *rows) == (3, 1)
    assert (values(ORDER), values(CANCEL), values(REFUND)) == ([40.0], [40.0], [0.0])
    assert Event.objects.count() == 3


@pytest.mark.parametrize("is_old", [True, False], ids=["long ago", "just now"])
def test_what_waited_finds_its_order_in_the_file(
    store: Store, source: Source, is_old: bool
) -> None:
    cancelled = sent(CANCEL, at=NOW + HOUR)
    store(cancelled)
    if is_old:
        age()
    assert bring(source, row(ORDER, 40.0)) == (1, 0)
    found = events(CANCEL).get()
    assert (found.value, found.message_id, found.source) == (
        40.0,
        cancelled.message_id,
        store.source,
    )
    assert (found.occurred_at, net()) == (NOW + HOUR, 0.0)
    assert bring(source, row(ORDER, 40.0)) == (0, 1)
    assert (values(CANCEL), net()) == ([40.0], 0.0)


def test_what_a_file_takes_back_waits_for_an_order_that_comes_later(
    store: Store, source: Source
) -> None:
    assert bring(source, row(REFUND), row(REFUND, 10.0, order="B1")) == (2, 0)
    assert (values("Refund Without Order"), values(REFUND)) == ([None], [10.0])
    store(sent(ORDER, revenue=40), sent(ORDER, order_id="B1", revenue=30))
    assert net() == 20.0


def test_an_order_of_a_file_is_found_when_its_visitor_is_joined(
    store: Store, source: Source
) -> None:
    bring(source, row(ORDER, 40.0))
    store(sent(ORDER, None, browser="b1", revenue=40))
    store(link("b1"))
    assert (values(ORDER), values("Order Repeated")) == ([40.0], [40.0])


@pytest.mark.parametrize("has_link", [False, True], ids=["same name", "names joined"])
def test_an_order_that_is_committed_after_the_first_look_is_found_under_the_lock(
    store: Store, source: Source, monkeypatch: pytest.MonkeyPatch, has_link: bool
) -> None:
    settle = ImportedOrders.settle
    store(sent(ORDER, None, browser="b1", revenue=40, order_id="V1"))
    age()
    bring(source, row("Seen"))

    def settle_and_let_others_store(self: ImportedOrders) -> int:
        settled = settle(self)
        store(sent(ORDER, revenue=40), sent(REFUND, revenue=10))
        if has_link:
            store(link("b1"))
        return settled

    monkeypatch.setattr(ImportedOrders, "settle", settle_and_let_others_store)
    rows = [row(ORDER, 40.0), row(REFUND, 40.0), row(ORDER, 7.0, order="B")]
    visitors = row(ORDER, 2.0, order="V1")
    assert bring(source, *rows, visitors) == ((2, 2) if has_link else (3, 1))
    expected = [7.0, 40.0, 40.0] if has_link else [2.0, 7.0, 40.0, 40.0]
    assert sorted(v or 0 for v in values(ORDER)) == expected
    assert sorted(v or 0 for v in values(REFUND)) == [10.0, 30.0]


FREE = """
    SELECT bool_and(pg_try_advisory_xact_lock(x'0FFE21AE'::int, number))
    FROM generate_series(0, 63) AS number
"""


def test_the_intake_waits_for_an_import_only_at_its_end(store: Store, source: Source) -> None:
    bring(source, row("Seen"))
    with other_sessions(1) as call:
        with locked_table("audience_event"):
            importing = call(lambda: bring(source, row(ORDER, 40.0), row(ORDER, 1.0, order="B")))
            wait_for_blocked(1)
            with connection.cursor() as cursor:
                cursor.execute(FREE)
                assert cursor.fetchone() == (True,)
        assert importing.result(timeout=20) == (2, 0)


_seen: list[tuple[bool, bool]] = []


def see(brought: Brought) -> Callable[[Changed], None]:
    """Listen to an import: note what is stored by then, and whether all orders' locks are free."""

    def look(*, is_told: bool) -> None:
        with psycopg.connect(database_url()) as other:
            (is_free,) = other.execute(FREE).fetchone() or ()
        _seen.append((is_told, is_free))

    look(is_told=len(list(brought.find_events([ORDER], naming=["order_id"]))) == 2)
    return lambda changed: look(is_told=not changed.gone and not changed.come)


def test_what_listeners_do_at_once_keeps_nobody_waiting(
    store: Store, source: Source, settings: Settings
) -> None:
    settings.ON_IMPORT = [f"{__name__}.see"]
    _seen.clear()
    assert bring(source, row(ORDER, 40.0), row(ORDER, 1.0, order="B"), row("Seen")) == (3, 0)
    assert _seen == [(True, True), (True, False)]


def test_what_listeners_were_told_is_put_right_under_the_lock(
    store: Store, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle, told = ImportedOrders.settle_again, []
    bring(source, row("Seen"))

    def settle_again(self: ImportedOrders) -> SettledAgain:
        store(sent(ORDER, revenue=40))
        told.append(settle(self))
        return told[0]

    monkeypatch.setattr(ImportedOrders, "settle_again", settle_again)
    rows = [row(ORDER, 30.0), row(REFUND, 50.0), row(ORDER, 7.0, order="B")]
    assert bring(source, *rows) == (2, 1)
    (again,) = told
    assert again.more == -1
    assert sorted((e.message.name, e.message.value) for e in again.changed.gone) == [
        (ORDER, 7.0),
        (ORDER, 30.0),
        (REFUND, 30.0),
    ]
    assert sorted((e.message.name, e.message.value) for e in again.changed.come) == [
        (ORDER, 7.0),
        (REFUND, 40.0),
    ]
    assert (sorted(v or 0 for v in values(ORDER)), values(REFUND)) == ([7.0, 40.0], [40.0])


def test_an_import_waits_for_who_finds_out_who_a_visitor_is(
    store: Store, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The import has looked; the visitor is ann by then, which is not committed yet."""
    settle, has_looked, is_joining = ImportedOrders.settle, Flag(), Flag()

    def settle_and_wait(self: ImportedOrders) -> int:
        settled = settle(self)
        has_looked.set()
        assert is_joining.wait(20)
        return settled

    monkeypatch.setattr(ImportedOrders, "settle", settle_and_wait)
    store(sent(ORDER, None, browser="b1", order_id="X", revenue=1), sent(ORDER, revenue=40))
    with other_sessions(1) as call:
        importing = call(lambda: bring(source, row(ORDER, 40.0, key="anonymous:b1")))
        assert has_looked.wait(20)
        with held_order("X"):
            joining = store.runner.run(start(store, link("b1"), blocked=1))
            is_joining.set()
            wait_for_blocked(2)
        store.runner.run(finish(joining))
        assert importing.result(timeout=20) == (0, 1)
    assert values(ORDER) == [1.0, 40.0]


def test_two_imports_of_the_same_orders_at_once_count_them_once(
    store: Store, source: Source
) -> None:
    other, _ = make_source()
    orders = [f"B{n}" for n in range(300)]

    def load(sender: Source, order: int) -> Imported:
        rows = [row(ORDER, 1.0, order=id_, key=f"c{n % 40}") for n, id_ in enumerate(orders)]
        return import_events(rows[::order], source=sender)

    with other_sessions() as call:
        done = [call(lambda: load(source, 1)), call(lambda: load(other, -1))]
        found = [each.result(timeout=60) for each in done]
    assert sum(each.new for each in found) == sum(each.known_orders for each in found) == 300
    assert net() == 300.0
