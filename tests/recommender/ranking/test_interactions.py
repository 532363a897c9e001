"""What a site's events say of tastes, read once for each person."""

import numpy as np
import pytest

from recommender.models.rankings import default_weights
from recommender.ranking import interactions
from recommender.ranking.interactions import read_history, read_site, words_of
from tests.makers import DAY, HOUR, NOW, event_row, make_customers, make_events, merge
from tests.recommender.ranking.shops import viewed

pytestmark = pytest.mark.django_db

WEIGHTS = default_weights()


def read(per_customer: int = 100) -> interactions.SiteData:
    return read_site(WEIGHTS, since=NOW - 90 * DAY, until=NOW, per_customer=per_customer)


def test_events_are_read_in_order_and_weighed() -> None:
    (customer,) = make_customers(1)
    order = {"products": [{"product_id": "p09"}, {"sku": "s1"}, {"name": "no key"}]}
    make_events(
        [
            event_row(customer, "Order Completed", at=NOW - HOUR, properties=order),
            viewed(customer, 9, day=1),
            event_row(customer, "Page Viewed", at=NOW - HOUR, properties={"product_id": "p1"}),
            event_row(customer, "Product Viewed", at=NOW + HOUR, properties={"product_id": "p2"}),
            event_row(customer, "Product Added", at=NOW - 99 * DAY, properties={"sku": "p3"}),
        ]
    )
    data = read()
    assert data.customers == (customer.pk,)
    assert data.items == ("p09", "s1")
    np.testing.assert_array_equal(data.histories.items, [0, 0, 1])
    np.testing.assert_array_equal(data.histories.weights, [1.0, 5.0, 5.0])


def test_a_visitor_who_turned_out_to_be_a_customer_is_one_person() -> None:
    customer, visitor = make_customers(2)
    make_events([viewed(customer, 1, day=3), viewed(visitor, 2, day=2)])
    merge(visitor, into=customer)
    data = read()
    assert data.customers == (customer.pk,)
    assert [data.items[item] for item in data.histories.items] == ["p02", "p01"]


def test_programs_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interactions, "BOT_EVENTS_PER_DAY", 3)
    person, program = make_customers(2)
    make_events([viewed(program, 1, day=1 + place / 100) for place in range(4)])
    make_events([viewed(person, 1, day=day) for day in range(4)])
    assert read().customers == (person.pk,)


def test_of_each_customer_the_newest_events_are_read() -> None:
    (customer,) = make_customers(1)
    make_events([viewed(customer, product, day=product) for product in range(5)])
    data = read(per_customer=2)
    assert [data.items[item] for item in data.histories.items] == ["p03", "p04"]


def test_products_are_what_was_said_of_them_last() -> None:
    (customer,) = make_customers(1)
    old = {"product_id": "p01", "name": "Old name", "price": 3}
    make_events(
        [
            event_row(customer, "Product Viewed", at=NOW - 80 * DAY, properties=old),
            viewed(customer, 1, day=1),
        ]
    )
    facts = read().facts
    assert facts.prices.tolist() == [11.0]
    assert facts.words.toarray().tolist() == [[1, 1, 1]]  # 1, category=shelf 0, product


def test_the_digest_tells_whether_events_are_the_same() -> None:
    (customer,) = make_customers(1)
    make_events([viewed(customer, 1, day=1)])
    before = read().digest
    assert read().digest == before
    make_events([viewed(customer, 2, day=2)])
    assert read().digest != before


def test_without_events_there_is_nothing_to_learn_from() -> None:
    with pytest.raises(ValueError, match="No event names a product yet"):
        read()


def test_a_history_is_told_newest_first() -> None:
    (customer,) = make_customers(1)
    make_events([viewed(customer, product, day=product) for product in range(3)])
    told = read_history(customer.pk, WEIGHTS, until=NOW, most=2)
    assert [(name, item, title) for _, name, item, title in told] == [
        ("Product Viewed", "p02", "Product 2"),
        ("Product Viewed", "p01", "Product 1"),
    ]


def test_words_may_be_missing_or_odd() -> None:
    assert words_of({"name": "Blue T-shirt, L", "category": "tops", "brand": 7}) == [
        "blue", "t", "shirt", "l", "category=tops",
    ]  # fmt: skip
    assert words_of({"name": None}) == []
