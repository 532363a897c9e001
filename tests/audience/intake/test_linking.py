from datetime import UTC, datetime
from typing import Any

from audience.incoming import Incoming
from audience.models import Customer, Event, Identity
from tests.audience.conftest import Store

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)

_ids = iter(range(10**9))


def seen(customer: str | None = None, browser: str | None = None, **fields: Any) -> Incoming:
    fields = {"name": "Seen", **fields}
    return Incoming(f"m{next(_ids)}", NOW, customer, browser, **fields)


def described(customer: str | None = None, browser: str | None = None, **traits: Any) -> Incoming:
    return seen(customer, browser, name=None, traits=traits)


def owner(browser: str) -> str:
    return Identity.objects.get(kind="anonymous_id", value=browser).customer.external_key


def merged_into(key: str) -> str | None:
    into = Customer.objects.get(external_key=key).merged_into
    return None if into is None else into.external_key


def owners_of_events() -> list[str]:
    events = Event.objects.order_by("id").select_related("customer")
    return [event.customer.external_key for event in events]


def test_a_visitor_is_a_customer_of_their_own(store: Store) -> None:
    store(seen(browser="b1"), seen(browser="b1"), seen(browser="b2"))
    assert owners_of_events() == ["anonymous:b1", "anonymous:b1", "anonymous:b2"]
    assert owner("b1") == "anonymous:b1"


def test_a_visitor_who_logs_in_is_merged_into_the_customer(store: Store) -> None:
    store(seen(browser="b1"))
    store(seen("ann", "b1"))
    store(seen(browser="b1"))
    assert merged_into("anonymous:b1") == "ann"
    assert owners_of_events() == ["anonymous:b1", "ann", "ann"]


def test_a_visitor_who_logs_in_within_the_batch_never_was_a_stranger(store: Store) -> None:
    store(seen(browser="b1"), seen("ann", "b1"))
    assert owners_of_events() == ["ann", "ann"]
    assert not Customer.objects.filter(external_key="anonymous:b1").exists()


def test_a_browser_is_handed_over_and_its_past_stays_with_who_logged_in_first(
    store: Store,
) -> None:
    store(seen(browser="b1"))
    store(seen("ann", "b1"))
    store(seen("bob", "b1"))
    store(seen(browser="b1"))
    assert owner("b1") == "bob"
    assert merged_into("anonymous:b1") == "ann"
    assert merged_into("ann") is None
    assert owners_of_events()[-1] == "bob"


def test_two_customers_of_a_browser_in_one_batch_take_its_past_and_its_future(
    store: Store,
) -> None:
    store(seen(browser="b1"))
    store(seen("ann", "b1"), seen("bob", "b1"))
    assert merged_into("anonymous:b1") == "ann"
    assert owner("b1") == "bob"


def test_a_customer_may_use_many_browsers(store: Store) -> None:
    store(seen(browser="b1"), seen(browser="b2"))
    store(seen("ann", "b1"), seen("ann", "b2"))
    assert merged_into("anonymous:b1") == merged_into("anonymous:b2") == "ann"


def test_traits_of_a_visitor_are_the_visitors(store: Store) -> None:
    store(described(browser="b1", age=30))
    assert Customer.objects.get(external_key="anonymous:b1").attributes == {"age": 30}


def test_traits_from_a_known_customers_browser_are_the_customers(store: Store) -> None:
    store(seen("ann", "b1"))
    store(described(browser="b1", age=30))
    assert Customer.objects.get(external_key="ann").attributes == {"age": 30}


def test_traits_by_either_name_are_added_in_the_order_they_came(store: Store) -> None:
    store(seen("ann", "b1"))
    store(described("ann", age=1), described(browser="b1", age=2, city="Rome"))
    assert Customer.objects.get(external_key="ann").attributes == {"age": 2, "city": "Rome"}


def test_a_visitor_whom_the_offers_met_first_is_found(store: Store) -> None:
    """The decide API may make a visitor's customer row before any event comes."""
    Customer.objects.create(external_key="anonymous:b1")
    store(seen(browser="b1"))
    assert owners_of_events() == ["anonymous:b1"]
    assert owner("b1") == "anonymous:b1"


def test_a_visitor_who_was_left_without_a_browser_is_merged_at_the_next_log_in(
    store: Store,
) -> None:
    """Two first requests may race: one makes the visitor, the other gives the browser away."""
    store(seen("ann", "b1"))
    Customer.objects.create(external_key="anonymous:b1")
    store(seen("ann", "b1"))
    assert merged_into("anonymous:b1") == "ann"


def test_a_visitor_is_merged_into_whom_the_customer_turned_out_to_be(store: Store) -> None:
    store(seen("ann"), seen("ann-old"), seen(browser="b1"))
    Customer.objects.filter(external_key="ann-old").update(
        merged_into=Customer.objects.get(external_key="ann")
    )
    store(seen("ann-old", "b1"))
    assert merged_into("anonymous:b1") == "ann"
