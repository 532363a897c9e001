"""Places of a slate earn what happens to their own products, once."""

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from audience.models import Customer
from recommender.decision_ids import RANDOM_BITS, decision_id
from recommender.decisions import Logged
from recommender.models import Decision, Policy, Reward
from recommender.rewards.settling import settle_rewards
from tests.makers import DAY, HOUR, NOW, log_all, make_customer, make_event, make_policy, merge
from tests.recommender.ranking.shops import make_ranking

pytestmark = pytest.mark.django_db


def show(
    policy: Policy, customer: Customer, items: str, *, at: datetime = NOW, is_product: bool = True
) -> list[Decision]:
    """Log a slate, whose ids fall as those of the desk do."""
    entropy = sorted((secrets.randbits(RANDOM_BITS) for _ in items), reverse=True)
    places = [
        Logged(
            id=decision_id(at, entropy=bits),
            decided_at=at,
            customer_key=customer.external_key,
            campaign="picks",
            placement="home",
            arm="personalised",
            policy_id=policy.pk,
            policy_version=1,
            offer=None if item == "-" else item,
            propensity=0.5,
            due_at=at + timedelta(seconds=policy.reward_window_seconds),
            position=position,
            ranker_version=7 if is_product else None,
            cost_cents=0 if is_product else 25,
        )
        for position, (item, bits) in enumerate(zip(items, entropy, strict=True))
    ]
    log_all(places)
    return [Decision.objects.get(pk=place.id) for place in places]


def make_slates(event: str = "Product Clicked", kind: str = "any") -> tuple[Policy, Customer]:
    policy = make_policy(offers=(), reward_event=event, reward_kind=kind, ranking=make_ranking())
    return policy, make_customer()


def earned(policy: Policy, slate: list[Decision]) -> list[float | None]:
    settle_rewards(policy, now=NOW + DAY, limit=100)
    values = dict(Reward.objects.values_list("decision_id", "value"))
    return [values[place.pk] for place in slate]


def click(customer: Customer, *, at: datetime = NOW + HOUR / 2, **properties: Any) -> None:
    make_event(customer, "Product Clicked", at=at, properties=properties)


def test_a_click_on_a_product_is_its_place_s() -> None:
    policy, customer = make_slates()
    slate = show(policy, customer, "abc")
    click(customer, product_id="b")
    click(customer, sku="x")
    settled = settle_rewards(policy, now=NOW + DAY, limit=100)
    assert [row.is_lesson for row in settled] == [False] * 3
    # What is no product of the slate is the first place's, as it is with offers.
    assert earned(policy, slate) == [1, 1, 0]


def test_an_event_that_names_a_decision_counts_for_its_slate_alone() -> None:
    policy, customer = make_slates(kind="count")
    before = show(policy, customer, "abc")
    after = show(policy, customer, "abc", at=NOW + HOUR / 4)
    # A mail knows the decision of its first place, and the product that was followed.
    click(customer, decision_id=str(before[0].pk), product_id="c")
    click(customer, decision_id=str(before[1].pk), product_id="x")
    click(customer, decision_id=str(before[2].pk))
    click(customer, decision_id="another", product_id="a")
    click(customer, product_id="a")
    assert earned(policy, before) == [0, 1, 2]
    assert earned(policy, after) == [1, 0, 0]


def test_a_later_slate_takes_over() -> None:
    policy, customer = make_slates(kind="count")
    first = show(policy, customer, "ab")
    second = show(policy, customer, "bc", at=NOW + HOUR / 4)
    click(customer, at=NOW + HOUR / 8, product_id="b")
    click(customer, at=NOW + HOUR / 2, product_id="b")
    click(customer, at=NOW + 3 * HOUR, product_id="b")
    assert earned(policy, first) == [0, 1]
    assert earned(policy, second) == [1, 0]


def test_of_an_order_a_place_earns_its_own_lines() -> None:
    policy, customer = make_slates("Order Completed", "sum")
    slate = show(policy, customer, "abc")
    order: Mapping[str, Any] = {
        "order_id": "1",
        "products": [
            {"product_id": "a", "price": 10, "quantity": 2},
            {"product_id": "c"},
            {"product_id": "z", "price": 5},
        ],
    }
    make_event(customer, "Order Completed", at=NOW + HOUR / 2, value=60, properties=order)
    assert earned(policy, slate) == [20, 0, 20]


@pytest.mark.parametrize(("items", "left"), [("ab", 4.0), ("f", 3.75)])
def test_what_is_left_is_a_share_of_what_was_ordered_less_the_fallback_s_cost(
    items: str, left: float
) -> None:
    policy, customer = make_slates("Product Added", "sum")
    Policy.objects.update(margin=0.5)
    policy.refresh_from_db()
    slate = show(policy, customer, items, is_product=items == "ab")
    make_event(customer, "Product Added", at=NOW, value=8, properties={"product_id": "a"})
    assert earned(policy, slate)[0] == left


ORDERED: Mapping[str, Any] = {
    "order_id": "1",
    "products": [
        {"product_id": "a", "price": 10, "quantity": 2},
        {"product_id": "b", "price": 20},
        {"product_id": "z", "price": 40},
    ],
}


def order(customer: Customer, *, value: float = 80, at: datetime = NOW + HOUR / 2) -> None:
    make_event(customer, "Order Completed", at=at, value=value, properties=ORDERED)


def take_back(
    customer: Customer, value: float | None, *products: Mapping[str, Any], name: str = "Refunded"
) -> None:
    properties = {"order_id": "1"} | ({"products": products} if products else {})
    at = NOW + 20 * DAY
    make_event(customer, f"Order {name}", at=at, value=value, properties=properties)


A, B = {"product_id": "a", "price": 10}, {"product_id": "b", "price": 20}


@pytest.mark.parametrize(
    ("refunds", "left"),
    [
        ([(20.0,)], [15, 15]),
        ([(10.0, A)], [10, 20]),
        ([(10.0, A), (10.0, A), (20.0, B)], [0, 0]),
        # Of what is said to be given back for two products each bears its part.
        ([(3.0, A, B)], [19, 18]),
        ([(10.0, {"product_id": "a"})], [10, 20]),
        ([(40.0, {"product_id": "z", "price": 40})], [20, 20]),
        ([(0.0, A)], [20, 20]),
        ([(80.0,)], [0, 0]),
    ],
)
def test_what_is_taken_back_of_an_order_is_taken_from_the_places_of_its_products(
    refunds: list[Any], left: list[float]
) -> None:
    policy, customer = make_slates("Order Completed", "sum")
    slate = show(policy, customer, "ab")
    order(customer)
    assert earned(policy, slate) == [20, 20]
    for value, *products in refunds:
        take_back(customer, value, *products)
    assert earned(policy, slate) == pytest.approx(left)
    settled_at = set(Reward.objects.values_list("settled_at", flat=True))
    assert settled_at == {NOW + DAY}


def test_of_a_discounted_order_all_products_taken_back_leave_nothing() -> None:
    policy, customer = make_slates("Order Completed", "sum")
    slate = show(policy, customer, "ab")
    order(customer, value=40)
    take_back(customer, 40.0, *ORDERED["products"])
    assert earned(policy, slate) == [0, 0]


@pytest.mark.parametrize("kind", ["any", "count"])
def test_an_order_that_is_cancelled_never_was_one(kind: str) -> None:
    policy, customer = make_slates("Order Completed", kind)
    slate = show(policy, customer, "abc")
    other = show(policy, make_customer(), "abc")
    order(customer)
    assert earned(policy, slate) == [1, 1, 0]
    take_back(customer, 20.0, {"product_id": "b", "price": 20})
    assert earned(policy, slate) == [1, 0, 0]
    take_back(customer, 60.0, name="Cancelled")
    assert earned(policy, slate) == [0, 0, 0]
    assert earned(policy, other) == [0, 0, 0]


def test_who_is_shown_no_products_earns_what_is_left_of_orders() -> None:
    policy, customer = make_slates("Order Completed", "sum")
    slate = show(policy, customer, "-", is_product=False)
    order(customer)
    take_back(customer, 10.0, A)
    assert earned(policy, slate) == [70]


def test_an_order_of_other_products_counts_less_what_is_taken_back_for_the_first_place() -> None:
    policy, customer = make_slates("Order Completed", "sum")
    slate = show(policy, customer, "xy")
    order(customer)
    take_back(customer, 10.0, A)
    assert earned(policy, slate) == [70, 0]


def test_a_refund_of_another_order_takes_nothing_back() -> None:
    policy, customer = make_slates("Order Completed", "sum")
    slate = show(policy, customer, "ab")
    order(customer)
    properties = {"order_id": "2"}
    make_event(customer, "Order Refunded", at=NOW + DAY / 2, value=9, properties=properties)
    order_of_another = make_customer()
    take_back(order_of_another, 80.0)
    assert earned(policy, slate) == [20, 20]


def test_a_single_product_earns_the_event_s_value() -> None:
    policy, customer = make_slates("Product Added", "sum")
    slate = show(policy, customer, "ab")
    make_event(
        customer, "Product Added", at=NOW + HOUR / 2, value=7, properties={"product_id": "b"}
    )
    assert earned(policy, slate) == [0, 7]


@pytest.mark.parametrize("items", ["-", "f"])
def test_who_is_shown_no_products_earns_all_that_happens(items: str) -> None:
    policy, customer = make_slates(kind="count")
    slate = show(policy, customer, items, is_product=False)
    click(customer, product_id="a")
    click(customer)
    assert earned(policy, slate) == [2]


def test_whoever_was_merged_is_one_person() -> None:
    policy, customer = make_slates()
    visitor = make_customer()
    slate = show(policy, visitor, "ab")
    merge(visitor, into=customer)
    click(customer, product_id="b")
    assert earned(policy, slate) == [0, 1]
