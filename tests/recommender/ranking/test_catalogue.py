"""Products are known by what events said of them last, whoever said it of what they may."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from audience.importing.copying import import_events
from audience.models import Kind, Source
from recommender.models import Product, Ranking
from recommender.ranking.catalogue import update_products
from recommender.tasks import read_products
from tests.makers import DAY, HOUR, NOW, event_row, make_customer, make_event, unique
from tests.recommender.ranking.shops import make_ranking

pytestmark = pytest.mark.django_db


def tell(at: datetime, event: str = "Product Viewed", **properties: Any) -> None:
    make_event(make_customer(), event, at=at, properties=properties)


def known() -> dict[str, Mapping[str, Any]]:
    return {product.key: product.facts for product in Product.objects.all()}


def test_each_thing_is_as_the_newest_event_says_it() -> None:
    make_ranking()
    tell(NOW - DAY, product_id="p1", name="Old", price=3, in_stock=False, url="https://x/1")
    tell(NOW - HOUR, product_id="p1", name="New", price=None, unheard_of=7)
    order = {"order_id": "1", "products": [{"sku": "s9", "price": 5}, {"name": "no key"}, "odd"]}
    tell(NOW - HOUR, "Order Completed", **order)
    assert update_products(now=NOW) == 2
    expected = {"name": "New", "price": 3, "in_stock": False, "url": "https://x/1"}
    assert known() == {"p1": expected, "s9": {"price": 5}}
    assert str(Product.objects.get(key="p1")) == "New"
    assert str(Product.objects.get(key="s9")) == "s9"


def test_what_comes_later_is_added() -> None:
    make_ranking()
    tell(NOW - HOUR, product_id="p1", name="Mug", price=3)
    update_products(now=NOW)
    tell(NOW + HOUR, product_id="p1", price=4)
    update_products(now=NOW + DAY)
    assert known()["p1"] == {"name": "Mug", "price": 4}


def test_an_event_that_is_late_by_itself_changes_nothing_that_is_known() -> None:
    make_ranking()
    tell(NOW - HOUR, product_id="p1", name="Mug")
    update_products(now=NOW)
    tell(NOW - DAY, product_id="p1", name="Before", brand="Acme")
    update_products(now=NOW + HOUR)
    assert known()["p1"] == {"name": "Mug", "brand": "Acme"}


def test_addresses_come_from_sources_with_a_secret_key_alone() -> None:
    make_ranking()
    public = Source.objects.create(name=unique("page"), kind=Kind.CLIENT)
    said = {"product_id": "p1", "name": "Mug", "url": "https://evil/", "image_url": "https://evil/"}
    customer = make_customer()
    import_events([event_row(customer, "Product Viewed", at=NOW, properties=said)], source=public)
    update_products(now=NOW)
    assert known()["p1"] == {"name": "Mug"}


def test_only_events_that_a_ranking_learns_from_tell_of_products() -> None:
    ranking = make_ranking()
    tell(NOW, "Page Viewed", product_id="p1", name="Mug")
    tell(NOW - 400 * DAY, product_id="p2", name="Long ago")
    assert update_products(now=NOW) == 0
    ranking.refresh_from_db()
    assert ranking.products_read_at == NOW
    assert not known()


def test_the_task_reads_what_is_new() -> None:
    make_ranking()
    assert read_products() == 0
    assert Ranking.objects.get().products_read_at is not None
