"""A policy is rewarded by what is left of orders, less what its offers cost."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from audience.models import Customer
from recommender.learning.learn import learn_batch
from recommender.learning.rebuilding import check_sums
from recommender.models import Policy, Reversal, Reward
from recommender.rewards.settling import GRACE
from tests.makers import (
    DAY,
    HOUR,
    NOW,
    event_row,
    log_all,
    logged,
    make_customer,
    make_customers,
    make_event,
    make_events,
)
from tests.makers import make_policy as make_any_policy
from tests.recommender.learned import assert_learned_the_log

pytestmark = pytest.mark.django_db(transaction=True)

ORDER, REFUND = "Order Completed", "Order Refunded"
WINDOW = 20 * DAY
THEN = NOW + 60 * DAY
OFFERS = ("red", "nothing")
MARGIN = 0.4


def make_policy(**values: Any) -> Policy:
    return make_any_policy(
        offers=OFFERS,
        reward_kind="sum",
        margin=MARGIN,
        reward_window_seconds=int(WINDOW.total_seconds()),
        **values,
    )


def give(policy: Policy, customers: list[Customer], *, at: Any) -> None:
    """Give a red offer, which costs 1.50, to every other customer, and nothing to the others."""
    log_all(
        [
            logged(policy, customer, OFFERS[n % 2], at=at, cost_cents=0 if n % 2 else 150)
            for n, customer in enumerate(customers)
        ]
    )


def order(customers: list[Customer], *, at: Any, after: timedelta = HOUR / 2) -> None:
    """Let each order for 10, half of them soon and half of them on the third day."""
    make_events(
        [
            event_row(
                customer,
                ORDER,
                at=at + (3 * DAY if n % 4 > 1 else after),
                value=10.0,
                properties={"order_id": str(customer.pk)},
            )
            for n, customer in enumerate(customers)
        ]
    )


def learn(policy: Policy, *, at: Any) -> None:
    learn_batch(policy.pk, now=at)
    assert check_sums(policy, now=at).problem == ""


def rewards(customers: list[Customer]) -> list[tuple[float | None, float]]:
    rows = Reward.objects.filter(decision__customer__in=customers).order_by("decision__customer")
    return list(rows.values_list("value", "cost"))


def test_a_reward_is_what_is_left_less_what_the_offer_cost() -> None:
    policy = make_policy()
    customers = make_customers(4)
    give(policy, customers, at=NOW)
    order(customers[:2], at=NOW)
    learn(policy, at=NOW + WINDOW + DAY)
    assert rewards(customers) == [(4.0 - 1.5, 1.5), (4.0, 0.0), (-1.5, 1.5), (0.0, 0.0)]
    assert_learned_the_log(policy)


def test_without_a_margin_costs_do_not_count() -> None:
    policy = make_policy()
    Policy.objects.update(margin=None)
    customers = make_customers(2)
    give(policy, customers, at=NOW)
    order(customers, at=NOW)
    learn(policy, at=NOW + WINDOW + DAY)
    assert rewards(customers) == [(10.0, 0.0), (10.0, 0.0)]


def test_an_early_reward_expects_more_orders_but_no_more_costs() -> None:
    policy = make_policy()
    past = make_customers(120)
    give(policy, past, at=NOW)
    order(past, at=NOW)
    learn(policy, at=NOW + WINDOW + DAY)
    customers = make_customers(4)
    give(policy, customers, at=THEN)
    order(customers, at=THEN)
    learn(policy, at=THEN + HOUR + GRACE)
    # Half of what will be ordered has come by then.
    expected = [(4.0 / 0.5 - 1.5, 1.5), (4.0 / 0.5, 0.0), (-1.5, 1.5), (0.0, 0.0)]
    assert rewards(customers) == [pytest.approx(pair) for pair in expected]
    learn(policy, at=THEN + WINDOW + DAY)
    assert rewards(customers) == [(2.5, 1.5), (4.0, 0.0)] * 2
    assert_learned_the_log(policy)


def test_a_refund_takes_back_the_margin_and_not_the_cost() -> None:
    policy = make_policy()
    customer = make_customer()
    give(policy, [customer], at=NOW)
    order([customer], at=NOW)
    learn(policy, at=NOW + WINDOW + DAY)
    about = {"order_id": str(customer.pk)}
    make_event(customer, REFUND, at=NOW + WINDOW + 2 * DAY, value=5.0, properties=about)
    Reversal.objects.create(policy=policy, customer=customer)
    learn(policy, at=NOW + WINDOW + 3 * DAY)
    assert rewards([customer]) == [(2.0 - 1.5, 1.5)]
    assert_learned_the_log(policy)


def test_decisions_that_only_cost_something_do_not_hide_those_that_earned() -> None:
    policy = make_policy()
    earned = make_customers(60)
    give(policy, earned, at=NOW)
    order(earned, at=NOW)
    learn(policy, at=NOW + WINDOW + DAY)
    in_vain = make_customers(4_100)
    give(policy, in_vain, at=NOW + DAY)
    learn(policy, at=NOW + WINDOW + 3 * DAY)
    policy.refresh_from_db()
    assert policy.delays is not None
    assert policy.delays["earned"] == 60


@pytest.mark.parametrize("values", [{"reward_kind": "any"}, {"margin": 0.0}, {"margin": 1.1}])
def test_a_margin_is_a_share_of_a_sum(values: dict[str, Any]) -> None:
    policy = make_policy()
    with pytest.raises(IntegrityError, match="margin_is_a_share"), transaction.atomic():
        Policy.objects.filter(pk=policy.pk).update(**values)
