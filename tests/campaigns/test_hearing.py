"""Limits in total of what is seen, clicked or led to count the events that come in."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from django.utils import timezone

from audience.models import Scope
from campaigns.models import Campaign, Cap, Counter
from recommender.models import Decision
from tests.asgi import Site, open_site
from tests.makers import make_campaign, make_offer, make_placement, make_source

pytestmark = pytest.mark.django_db(transaction=True)

REDEEMED: Mapping[str, Any] = {"counts": "event", "event": "Coupon Redeemed"}


class Shop:
    """A site with one campaign, where customers get offers and do things with them."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.placement = make_placement()
        self.offer = make_offer(key="coupon")
        self.key = make_source(Scope.DECIDE)[1]
        self.events_key = make_source(Scope.EVENTS)[1]

    def start(self) -> Campaign:
        return make_campaign(
            placement=self.placement, offers=[self.offer], started_at=timezone.now(), hold_minutes=0
        )

    def limit(self, most: int, **values: Any) -> None:
        of = {"offer": self.offer} if {"campaign", "placement"}.isdisjoint(values) else {}
        everybody = {"is_per_customer": False, "window": "ever"}
        Cap.objects.create(limit=most, **{**everybody, **of, **values})

    def visit(self, *customers: str) -> list[Decision]:
        """Let customers ask, and return the decisions that gave something out."""
        for customer in customers:
            body = {"customer": customer, "placements": [self.placement.key]}
            assert self.site.post("/api/v1/decide", body, key=self.key).status == 200
        return list(Decision.objects.exclude(offer=None).select_related("customer"))

    def tell(self, name: str, told: Sequence[Mapping[str, Any]]) -> None:
        """Tell of an event for each of these properties."""
        batch = [
            {
                "type": "track",
                "event": name,
                "userId": "somebody",
                "messageId": str(uuid.uuid4()),
                "properties": properties,
            }
            for properties in told
        ]
        assert self.site.post("/v1/batch", {"batch": batch}, key=self.events_key).status == 200


@pytest.fixture
def shop(transactional_db: None) -> Iterator[Shop]:
    with open_site() as site:
        yield Shop(site)


def names(decisions: Sequence[Decision]) -> list[dict[str, str]]:
    return [{"decision_id": str(decision.pk)} for decision in decisions]


@pytest.mark.parametrize("of", ["offer", "campaign", "placement"])
def test_what_decisions_led_to_counts_for_all_that_they_are_of(shop: Shop, of: str) -> None:
    campaign = shop.start()
    things: dict[str, Any] = {
        "offer": shop.offer,
        "campaign": campaign,
        "placement": shop.placement,
    }
    shop.limit(3, **{of: things[of]}, **REDEEMED)
    given = shop.visit(*(f"a{n}" for n in range(8)))
    assert len(given) > 3
    shop.tell("Coupon Redeemed", names(given[:2]))
    more = shop.visit(*(f"b{n}" for n in range(8)))
    assert len(more) > len(given)
    shop.tell("Coupon Redeemed", names(given[2:3]))
    assert len(shop.visit(*(f"c{n}" for n in range(8)))) == len(more)
    refused = Decision.objects.filter(offer=None).exclude(arm="hold-out").latest("id")
    said = f"{of} {things[of].key} led to “Coupon Redeemed” 3 times, as often as it may be"
    assert said in refused.reasons


def test_an_offer_may_be_named_by_itself(shop: Shop) -> None:
    shop.start()
    shop.limit(2, counts="click")
    shop.tell("Promotion Clicked", [{"promotion_id": "coupon"}, {"promotion_id": "other"}])
    assert Counter.objects.get().used == 1
    shop.tell("Offer Clicked", [{"offer": "coupon"}])
    assert shop.visit(*(f"a{n}" for n in range(8))) == []


def test_what_names_nothing_of_ours_counts_for_nothing(shop: Shop) -> None:
    shop.start()
    shop.limit(1, **REDEEMED)
    shop.tell(
        "Coupon Redeemed",
        [{}, {"decision_id": "nonsense"}, {"decision_id": 7}, {"decision_id": str(uuid.uuid4())}],
    )
    shop.tell("Something Else", [{"offer": "coupon"}])
    assert not Counter.objects.exists()
    assert shop.visit(*(f"a{n}" for n in range(8)))


def test_an_event_that_comes_twice_counts_once(shop: Shop) -> None:
    shop.start()
    shop.limit(5, **REDEEMED)
    message = {
        "event": "Coupon Redeemed",
        "userId": "ada",
        "messageId": "m1",
        "properties": {"offer": "coupon"},
    }
    for _ in range(3):
        assert shop.site.post("/v1/track", message, key=shop.events_key).status == 200
    assert Counter.objects.get().used == 1


def test_an_event_counts_in_the_window_in_which_it_happened(shop: Shop) -> None:
    shop.start()
    shop.limit(2, window="day", **REDEEMED)
    yesterday = {
        "event": "Coupon Redeemed",
        "userId": "ada",
        "timestamp": datetime(2026, 11, 1, 12, tzinfo=UTC).isoformat(),
        "properties": {"offer": "coupon"},
    }
    for _ in range(3):
        assert shop.site.post("/v1/track", yesterday, key=shop.events_key).status == 200
    counter = Counter.objects.get()
    assert (counter.name.partition(":2026")[2], counter.used) == ("-11-01", 3)
    assert shop.visit(*(f"a{n}" for n in range(8)))
