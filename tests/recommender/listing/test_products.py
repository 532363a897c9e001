"""What events say of products is read as far as it makes sense."""

import pytest

from recommender.listing.products import (
    LONGEST_TEXT,
    Product,
    price_of,
    read_product,
    to_plain_product,
)


def test_what_is_said_is_read() -> None:
    said = {
        "name": " Blue mug ",
        "url": "https://shop.example/mug",
        "image_url": "https://shop.example/mug.jpg",
        "price": "12.50",
        "currency": "EUR",
        "category": "mugs",
        "in_stock": False,
    }
    product = read_product("p1", said)
    assert product == Product(
        "p1",
        name="Blue mug",
        url="https://shop.example/mug",
        image="https://shop.example/mug.jpg",
        price=12.5,
        currency="EUR",
        category="mugs",
        in_stock=False,
    )
    assert to_plain_product(product)["in_stock"] is False
    assert "brand" not in to_plain_product(product)


def test_what_nobody_said_is_left_open() -> None:
    assert read_product("p1", {}) == Product("p1")
    assert to_plain_product(Product("p1")) == {"key": "p1", "in_stock": True}


@pytest.mark.parametrize("url", ["javascript:alert(1)", "/mug", 7, "https://x/" + "a" * 2_000])
def test_only_addresses_of_the_web_are_taken(url: object) -> None:
    assert read_product("p1", {"url": url, "image_url": url}) == Product("p1")


@pytest.mark.parametrize("price", [None, "free", -1, 0, "inf", "nan"])
def test_odd_prices_count_as_not_said(price: object) -> None:
    assert price_of({"price": price}) is None


def test_texts_are_cut_and_what_is_no_text_is_left_out() -> None:
    assert read_product("p", {"name": "a" * 999, "brand": 7}) == Product(
        "p", name="a" * LONGEST_TEXT
    )
