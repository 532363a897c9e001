"""An event belongs to one decision at most, whichever campaigns decided for the customer."""

import pytest

from campaigns.models import Campaign, Offer
from campaigns.results.queries import find_currencies, read_offers, write_cost
from experiments.measuring.queries import measure
from experiments.metrics.columns import Events, Given, Total
from experiments.sql.columns import Scope
from recommender.decisions import Logged
from tests.campaigns.results.shop import CANCEL, LATER, ORDER, REFUND, WINDOW, draft_shop, write
from tests.makers import (
    HOUR,
    NOW,
    SECOND,
    expose,
    log_all,
    make_campaign,
    make_customer,
    make_event,
    make_offer,
    merge,
)

pytestmark = pytest.mark.django_db


def revenue_of(campaign: Campaign) -> dict[str, float]:
    found = read_offers(campaign, since=NOW, now=LATER)
    return {log.key: log.revenue for log in found if log.given}


@pytest.fixture
def spring() -> Campaign:
    return draft_shop()


@pytest.fixture
def winter() -> Campaign:
    """Another campaign, whose decisions count for an hour only."""
    return make_campaign(offers=[make_offer(key="coat")], reward_window_seconds=3600)


def coat(winter: Campaign, *args: object, **values: object) -> Logged:
    return write(winter, *args, **values)  # type: ignore[arg-type]


def test_of_several_decisions_of_a_campaign_the_last_earns(spring: Campaign) -> None:
    ann = make_customer()
    log_all(
        [
            write(spring, ann, "red", at=NOW),
            write(spring, ann, "blue", at=NOW + HOUR),
            write(spring, ann, "red", at=NOW + 3 * HOUR),
        ]
    )
    make_event(ann, ORDER, at=NOW + 2 * HOUR, value=10)
    make_event(ann, ORDER, at=NOW + 3 * HOUR, value=5)
    assert revenue_of(spring) == {"blue": 10, "red": 5}


def test_of_two_campaigns_one_earns_it(spring: Campaign, winter: Campaign) -> None:
    ann = make_customer()
    log_all([write(spring, ann, "red", at=NOW), coat(winter, ann, "coat", at=NOW + HOUR)])
    make_event(ann, ORDER, at=NOW + 90 * 60 * SECOND, value=10)
    # By then the other campaign's decision does not count any more.
    make_event(ann, ORDER, at=NOW + 3 * HOUR, value=3)
    assert revenue_of(spring) == {"red": 3}
    assert revenue_of(winter) == {"coat": 10}


def test_what_names_its_decision_belongs_to_it_alone(spring: Campaign, winter: Campaign) -> None:
    ann, bob = make_customer(), make_customer()
    first = write(spring, ann, "red", at=NOW)
    log_all([first, coat(winter, ann, "coat", at=NOW + HOUR), write(spring, bob, "blue", at=NOW)])
    named = {"decision_id": str(first.id)}
    make_event(ann, ORDER, at=NOW + 2 * HOUR - SECOND, value=10, properties=named)
    make_event(bob, ORDER, at=NOW + HOUR, value=7, properties=named)
    make_event(ann, ORDER, at=NOW + WINDOW, value=5, properties=named)
    assert revenue_of(spring) == {"blue": 0, "red": 10}
    assert revenue_of(winter) == {"coat": 0}


def test_no_offer_earns_nothing_and_takes_nothing_away(spring: Campaign, winter: Campaign) -> None:
    ann = make_customer()
    log_all([write(spring, ann, "red", at=NOW), coat(winter, ann, None, at=NOW + HOUR)])
    make_event(ann, ORDER, at=NOW + 2 * HOUR, value=10)
    make_event(ann, REFUND, at=NOW + 3 * HOUR, value=4)
    assert revenue_of(spring) == {"red": 6}
    assert revenue_of(winter) == {}


@pytest.mark.parametrize("name", [REFUND, CANCEL])
def test_what_is_taken_back_is_taken_off_where_the_order_counted(
    spring: Campaign, name: str
) -> None:
    ann = make_customer()
    log_all(
        [write(spring, ann, "red", at=NOW + HOUR), write(spring, ann, "blue", at=NOW + 5 * HOUR)]
    )
    for order_id, hours in (("before", 0), ("half", 2), ("whole", 3), ("other", 6)):
        order = {"order_id": order_id}
        make_event(ann, ORDER, at=NOW + hours * HOUR, value=10, properties=order)
    for order_id, at, amount in (
        # Of no offer's order, and of red's: when blue had been given, and long after its window.
        ("before", NOW + 7 * HOUR, 10),
        ("half", NOW + 7 * HOUR, 4),
        ("whole", NOW + 3 * WINDOW, 10),
    ):
        make_event(ann, name, at=at, value=amount, properties={"order_id": order_id})
    found = read_offers(spring, since=NOW, now=LATER)
    expected = {"red": (1, 6.0), "blue": (1, 10.0)}
    if name == CANCEL:
        # A cancellation takes all that is left.
        expected["red"] = (0, 0.0)
    assert {log.key: (log.goals, log.revenue) for log in found} == expected


def test_in_a_slate_the_first_place_earns_unless_another_is_named(spring: Campaign) -> None:
    ann = make_customer()
    second = write(spring, ann, "blue", at=NOW, position=1)
    log_all([write(spring, ann, "red", at=NOW), second])
    make_event(ann, ORDER, at=NOW + HOUR, value=10)
    named = {"decision_id": str(second.id)}
    make_event(ann, ORDER, at=NOW + HOUR, value=2, properties=named)
    assert revenue_of(spring) == {"blue": 2, "red": 10}
    # Only the first place was drawn from all, so the second tells nothing of chances.
    asked = {log.key: log.moments.n for log in read_offers(spring, since=NOW, now=LATER)}
    assert asked == {"blue": 1, "red": 1}
    means = {log.key: log.moments.mean[1] for log in read_offers(spring, since=NOW, now=LATER)}
    assert means == {"blue": 0, "red": 1}


def test_all_names_of_a_person_earn_together(spring: Campaign) -> None:
    visitor, ann = make_customer(), make_customer()
    log_all([write(spring, visitor, "red", at=NOW), write(spring, ann, "red", at=NOW + HOUR)])
    merge(visitor, into=ann)
    make_event(visitor, ORDER, at=NOW + 2 * HOUR, value=10)
    (red,) = (log for log in read_offers(spring, since=NOW, now=LATER) if log.given)
    assert (red.given, red.customers, red.goals, red.revenue) == (2, 1, 1, 10)


def test_a_decision_counts_by_its_chance_only_once_it_is_over(spring: Campaign) -> None:
    ann = make_customer()
    log_all([write(spring, ann, "red", at=NOW)])
    make_event(ann, ORDER, at=NOW + HOUR, value=10)
    early = {log.key: log for log in read_offers(spring, since=NOW, now=NOW + 2 * HOUR)}
    assert early["red"].revenue == 10
    assert early["red"].moments.n == 0


def test_currencies_are_those_of_its_own_customers_orders(spring: Campaign) -> None:
    ann, bob = make_customer(), make_customer()
    log_all([write(spring, ann, None, at=NOW)])
    for customer, currency in ((ann, "eur"), (ann, "USD"), (bob, "GBP")):
        properties = {"currency": currency}
        make_event(customer, ORDER, at=NOW + HOUR, value=1, properties=properties)
    make_event(ann, ORDER, at=NOW + HOUR, value=1)
    assert find_currencies(spring, since=NOW, now=LATER) == ["EUR", "USD"]


def test_each_offer_costs_what_it_did_when_it_was_given_out(spring: Campaign) -> None:
    ann, past, future = make_customer(), NOW, NOW + 18 * HOUR
    log_all([write(spring, ann, "red", at=at) for at in (past, past + HOUR)])
    log_all([write(spring, ann, "red", at=future, cost_cents=300)])
    log_all([write(spring, ann, "blue", at=future)])
    Offer.objects.filter(key="red").update(cost_cents=200)
    found = read_offers(spring, since=past, now=future)
    assert {log.key: log.cost for log in found} == {"blue": 0, "red": 1.5 + 1.5 + 3}
    expose(spring.experiment, ann, "control", at=past)
    cost = write_cost(spring, since=past, now=future)
    scope = Scope(spring.experiment_id, past, future, given={"cost": cost})
    (moments,) = measure(scope, [Total("sum", Events(ORDER)), Given("cost")]).by_arm.values()
    assert moments.mean == (0, 6)
