import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from audience.incoming import Incoming
from audience.intake.ingest import ATTRIBUTES_BYTES, Ingest, Stored
from audience.intake.listening import Told
from audience.models import Customer, Event, Identity, ReceivedMessage
from tests.asgi import database_url
from tests.audience.conftest import Store
from tests.makers import make_source
from tests.racing import locked_table, wait_for_blocked
from wire.messages import Problem

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def event(message_id: str, customer: str | None = "ann", **fields: Any) -> Incoming:
    fields = {"occurred_at": NOW, "name": "Seen", **fields}
    return Incoming(message_id=message_id, customer_key=customer, **fields)


def traits(message_id: str, customer: str | None = "ann", **traits: Any) -> Incoming:
    return Incoming(message_id, NOW, customer_key=customer, traits=traits)


def attributes(customer: str) -> object:
    return Customer.objects.get(external_key=customer).attributes


def test_an_event_is_stored_with_all_that_was_said(store: Store) -> None:
    assert store(event("m1", value=2.5, properties={"a": [1, "é"]})) == Stored(new=1, repeated=0)
    stored = Event.objects.get()
    assert (stored.customer.external_key, stored.source) == ("ann", store.source)
    assert (stored.message_id, stored.name, stored.occurred_at) == ("m1", "Seen", NOW)
    assert (stored.value, stored.properties) == (2.5, {"a": [1, "é"]})


def test_nothing_is_nothing(store: Store) -> None:
    assert store() == Stored(new=0, repeated=0)


def test_the_same_message_is_stored_once(store: Store) -> None:
    store(event("m1"))
    assert store(event("m1")) == Stored(new=0, repeated=1)
    assert Event.objects.count() == 1


def test_a_retry_in_another_month_is_still_the_same_message(store: Store) -> None:
    store(event("m1", occurred_at=datetime(2026, 2, 28, 23, 59, tzinfo=UTC)))
    store(event("m1", occurred_at=datetime(2026, 3, 1, 0, 59, tzinfo=UTC)))
    assert Event.objects.count() == 1


def test_a_message_twice_in_a_batch_is_stored_as_it_came_first(store: Store) -> None:
    stored = store(event("m1", name="first"), event("m2"), event("m1", name="second"))
    assert stored == Stored(new=2, repeated=1)
    assert Event.objects.get(message_id="m1").name == "first"


def test_two_sources_may_use_the_same_message_id(store: Store) -> None:
    other, _ = make_source()
    store(event("m1"))
    store(event("m1"), source=other)
    assert Event.objects.count() == 2


def test_an_event_of_a_wrong_shape_takes_its_whole_batch_back(store: Store) -> None:
    with pytest.raises(psycopg.DataError):
        store(event("m1", "new"), event("m2", name="x" * 256))
    assert not Event.objects.exists()
    assert not ReceivedMessage.objects.exists()
    assert not Customer.objects.exists()


def test_a_batch_whose_server_dies_midway_stores_nothing_and_can_be_sent_again(
    store: Store,
) -> None:
    async def be_killed() -> None:
        # The batch waits for a customer that this session is about to make, and is killed there.
        async with await psycopg.AsyncConnection.connect(database_url()) as blocker:
            await blocker.execute(
                "INSERT INTO audience_customer (external_key, attributes) VALUES ('b', '{}')"
            )
            batch = [event("m1", "a"), event("m2", "b")]
            storing = asyncio.create_task(store.ingest.store(batch, source_id=store.source.pk))
            async with store.pool.connection() as killer:
                while not await kill_waiting(killer):
                    await asyncio.sleep(0.01)
            with pytest.raises(psycopg.OperationalError):
                await storing
            await blocker.rollback()

    store.runner.run(be_killed())
    assert not ReceivedMessage.objects.exists()
    assert not Customer.objects.exists()
    assert store(event("m1", "a"), event("m2", "b")) == Stored(new=2, repeated=0)


async def kill_waiting(connection: psycopg.AsyncConnection) -> bool:
    cursor = await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return bool(await cursor.fetchall())


def test_traits_are_added_to_those_known(store: Store) -> None:
    store(traits("m1", age=30, city="Rome"))
    store(traits("m2", age=31, vip=None))
    assert attributes("ann") == {"age": 31, "city": "Rome", "vip": None}


def test_a_later_trait_of_a_batch_wins(store: Store) -> None:
    store(traits("m2", age=1, a=1), traits("m1", age=2), traits("m0", "bob", age=3))
    assert attributes("ann") == {"age": 2, "a": 1}
    assert attributes("bob") == {"age": 3}


def test_a_repeated_message_sets_no_traits_again(store: Store) -> None:
    store(traits("m1", age=1))
    store(traits("m2", age=2))
    store(traits("m1", age=1))
    assert attributes("ann") == {"age": 2}


def test_attributes_cannot_be_grown_for_ever(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    large = "x" * (ATTRIBUTES_BYTES // 2)
    store(traits("m1", a=large), traits("m2", "bob", age=1))
    store(traits("m3", b=large), traits("m4", "bob", age=2))
    assert attributes("ann") == {"a": large}
    assert attributes("bob") == {"age": 2}
    assert "Traits of 1 customers were left out" in caplog.text


def test_what_is_said_of_the_same_group_is_added_and_another_group_takes_its_place(
    store: Store,
) -> None:
    store(traits("m1", age=30, group={"id": "acme", "plan": "free", "seats": 3}))
    store(traits("m2", group={"id": "acme", "plan": "pro"}))
    assert attributes("ann") == {"age": 30, "group": {"id": "acme", "plan": "pro", "seats": 3}}
    store(traits("m3", group={"id": "initech", "plan": "free"}))
    assert attributes("ann") == {"age": 30, "group": {"id": "initech", "plan": "free"}}
    store(traits("m4", group="a text of their own"))
    store(traits("m5", group={"id": "acme"}))
    assert attributes("ann") == {"age": 30, "group": {"id": "acme"}}


def test_a_batch_adds_what_is_said_of_one_group(store: Store) -> None:
    store(
        traits("m1", group={"id": "acme", "plan": "free", "seats": 3}),
        traits("m2", group={"id": "acme", "plan": "pro"}),
        traits("m3", "bob", group={"id": "acme", "seats": 3}),
        traits("m4", "bob", group={"id": "initech"}),
    )
    assert attributes("ann") == {"group": {"id": "acme", "plan": "pro", "seats": 3}}
    assert attributes("bob") == {"group": {"id": "initech"}}


class Ear:
    """A listener that remembers what it was told and what it could see stored."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.stored: list[str] = []

    async def __call__(
        self, connection: psycopg.AsyncConnection[Any], stored: Sequence[Told], /
    ) -> None:
        self.told.extend(stored)
        cursor = await connection.execute("SELECT message_id FROM audience_event ORDER BY id")
        self.stored = [message_id for (message_id,) in await cursor.fetchall()]


def test_listeners_hear_of_each_new_event_once_where_it_is_stored(store: Store) -> None:
    ear = Ear()
    store.ingest = Ingest(store.pool, listeners=[ear])
    store(event("m1"), traits("m2", age=5), event("m3", "bob"))
    store(event("m1"), event("m4"))
    assert [told.message.message_id for told in ear.told] == ["m1", "m3", "m4"]
    assert ear.stored == ["m1", "m3", "m4"]
    bob = Customer.objects.get(external_key="bob")
    assert (ear.told[1].customer_id, ear.told[1].source_id) == (bob.pk, store.source.pk)


def test_who_brings_no_new_event_tells_listeners_nothing(store: Store) -> None:
    ear = Ear()
    store.ingest = Ingest(store.pool, listeners=[ear])
    store(traits("m1", age=5))
    assert ear.told == []


def test_a_batch_that_cannot_be_stored_fails_no_other_that_shares_its_transaction(
    store: Store,
) -> None:
    async def all_at_once() -> list[Stored | BaseException]:
        batches = [[event("m1", name="x" * 256)], [event("m2")], [event("m3"), event("m2")]]
        storing = (store.ingest.store(b, source_id=store.source.pk) for b in batches)
        return await asyncio.gather(*storing, return_exceptions=True)

    bad, *good = store.runner.run(all_at_once())
    assert isinstance(bad, psycopg.DataError)
    # Which of the two brought m2 first is left to chance.
    assert [isinstance(each, Stored) and each.new + each.repeated for each in good] == [1, 2]
    assert sum(each.new for each in good if isinstance(each, Stored)) == 2
    assert set(Event.objects.values_list("message_id", flat=True)) == {"m2", "m3"}


def test_a_known_customer_who_was_erased_is_made_again(store: Store) -> None:
    store(event("m1"), event("m2", "bob"))
    Event.objects.filter(customer__external_key="ann").delete()
    Customer.objects.filter(external_key="ann").delete()
    assert store(event("m3"), event("m4", "bob")) == Stored(new=2, repeated=0)
    assert Event.objects.get(message_id="m3").customer.external_key == "ann"
    assert Event.objects.count() == 3


def test_a_known_customer_is_described_joined_and_given_events_as_any_other(store: Store) -> None:
    store(event("m1"))
    store(event("m2", None, anonymous_id="b1"))
    store(event("m3"), traits("m4", age=5), event("m5", anonymous_id="b1"))
    ann = Customer.objects.get(external_key="ann")
    assert ann.attributes == {"age": 5}
    assert Customer.objects.get(external_key="anonymous:b1").merged_into == ann
    assert Event.objects.filter(customer=ann).count() == 3


def test_as_many_customers_as_there_is_room_for_are_remembered(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audience.intake.ingest.MOST_REMEMBERED", 2)
    for number in range(6):
        store(event(f"m{number}", f"c{number}"), event(f"n{number}", "ann"))
    assert Event.objects.count() == 12
    assert Customer.objects.count() == 7


def test_who_waits_too_long_is_asked_to_come_again_and_loses_nothing(store: Store) -> None:
    store.ingest = Ingest(store.pool, patience_seconds=0.1)
    store(event("m1"))
    with locked_table("audience_receivedmessage"), pytest.raises(Problem) as caught:
        store(event("m2"))
    assert (caught.value.status, caught.value.headers["retry-after"]) == (503, "1")
    store(event("m2"))
    assert Event.objects.count() == 2


def test_a_message_that_only_names_somebody_makes_a_customer(store: Store) -> None:
    store(Incoming("m1", NOW, customer_key="ann", anonymous_id="a1"))
    assert Identity.objects.get().customer.external_key == "ann"
    assert not Event.objects.exists()


def test_many_batches_at_once_store_each_message_once_and_never_block_each_other(
    store: Store,
) -> None:
    shuffle = random.Random(5)  # noqa: S311 - a test's order
    messages = [
        event(
            f"m{number}",
            shuffle.choice([None, *(f"c{i}" for i in range(6))]),
            anonymous_id=f"a{shuffle.randrange(6)}",
            traits={"n": number} if number % 3 == 0 else {},
            occurred_at=NOW - timedelta(days=30 * (number % 3)),
        )
        for number in range(60)
    ]
    for round_ in range(12):
        numbered = [rename(message, f"{round_}-{message.message_id}") for message in messages]
        batches: list[Sequence[Incoming]] = [
            shuffle.sample(numbered, len(numbered)) for _ in range(6)
        ]
        stored = store.together(*batches)
        assert sum(result.new for result in stored) == len(messages)
    assert Event.objects.count() == 12 * len(messages)
    assert Customer.objects.filter(external_key__startswith="c").count() == 6
    assert Identity.objects.count() == 6


def rename(message: Incoming, message_id: str) -> Incoming:
    return Incoming(
        message_id,
        message.occurred_at,
        message.customer_key,
        message.anonymous_id,
        message.name,
        traits=message.traits,
    )


def test_two_batches_that_join_and_meet_each_others_visitors_do_not_deadlock(
    store: Store,
) -> None:
    for number in range(40):
        x, y = f"x{number}", f"y{number}"
        store.together(
            [event(f"1-{x}", "ann", anonymous_id=x), event(f"2-{y}", None, anonymous_id=y)],
            [event(f"3-{y}", "bob", anonymous_id=y), event(f"4-{x}", None, anonymous_id=x)],
        )
    assert Event.objects.count() == 160


def test_who_waits_in_a_circle_with_others_begins_again(store: Store) -> None:
    store(traits("m1", "ann", n=1), traits("m2", "ben", n=1))
    lock = "SELECT FROM audience_customer WHERE external_key = %s FOR UPDATE"

    async def begin() -> "asyncio.Task[Stored]":
        both = [traits("m3", "ann", n=2), traits("m4", "ben", n=2)]
        return asyncio.create_task(store.ingest.store(both, source_id=store.source.pk))

    async def finish(task: "asyncio.Task[Stored]") -> Stored:
        return await task

    with psycopg.connect(database_url()) as other:
        other.execute(lock, ["ben"])
        storing = store.runner.run(begin())
        store.runner.run(asyncio.sleep(0.1))
        wait_for_blocked(1)
        # Ann is locked by then. Whoever waits for longer looks for circles first, and gives way.
        other.execute(lock, ["ann"])
    assert store.runner.run(finish(storing)) == Stored(new=2, repeated=0)
    assert (attributes("ann"), attributes("ben")) == ({"n": 2}, {"n": 2})
