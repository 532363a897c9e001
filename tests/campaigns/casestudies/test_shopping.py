"""Shoppers ask a site for offers over HTTP, and tell it what they did."""

from collections.abc import Iterator

import pytest

from audience.models import Customer, Event, Scope
from campaigns.casestudies.client import ApiClient
from campaigns.casestudies.shop import open_shop
from campaigns.casestudies.shopping import (
    Visit,
    introduce_shoppers,
    react,
    send_in_waves,
    visit_shop,
)
from experiments.models import Exposure
from recommender.models import Decision
from recommender.simulators.shop import Rates, Shop
from tests.http_site import open_port
from tests.makers import NOW, make_source

# Whoever gets the right offer orders if they visit at all, and nobody else does.
SHOP = Shop(seed=2, rates=Rates(none=0, wrong=0, best=0.9))


@pytest.fixture
def client(transactional_db: None) -> Iterator[ApiClient]:
    _, key = make_source(Scope.EVENTS, Scope.DECIDE)
    with open_port() as url, ApiClient(url, key=key) as client:
        yield client


def test_shoppers_are_introduced_with_their_attributes(client: ApiClient) -> None:
    counts: list[int] = []
    introduce_shoppers(client, SHOP, [3, 5], progress=counts.append)
    introduce_shoppers(client, SHOP, [3], progress=counts.append)
    known = dict(Customer.objects.values_list("external_key", "attributes"))
    assert known == {f"shopper-{n}": SHOP.shopper(n).attributes for n in (3, 5)}
    assert counts == [2, 1]


def test_visit_leaves_a_decision_and_the_events_it_led_to(client: ApiClient) -> None:
    open_shop(SHOP, shoppers=40, now=NOW)
    introduce_shoppers(client, SHOP, range(40), progress=lambda count: None)
    visits = [visit_shop(client, SHOP, number) for number in range(40)]
    assert Decision.objects.count() == 40
    for number, visit in enumerate(visits):
        decision = Decision.objects.get(customer__external_key=f"shopper-{number}")
        events = Event.objects.filter(customer__external_key=f"shopper-{number}")
        assert visit.offer == decision.offer
        assert visit.behaviour == react(SHOP, number, decision.offer)
        named = {event.name: event for event in events}
        assert ("Offer Viewed" in named) == (visit.behaviour.visited and visit.offer is not None)
        assert ("Product Viewed" in named) == visit.behaviour.clicked
        assert ("Order Completed" in named) == visit.behaviour.ordered
        if visit.behaviour.ordered:
            order = named["Order Completed"]
            assert order.value == visit.behaviour.order_value_cents / 100
            assert order.properties["decision_id"] == str(decision.id)
            assert order.occurred_at >= decision.decided_at
    assert any(visit.behaviour.ordered for visit in visits)


def test_wave_of_shoppers_all_come(client: ApiClient) -> None:
    campaign = open_shop(SHOP, shoppers=12, now=NOW)
    visits: list[Visit] = []
    send_in_waves(campaign, client, SHOP, range(12), progress=visits.append)
    assert len(visits) == 12
    assert Exposure.objects.filter(experiment=campaign.experiment).count() == 12


def test_shopper_reacts_to_an_offer_in_one_way_only() -> None:
    assert react(SHOP, 4, "bundle" if "bundle" in SHOP.offers else SHOP.offers[0]) == react(
        SHOP, 4, SHOP.offers[0]
    )
