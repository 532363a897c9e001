"""Orders count once, and what is taken back of them is what they were worth."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db.models import QuerySet

from audience.incoming import Incoming
from audience.intake.segment import read_item
from audience.models import Event, RejectedEvent
from tests.audience.conftest import Store
from tests.makers import make_source
from tests.racing import locked_table, wait_for_blocked

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
ORDER, REFUND, CANCEL = "Order Completed", "Order Refunded", "Order Cancelled"

_ids = iter(range(10**9))


def sent(name: str, customer: str | None = "ann", **properties: Any) -> Incoming:
    """Read a message as it comes from a library; it is about the order A17."""
    browser = properties.pop("browser", None)
    at = properties.pop("at", NOW)
    raw = {
        "event": name,
        "messageId": f"m{next(_ids)}",
        "userId": customer,
        "anonymousId": browser,
        "timestamp": at.isoformat(),
        "properties": {"order_id": "A17", **properties},
    }
    return read_item(json.dumps(raw).encode(), now=NOW)


def events(name: str) -> QuerySet[Event]:
    return Event.objects.filter(name=name).order_by("id")


def values(name: str) -> list[float | None]:
    return [event.value for event in events(name)]


def net() -> float:
    """What metrics make of it: orders, less the size of what takes back."""
    ordered = sum(value or 0.0 for value in values(ORDER))
    return ordered - sum(abs(value or 0.0) for name in (REFUND, CANCEL) for value in values(name))


def test_a_refund_without_an_amount_takes_back_the_order(store: Store) -> None:
    store(sent(ORDER, revenue=40, total=50))
    store(sent(REFUND))
    assert values(REFUND) == [40.0]


def test_partial_refunds_and_a_cancellation_take_back_no_more_than_all(store: Store) -> None:
    store(sent(ORDER, revenue=40, total=50))
    store(sent(REFUND, total=25))
    store(sent(REFUND, total=10))
    store(sent(CANCEL, revenue=40, total=50))
    assert (values(REFUND), values(CANCEL)) == ([20.0, 8.0], [12.0])
    assert net() == 0.0


def test_all_of_it_in_one_batch_comes_to_the_same(store: Store) -> None:
    store(sent(CANCEL), sent(REFUND, total=25), sent(ORDER, revenue=40, total=50))
    assert net() == 0.0
    assert not events("Cancellation Without Order").exists()


def test_events_beside_an_order_are_stored_with_it(store: Store) -> None:
    store(sent("Seen"), sent(ORDER, revenue=40), sent("Seen"), sent(REFUND, order_id=None))
    assert Event.objects.count() == 4
    assert values(ORDER) == [40.0]


def test_properties_stay_as_they_were_sent(store: Store) -> None:
    products = [{"product_id": "shirt", "price": 20}]
    store(sent(ORDER, revenue=40, currency="EUR", products=products))
    store(sent(REFUND, currency="EUR"))
    expected = {"order_id": "A17", "currency": "EUR"}
    assert events(REFUND).get().properties == expected
    assert events(ORDER).get().properties == {**expected, "revenue": 40, "products": products}


def test_an_order_from_browser_and_server_counts_once(store: Store) -> None:
    server, _ = make_source()
    store(sent(ORDER, revenue=40, browser="b1"))
    store(sent(ORDER, revenue=41), source=server)
    assert values(ORDER) == [40.0]
    rejected = RejectedEvent.objects.get()
    assert rejected.source == server
    assert rejected.reason == "Order Completed of the order 'A17' came before, and counts once."
    assert "41" in rejected.payload


def test_an_order_of_a_visitor_counts_once_when_the_visitor_turns_out_to_be_the_customer(
    store: Store,
) -> None:
    store(sent(ORDER, None, revenue=40, browser="b1"))
    store(Incoming("link", NOW, customer_key="ann", anonymous_id="b1"))
    store(sent(ORDER, revenue=40))
    store(sent(REFUND))
    assert (values(ORDER), values(REFUND)) == ([40.0], [40.0])


def test_one_person_by_two_names_in_one_batch_ordered_once(store: Store) -> None:
    store(sent("Seen", None, browser="b1"))
    store(Incoming("link", NOW, customer_key="ann", anonymous_id="b1"))
    store(sent(ORDER, None, revenue=40, browser="b1"), sent(ORDER, revenue=40), sent(REFUND))
    assert (values(ORDER), values(REFUND)) == ([40.0], [40.0])


def test_a_cancellation_counts_once_and_refunds_may_be_many(store: Store) -> None:
    store(sent(ORDER, revenue=40))
    store(sent(CANCEL), sent(CANCEL))
    store(sent(CANCEL))
    store(sent(REFUND, revenue=1), sent(REFUND, revenue=1))
    assert (values(CANCEL), values(REFUND)) == ([40.0], [0.0, 0.0])
    assert RejectedEvent.objects.count() == 2


def test_another_customers_order_of_the_same_id_is_another_order(store: Store) -> None:
    store(sent(ORDER, "mallory", revenue=0))
    store(sent(ORDER, revenue=40))
    store(sent(CANCEL))
    assert (values(ORDER), values(CANCEL)) == ([0.0, 40.0], [40.0])


def test_orders_without_an_id_are_all_different(store: Store) -> None:
    store(sent(ORDER, order_id=None, revenue=40), sent(ORDER, order_id=None, revenue=40))
    store(sent(REFUND, order_id=None, total=10))
    assert net() == 70.0


@pytest.mark.parametrize(
    ("name", "waiting"),
    [(REFUND, "Refund Without Order"), (CANCEL, "Cancellation Without Order")],
)
def test_a_reversal_before_its_order_waits_and_then_takes_it_back(
    store: Store, name: str, waiting: str
) -> None:
    server, _ = make_source()
    reversal = sent(name, at=NOW - timedelta(hours=1))
    store(reversal, source=server)
    assert (values(name), values(waiting)) == ([], [None])
    store(sent(ORDER, revenue=40))
    settled = events(name).get()
    assert (settled.value, settled.message_id) == (40.0, reversal.message_id)
    assert (settled.source, settled.occurred_at) == (server, NOW - timedelta(hours=1))
    # Whatever comes later does not settle it again.
    store(sent(ORDER, revenue=40))
    store(sent(REFUND))
    assert net() == 0.0
    assert events(name).first() == settled


def test_a_reversal_of_an_order_that_never_comes_takes_back_nothing(store: Store) -> None:
    store(sent(CANCEL))
    store(sent(CANCEL))
    assert net() == 0.0
    assert RejectedEvent.objects.count() == 1


def test_a_refund_that_says_its_amount_needs_no_order(store: Store) -> None:
    store(sent(REFUND, total=-10))
    assert values(REFUND) == [10.0]
    store(sent(ORDER, revenue=40))
    store(sent(CANCEL))
    assert net() == 0.0


def test_an_order_that_does_not_say_its_worth_has_nothing_to_take_back(store: Store) -> None:
    store(sent(ORDER))
    store(sent(REFUND))
    assert (values(ORDER), values(REFUND)) == ([None], [None])


def test_an_order_and_its_refund_at_the_same_moment_find_each_other(store: Store) -> None:
    server, _ = make_source()

    async def race() -> None:
        for number in range(30):
            id_ = f"R{number}"
            await asyncio.gather(
                store.ingest.store([sent(REFUND, order_id=id_)], source_id=server.pk),
                other.store([sent(ORDER, order_id=id_, revenue=40)], source_id=store.source.pk),
                third.store([sent(ORDER, order_id=id_, revenue=40)], source_id=server.pk),
            )

    other, third = type(store.ingest)(store.pool), type(store.ingest)(store.pool)
    store.runner.run(race())
    assert (values(ORDER), values(REFUND)) == ([40.0] * 30, [40.0] * 30)


def test_a_refund_waits_for_the_order_that_is_being_stored(store: Store) -> None:
    async def start(message: Incoming) -> "asyncio.Task[Any]":
        ingest = type(store.ingest)(store.pool)
        return asyncio.create_task(ingest.store([message], source_id=store.source.pk))

    async def finish(task: "asyncio.Task[Any]") -> None:
        await task

    store(sent("Seen"))
    with locked_table("audience_event"):
        ordering = store.runner.run(start(sent(ORDER, revenue=40)))
        store.runner.run(asyncio.sleep(0.05))
        wait_for_blocked(1)
        refunding = store.runner.run(start(sent(REFUND)))
        store.runner.run(asyncio.sleep(0.05))
        wait_for_blocked(2)
    store.runner.run(finish(ordering))
    store.runner.run(finish(refunding))
    assert values(REFUND) == [40.0]
