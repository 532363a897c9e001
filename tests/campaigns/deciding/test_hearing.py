"""Limits in total of what is seen, clicked or led to count the events that come in."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from audience.importing.copying import EventRow, import_events
from audience.importing.imported_orders import ImportedOrders, SettledAgain
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


ORDERED: Mapping[str, Any] = {"counts": "event", "event": "Order Completed"}


def order(shop: Shop, **who: str) -> None:
    """Tell of the order A17 of the offer, by a name of the customer."""
    message = {
        "event": "Order Completed",
        "messageId": str(uuid.uuid4()),
        "timestamp": timezone.now().isoformat(),
        "properties": {"order_id": "A17", "revenue": 40, "offer": "coupon"},
        **who,
    }
    assert shop.site.post("/v1/track", message, key=shop.events_key).status == 200


def order_twice(shop: Shop) -> None:
    """Tell of the order under both names of one customer."""
    order(shop, anonymousId="b1")
    order(shop, userId="ada")


def limit_since_yesterday(shop: Shop, most: int) -> None:
    shop.limit(most, **ORDERED)
    Cap.objects.update(created_at=timezone.now() - timedelta(days=1))


def join(shop: Shop) -> None:
    body = {"userId": "ada", "anonymousId": "b1"}
    assert shop.site.post("/v1/identify", body, key=shop.events_key).status == 200


def bring(order: str = "A17") -> None:
    """Import a file with the order of the offer."""
    about = {"order_id": order, "offer": "coupon"}
    row = EventRow("ada", "Order Completed", timezone.now(), str(uuid.uuid4()), 40.0, about)
    import_events([row], source=make_source()[0])


def used() -> list[int]:
    return list(Counter.objects.filter(name__startswith="cap:").values_list("used", flat=True))


def test_an_order_that_came_under_two_names_is_taken_back_where_it_counted_twice(
    shop: Shop,
) -> None:
    shop.start()
    limit_since_yesterday(shop, 2)
    order_twice(shop)
    assert (used(), shop.visit(*(f"a{n}" for n in range(8)))) == ([2], [])
    join(shop)
    assert used() == [1]
    assert shop.visit(*(f"b{n}" for n in range(8)))


def test_a_limit_that_never_counted_an_order_does_not_take_it_back(shop: Shop) -> None:
    shop.start()
    order_twice(shop)
    shop.limit(2, **ORDERED)
    # A process that was started since knows of the limit.
    with open_site() as shop.site:
        order(shop, userId="ben")
        assert used() == [1]
        join(shop)
        assert used() == [1]


def test_a_counter_that_was_emptied_stays_empty(shop: Shop) -> None:
    shop.start()
    limit_since_yesterday(shop, 2)
    order_twice(shop)
    Counter.objects.update(used=0)
    join(shop)
    assert used() == [0]


def test_an_order_counts_once_whether_it_is_imported_or_sent_first(shop: Shop) -> None:
    shop.start()
    limit_since_yesterday(shop, 3)
    bring()
    order(shop, userId="ada")
    assert used() == [1]
    order(shop, userId="ben")
    bring()
    bring("B1")
    assert used() == [3]
    assert shop.visit(*(f"a{n}" for n in range(8))) == []


def test_an_order_that_is_sent_while_it_is_imported_counts_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.start()
    limit_since_yesterday(shop, 3)
    bring("B1")
    settle = ImportedOrders.settle_again

    def settle_again(self: ImportedOrders) -> SettledAgain:
        order(shop, userId="ada")
        return settle(self)

    monkeypatch.setattr(ImportedOrders, "settle_again", settle_again)
    bring()
    assert used() == [2]


def test_what_an_import_tells_of_decisions_counts_and_what_is_older_than_the_limit_does_not(
    shop: Shop,
) -> None:
    shop.start()
    shop.limit(9, **REDEEMED)
    given = shop.visit(*(f"a{n}" for n in range(8)))
    told = [{"decision_id": str(given[0].pk)}, {"offer": "coupon"}, {"decision_id": "none"}, {}]
    source, _ = make_source()
    for at in (timezone.now(), timezone.now() - timedelta(days=30)):
        rows = [EventRow("ada", "Coupon Redeemed", at, str(uuid.uuid4()), None, p) for p in told]
        import_events(rows, source=source)
        import_events(rows, source=source)
    assert used() == [2]


REFUNDED: Mapping[str, Any] = {"counts": "event", "event": "Order Refunded"}


def refund(shop: Shop, **who: str) -> None:
    """Tell, without an amount, that the order A17 of the offer is refunded."""
    message = {
        "event": "Order Refunded",
        "messageId": str(uuid.uuid4()),
        "timestamp": timezone.now().isoformat(),
        "properties": {"order_id": "A17", "offer": "coupon"},
        **(who or {"userId": "ada"}),
    }
    assert shop.site.post("/v1/track", message, key=shop.events_key).status == 200


def refund_by_a_file(at: datetime) -> None:
    about = {"order_id": "A17", "offer": "coupon"}
    row = EventRow("ada", "Order Refunded", at, str(uuid.uuid4()), None, about)
    import_events([row], source=make_source()[0])


@pytest.mark.parametrize("is_imported", [False, True], ids=["sent", "imported"])
def test_a_refund_that_waited_counts_when_its_order_comes(shop: Shop, *, is_imported: bool) -> None:
    shop.start()
    shop.limit(1, **REFUNDED)
    refund(shop)
    assert used() == []
    bring() if is_imported else order(shop, userId="ada")
    assert used() == [1]
    assert shop.visit(*(f"a{n}" for n in range(8))) == []
    # It counts once, whatever comes again.
    bring()
    order(shop, userId="ada")
    assert used() == [1]


@pytest.mark.parametrize(("is_old", "counted"), [(False, [1]), (True, [])])
def test_a_refund_of_a_file_that_waited_counts_unless_it_is_older_than_the_limit(
    shop: Shop, *, is_old: bool, counted: list[int]
) -> None:
    shop.start()
    shop.limit(9, **REFUNDED)
    refund_by_a_file(timezone.now() - timedelta(days=is_old))
    assert used() == []
    bring()
    assert used() == counted


def test_a_refund_that_is_sent_while_its_order_is_imported_counts_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.start()
    shop.limit(2, **REFUNDED)
    bring("B1")
    settle = ImportedOrders.settle_again

    def settle_again(self: ImportedOrders) -> SettledAgain:
        refund(shop)
        return settle(self)

    monkeypatch.setattr(ImportedOrders, "settle_again", settle_again)
    bring()
    assert used() == [1]
