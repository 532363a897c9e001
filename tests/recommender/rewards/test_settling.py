"""What a decision earned: which events count for which decision, once."""

from datetime import datetime, timedelta

import pytest
from django.db import transaction

from audience.models import Customer
from recommender.models import Decision, Policy, Reward
from recommender.rewards.settling import GRACE, Settled, settle_rewards
from tests.makers import (
    DAY,
    HOUR,
    NOW,
    SECOND,
    event_row,
    log_all,
    logged,
    make_customer,
    make_customers,
    make_decision,
    make_event,
    make_events,
    make_policy,
    merge,
)
from tests.racing import locked_table, other_sessions, wait_for_blocked

pytestmark = pytest.mark.django_db

ORDER = "Order Completed"
LATER = NOW + 30 * DAY
INSTANT = timedelta(microseconds=1)


def settle(policy: Policy, *, now: datetime = LATER, limit: int = 1000) -> list[Settled]:
    return settle_rewards(policy, now=now, limit=limit)


def earned(decision: Decision) -> float | None:
    return Reward.objects.get(decision=decision).value


@pytest.fixture
def policy() -> Policy:
    """A policy that is rewarded for orders within an hour."""
    return make_policy()


@pytest.fixture
def customer() -> Customer:
    return make_customer()


@pytest.mark.parametrize(
    ("at", "counts"),
    [
        (NOW - INSTANT, 0.0),
        (NOW, 1.0),
        (NOW + HOUR - INSTANT, 1.0),
        (NOW + HOUR, 0.0),
    ],
)
def test_the_window_holds_its_start_and_not_its_end(
    policy: Policy, customer: Customer, at: datetime, counts: float
) -> None:
    decision = make_decision(policy, customer, at=NOW)
    make_event(customer, ORDER, at=at)
    settle(policy)
    assert earned(decision) == counts


def test_events_of_other_names_and_other_customers_earn_nothing(
    policy: Policy, customer: Customer
) -> None:
    decision = make_decision(policy, customer, at=NOW)
    make_event(customer, "Site Visited", at=NOW + SECOND)
    make_event(make_customer(), ORDER, at=NOW + SECOND)
    settle(policy)
    assert earned(decision) == 0.0


@pytest.mark.parametrize(
    ("kind", "value"), [("any", 1.0), ("count", 3.0), ("sum", 5.0)], ids=["any", "count", "sum"]
)
def test_the_kind_says_what_three_events_make(customer: Customer, kind: str, value: float) -> None:
    policy = make_policy(reward_kind=kind)
    decision = make_decision(policy, customer, at=NOW)
    make_events([event_row(customer, ORDER, at=NOW + SECOND, value=v) for v in (10.0, -5.0, None)])
    settle(policy)
    assert earned(decision) == value


def test_the_last_decision_before_the_event_wins(policy: Policy, customer: Customer) -> None:
    first = make_decision(policy, customer, at=NOW)
    second = make_decision(policy, customer, at=NOW + 10 * SECOND)
    make_event(customer, ORDER, at=NOW + 5 * SECOND)
    make_event(customer, ORDER, at=NOW + 15 * SECOND)
    settle(policy)
    assert (earned(first), earned(second)) == (1.0, 1.0)


def test_an_event_after_the_second_decision_is_not_the_firsts(
    policy: Policy, customer: Customer
) -> None:
    first = make_decision(policy, customer, at=NOW)
    second = make_decision(policy, customer, at=NOW + 10 * SECOND)
    make_event(customer, ORDER, at=NOW + 10 * SECOND)
    settle(policy)
    assert (earned(first), earned(second)) == (0.0, 1.0)


def test_two_decisions_of_one_instant_do_not_both_earn(policy: Policy, customer: Customer) -> None:
    twins = [make_decision(policy, customer, at=NOW) for _ in range(2)]
    make_event(customer, ORDER, at=NOW + SECOND)
    settle(policy)
    assert sorted(earned(decision) or 0.0 for decision in twins) == [0.0, 1.0]


def test_a_decision_of_another_campaign_takes_nothing_away(
    policy: Policy, customer: Customer
) -> None:
    first = make_decision(policy, customer, at=NOW, campaign="spring")
    second = make_decision(policy, customer, at=NOW + SECOND, campaign="summer")
    make_event(customer, ORDER, at=NOW + 2 * SECOND)
    settle(policy)
    assert (earned(first), earned(second)) == (1.0, 1.0)


def test_an_event_that_names_its_decision_counts_there_alone(
    policy: Policy, customer: Customer
) -> None:
    first = make_decision(policy, customer, at=NOW)
    second = make_decision(policy, customer, at=NOW + SECOND)
    make_event(customer, ORDER, at=NOW + 2 * SECOND, properties={"decision_id": str(first.pk)})
    settle(policy)
    assert (earned(first), earned(second)) == (1.0, 0.0)


def test_a_named_decision_earns_nothing_after_its_window(
    policy: Policy, customer: Customer
) -> None:
    decision = make_decision(policy, customer, at=NOW)
    make_event(customer, ORDER, at=NOW + HOUR, properties={"decision_id": str(decision.pk)})
    settle(policy)
    assert earned(decision) == 0.0


@pytest.mark.parametrize("named", ["nonsense", 5, {"id": 1}])
def test_an_event_that_names_no_decision_of_ours_counts_for_none(
    policy: Policy, customer: Customer, named: object
) -> None:
    decision = make_decision(policy, customer, at=NOW)
    make_event(customer, ORDER, at=NOW + SECOND, properties={"decision_id": named})
    settle(policy)
    assert earned(decision) == 0.0


def test_an_empty_name_is_no_name(policy: Policy, customer: Customer) -> None:
    decision = make_decision(policy, customer, at=NOW)
    make_event(customer, ORDER, at=NOW + SECOND, properties={"decision_id": None})
    settle(policy)
    assert earned(decision) == 1.0


def test_what_a_visitor_was_shown_earns_what_the_customer_then_did(policy: Policy) -> None:
    visitor, customer = make_customers(2)
    decision = make_decision(policy, visitor, at=NOW)
    merge(visitor, into=customer)
    make_event(customer, ORDER, at=NOW + SECOND)
    settle(policy)
    assert earned(decision) == 1.0


def test_one_order_of_a_merged_customer_is_not_earned_twice(policy: Policy) -> None:
    visitor, customer = make_customers(2)
    as_visitor = make_decision(policy, visitor, at=NOW)
    as_customer = make_decision(policy, customer, at=NOW + SECOND)
    merge(visitor, into=customer)
    make_event(customer, ORDER, at=NOW + 2 * SECOND)
    settle(policy)
    assert (earned(as_visitor), earned(as_customer)) == (0.0, 1.0)


def test_nothing_is_settled_before_the_window_and_its_grace_have_passed(
    policy: Policy, customer: Customer
) -> None:
    decision = make_decision(policy, customer, at=NOW)
    assert settle(policy, now=NOW + HOUR + GRACE - INSTANT) == []
    assert earned(decision) is None
    assert len(settle(policy, now=NOW + HOUR + GRACE)) == 1


def test_a_hold_out_is_settled_too(policy: Policy, customer: Customer) -> None:
    make_decision(policy, customer, None, at=NOW)
    make_event(customer, ORDER, at=NOW + SECOND)
    assert settle(policy) == [Settled(offer=None, is_lesson=False, features=[1.0], value=1.0)]


def test_settling_again_finds_nothing(policy: Policy, customer: Customer) -> None:
    make_decision(policy, customer, at=NOW)
    assert len(settle(policy)) == 1
    assert settle(policy) == []


def test_other_policies_rewards_are_left_alone(policy: Policy, customer: Customer) -> None:
    other = make_decision(make_policy(), customer, at=NOW)
    make_decision(policy, customer, at=NOW)
    assert len(settle(policy)) == 1
    assert earned(other) is None


def test_the_oldest_are_settled_first(policy: Policy) -> None:
    decisions = [
        logged(policy, customer, "red", at=NOW + offset * SECOND)
        for offset, customer in zip((2, 0, 1), make_customers(3), strict=True)
    ]
    log_all(decisions)
    settle(policy, limit=2)
    assert [Reward.objects.get(decision_id=d.id).value for d in decisions] == [None, 0.0, 0.0]


def test_months_apart_is_as_good_as_minutes(customer: Customer) -> None:
    policy = make_policy(reward_window_seconds=90 * 86_400)
    first = make_decision(policy, customer, at=NOW)
    second = make_decision(policy, customer, at=NOW + 40 * DAY)
    make_event(customer, ORDER, at=NOW + 35 * DAY)
    make_event(customer, ORDER, at=NOW + 70 * DAY)
    settle(policy, now=NOW + 200 * DAY)
    assert (earned(first), earned(second)) == (1.0, 1.0)


@pytest.mark.django_db(transaction=True)
def test_two_sessions_settle_each_reward_once() -> None:
    policy = make_policy()
    log_all([logged(policy, customer, "red", at=NOW) for customer in make_customers(50)])

    def settle_some() -> int:
        with transaction.atomic():
            return len(settle(policy, limit=30))

    with other_sessions(2) as run:
        with locked_table("recommender_reward"):
            futures = [run(settle_some) for _ in range(2)]
            wait_for_blocked(2)
        settled = [future.result(timeout=10) for future in futures]
    assert sum(settled) == 50
    assert not Reward.objects.filter(settled_at=None).exists()
