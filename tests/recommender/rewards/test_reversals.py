"""An order that is taken back changes what it taught, once, however late it comes."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction
from django.db.models import Sum
from psycopg_pool import AsyncConnectionPool
from pytest_django import Settings

from audience.incoming import Incoming
from audience.intake.ingest import Ingest
from audience.models import Customer, Source
from recommender.evaluating.evaluation import read_log
from recommender.learning.learn import Learned, learn_batch
from recommender.learning.rebuilding import check_sums
from recommender.models import Policy, Reversal, Reward
from recommender.rewards.reversals import note_reversals
from recommender.rewards.settling import REVISED_FOR, find_due_policies
from tests.asgi import database_url
from tests.makers import (
    DAY,
    HOUR,
    NOW,
    SECOND,
    event_row,
    make_customer,
    make_customers,
    make_decision,
    make_events,
    make_policy,
    merge,
)
from tests.racing import locked_table, other_sessions, wait_for_blocked
from tests.recommender.learned import assert_learned_the_log, stored

pytestmark = pytest.mark.django_db(transaction=True)

ORDER, REFUND, CANCEL = "Order Completed", "Order Refunded", "Order Cancelled"
_ids: Iterator[int] = iter(range(10**9))


def tell(
    customer: Customer, name: str, *, at: datetime, value: float | None = None, order: str = "A1"
) -> None:
    """Send an event the way the tracking API stores it."""
    properties = {"order_id": order} | ({} if value is None else {"revenue": value})
    send(
        Incoming(
            f"m{next(_ids)}",
            at,
            customer_key=customer.external_key,
            name=name,
            value=value,
            properties=properties,
        )
    )


def send(message: Incoming) -> None:
    """Send a message the way the tracking API stores it."""

    async def store() -> None:
        async with AsyncConnectionPool(
            database_url(), min_size=1, max_size=1, kwargs={"autocommit": True}, open=False
        ) as pool:
            ingest = Ingest(pool, listeners=[note_reversals])
            await ingest.store([message], source_id=source.pk)

    source, _ = Source.objects.get_or_create(name="tests")
    asyncio.run(store())


def learn(policy: Policy, *, now: datetime) -> Learned | None:
    learned = learn_batch(policy.pk, now=now)
    assert check_sums(policy, now=now).problem == ""
    return learned


def value_of(customer: Customer) -> float | None:
    return Reward.objects.get(decision__customer=customer).value


def settle_two_orders(policy: Policy, customer: Customer) -> None:
    """Let a customer buy for 40 and for 10 after a decision, and learn that."""
    make_decision(policy, customer, at=NOW)
    tell(customer, ORDER, at=NOW + SECOND, value=40.0)
    tell(customer, ORDER, at=NOW + 2 * SECOND, value=10.0, order="B2")
    learn(policy, now=NOW + 2 * HOUR)


@pytest.fixture
def customer() -> Customer:
    return make_customer()


@pytest.mark.parametrize(
    ("kind", "full", "half", "gone", "all_gone"),
    [("sum", 50.0, 30.0, 10.0, 0.0), ("count", 2.0, 2.0, 1.0, 0.0), ("any", 1.0, 1.0, 1.0, 0.0)],
    ids=["sum", "count", "any"],
)
def test_what_is_taken_back_after_the_window_is_taken_from_the_sums(
    customer: Customer, kind: str, full: float, half: float, gone: float, all_gone: float
) -> None:
    policy = make_policy(reward_kind=kind)
    settle_two_orders(policy, customer)
    assert value_of(customer) == full
    tell(customer, REFUND, at=NOW + DAY, value=20.0)
    learn(policy, now=NOW + 2 * DAY)
    assert value_of(customer) == half
    tell(customer, CANCEL, at=NOW + 3 * DAY)
    learn(policy, now=NOW + 4 * DAY)
    assert value_of(customer) == gone
    tell(customer, REFUND, at=NOW + 5 * DAY, order="B2")
    learn(policy, now=NOW + 6 * DAY)
    assert value_of(customer) == all_gone
    assert_learned_the_log(policy)
    assert stored(policy)["red"].n == 1.0


def test_an_order_of_two_names_is_worth_once_what_it_is_when_they_are_one_person() -> None:
    policy = make_policy(reward_kind="sum")
    visitor = Customer.objects.create(external_key="anonymous:b1")
    ann = Customer.objects.create(external_key="ann")
    for customer in (visitor, ann):
        make_decision(policy, customer, at=NOW)
        tell(customer, ORDER, at=NOW + SECOND, value=40.0)
    learn(policy, now=NOW + 2 * HOUR)
    assert (value_of(visitor), value_of(ann)) == (40.0, 40.0)
    send(Incoming("link", NOW, customer_key="ann", anonymous_id="b1"))
    assert find_due_policies(now=NOW + DAY) == [policy]
    learn(policy, now=NOW + DAY)
    total = Reward.objects.aggregate(total=Sum("value"))["total"]
    assert total == 40.0
    assert_learned_the_log(policy)


def test_a_refund_inside_the_window_counts_from_the_beginning(customer: Customer) -> None:
    policy = make_policy(reward_kind="sum")
    make_decision(policy, customer, at=NOW)
    tell(customer, ORDER, at=NOW + SECOND, value=40.0)
    tell(customer, REFUND, at=NOW + 2 * SECOND, value=15.0)
    assert learn(policy, now=NOW + 2 * HOUR) == Learned(settled=1, learned=1, version=1)
    assert value_of(customer) == 25.0


def test_a_refund_that_is_imported_is_heard_of_as_well(customer: Customer) -> None:
    policy = make_policy(reward_kind="sum")
    settle_two_orders(policy, customer)
    refund = event_row(customer, REFUND, at=NOW + DAY, value=20.0, properties={"order_id": "A1"})
    make_events([refund, event_row(make_customer(), "Seen", at=NOW)])
    learn(policy, now=NOW + 2 * DAY)
    assert value_of(customer) == 30.0
    assert_learned_the_log(policy)
    # To import the same file again says nothing new.
    make_events([refund])
    assert find_due_policies(now=NOW + 2 * DAY) == []


def test_what_waited_for_an_order_of_an_import_is_heard_of_as_well(customer: Customer) -> None:
    make_policy(reward_kind="sum")
    tell(customer, CANCEL, at=NOW)
    assert not Reversal.objects.exists()
    make_events([event_row(customer, ORDER, at=NOW, value=20.0, properties={"order_id": "A1"})])
    assert [each.customer_id for each in Reversal.objects.all()] == [customer.pk]


def test_each_reversal_is_learned_once(customer: Customer) -> None:
    policy = make_policy(reward_kind="sum")
    settle_two_orders(policy, customer)
    tell(customer, REFUND, at=NOW + DAY, value=20.0)
    assert find_due_policies(now=NOW + 2 * DAY) == [policy]
    assert learn(policy, now=NOW + 2 * DAY) == Learned(0, 0, 2, corrected=1)
    before = stored(policy)["red"]
    assert find_due_policies(now=NOW + 2 * DAY) == []
    assert learn(policy, now=NOW + 2 * DAY) is None
    # A message of the queue that is delivered again finds the same reward.
    Reversal.objects.create(policy=policy, customer=customer)
    learn(policy, now=NOW + 3 * DAY)
    assert (stored(policy)["red"].b, stored(policy)["red"].s) == (before.b, before.s)


def test_other_names_and_policies_rewarded_for_something_else_note_nothing(
    customer: Customer,
) -> None:
    make_policy(reward_event="Promotion Clicked")
    tell(customer, ORDER, at=NOW, value=40.0)
    tell(customer, REFUND, at=NOW + SECOND)
    assert not Reversal.objects.exists()


def test_what_a_visitor_was_shown_is_taken_back_from_the_customer() -> None:
    policy = make_policy(reward_kind="sum")
    visitor, customer = make_customers(2)
    make_decision(policy, visitor, at=NOW)
    merge(visitor, into=customer)
    tell(customer, ORDER, at=NOW + SECOND, value=40.0)
    learn(policy, now=NOW + 2 * HOUR)
    tell(customer, REFUND, at=NOW + DAY)
    learn(policy, now=NOW + 2 * DAY)
    assert value_of(visitor) == 0.0


def test_who_is_held_back_is_judged_by_what_was_left(customer: Customer) -> None:
    policy = make_policy(reward_kind="sum")
    others = make_customers(5)
    for each in [customer, *others]:
        make_decision(policy, each, at=NOW, held_back=True)
    tell(customer, ORDER, at=NOW + SECOND, value=40.0)
    learn(policy, now=NOW + 2 * HOUR)
    tell(customer, REFUND, at=NOW + DAY, value=10.0)
    assert learn(policy, now=NOW + 2 * DAY) == Learned(settled=0, learned=0, version=None)
    log = read_log(policy, campaign="spring", offers=policy.offers)
    assert log is not None
    assert log.reward.sum() == 30.0


def test_an_offer_that_came_to_the_policy_later_is_still_no_lesson(customer: Customer) -> None:
    policy = make_policy(reward_kind="sum")
    make_decision(policy, customer, "violet", at=NOW)
    tell(customer, ORDER, at=NOW + SECOND, value=40.0)
    learn(policy, now=NOW + 2 * HOUR)
    Policy.objects.update(offers=[*policy.offers, "violet"])
    policy.refresh_from_db()
    tell(customer, REFUND, at=NOW + DAY, value=10.0)
    learn(policy, now=NOW + 2 * DAY)
    assert (value_of(customer), stored(policy)) == (30.0, {})


def test_what_comes_half_a_year_later_changes_nothing(customer: Customer) -> None:
    policy = make_policy(reward_kind="sum")
    settle_two_orders(policy, customer)
    too_late = NOW + REVISED_FOR + HOUR + SECOND
    tell(customer, REFUND, at=too_late)
    learn(policy, now=too_late)
    assert value_of(customer) == 50.0
    assert not Reversal.objects.exists()


def test_decisions_whose_events_may_be_forgotten_are_left_alone(
    customer: Customer, settings: Settings
) -> None:
    policy = make_policy(reward_kind="sum")
    settle_two_orders(policy, customer)
    settings.KEEP_EVENTS_DAYS = 30
    tell(customer, REFUND, at=NOW + 31 * DAY)
    learn(policy, now=NOW + 31 * DAY)
    assert value_of(customer) == 50.0


def test_a_reversal_is_stored_while_a_worker_learns(customer: Customer) -> None:
    policy = make_policy(reward_kind="sum")
    settle_two_orders(policy, customer)
    tell(customer, REFUND, at=NOW + DAY, value=20.0)
    with other_sessions(1) as run:
        with locked_table("recommender_policyversion"):
            worker = run(lambda: learn_batch(policy.pk, now=NOW + 2 * DAY))
            wait_for_blocked(1)
            tell(customer, REFUND, at=NOW + DAY + SECOND, value=5.0)
        assert worker.result(timeout=10) is not None
    assert value_of(customer) == 30.0
    learn(policy, now=NOW + 2 * DAY)
    assert value_of(customer) == 25.0


def test_a_worker_that_fails_leaves_the_reversal_to_the_next(customer: Customer) -> None:
    policy = make_policy(reward_kind="sum")
    settle_two_orders(policy, customer)
    tell(customer, REFUND, at=NOW + DAY, value=20.0)
    with transaction.atomic():
        assert learn_batch(policy.pk, now=NOW + 2 * DAY) is not None
        transaction.set_rollback(True)
    assert value_of(customer) == 50.0
    learn(policy, now=NOW + 2 * DAY + timedelta(seconds=1))
    assert value_of(customer) == 30.0
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM recommender_reversal")
        assert cursor.fetchone() == (0,)
