from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience.commerce import (
    CANCELLED,
    REFUNDED,
    Order,
    order_id_of,
    order_value,
    taken_back,
)

SHIRT = {"product_id": "shirt", "sku": "S1", "price": 20, "quantity": 2}
SOCKS = {"product_id": "socks", "price": "5.00"}


def order(value: float | None = 40.0, **properties: Any) -> Order:
    return Order(value, properties)


def refunded(properties: dict[str, Any], of: Order, *, before: float = 0.0) -> float | None:
    return taken_back(REFUNDED, properties, order=of, before=before)


@pytest.mark.parametrize(
    ("properties", "id_"),
    [
        ({"order_id": "A17"}, "A17"),
        ({"order_id": 17}, "17"),
        ({"orderId": "A17"}, "A17"),
        ({"order_id": None, "orderId": 17}, "17"),
        ({"order_id": "A17", "orderId": "B"}, "A17"),
        ({"order_id": " "}, None),
        ({"order_id": True}, None),
        ({"order_id": 17.5}, None),
        ({"order_id": ["A17"]}, None),
        ({}, None),
    ],
)
def test_an_order_is_known_by_its_id_in_either_spelling(
    properties: dict[str, Any], id_: str | None
) -> None:
    assert order_id_of(properties) == id_


@pytest.mark.parametrize(
    ("properties", "value"),
    [
        ({"revenue": 25, "total": 30, "subtotal": 22}, 25.0),
        ({"total": 30, "value": 9, "subtotal": 22}, 30.0),
        ({"subtotal": 22, "value": 9}, 9.0),
        ({"subtotal": 22}, 22.0),
        ({"revenue": "25.50"}, 25.5),
        ({"revenue": " -3 "}, -3.0),
        ({"revenue": "$25", "total": 30}, 30.0),
        ({"revenue": "1e3", "total": "nan"}, None),
        ({"revenue": True, "total": None, "value": [1]}, None),
        ({"revenue": 1e15}, None),
        ({"revenue": 10**400}, None),
        ({"revenue": 0, "total": 30}, 0.0),
        ({"products": [SHIRT, SOCKS]}, 45.0),
        ({"products": [SHIRT, {"product_id": "gift"}]}, None),
        ({"products": [{"price": 5, "quantity": "many"}]}, None),
        ({"products": [{"price": 9e14, "quantity": 9e14}]}, None),
        ({"products": ["shirt", SOCKS]}, 5.0),
        ({"products": []}, None),
        ({"products": {"price": 5}}, None),
        ({}, None),
    ],
)
def test_an_order_is_worth_what_it_says_or_what_its_products_are(
    properties: dict[str, Any], value: float | None
) -> None:
    assert order_value(properties) == value


def test_a_refund_without_an_amount_takes_back_all() -> None:
    assert refunded({"order_id": "A17"}, order(40.0)) == 40.0


def test_a_refund_of_the_same_measure_takes_back_its_amount() -> None:
    assert refunded({"revenue": 10}, order(40.0, revenue=40)) == 10.0
    assert refunded({"revenue": -10}, order(40.0, revenue=40)) == 10.0


def test_a_refund_of_half_the_total_takes_back_half_the_revenue() -> None:
    assert refunded({"total": 25}, order(40.0, revenue=40, total=50)) == 20.0
    assert refunded({"total": 50}, order(40.0, revenue=40, total=50)) == 40.0


def test_an_amount_in_a_measure_that_the_order_lacks_is_taken_at_its_word() -> None:
    assert refunded({"total": 25}, order(40.0, revenue=40)) == 25.0
    assert refunded({"total": 25}, order(40.0, revenue=40, total=0)) == 25.0


def test_refunded_products_take_back_their_part_of_the_discounted_order() -> None:
    # 45 before the discount, 36 after it: a fifth off, so a shirt of 20 was sold for 16.
    sold = order(36.0, revenue=36, products=[SHIRT, SOCKS])
    assert refunded({"products": [{"product_id": "shirt", "quantity": 1}]}, sold) == 16.0
    assert refunded({"products": [{"sku": "S1", "quantity": 1}]}, sold) == 16.0
    assert refunded({"products": [{**SOCKS, "quantity": 1}]}, sold) == 4.0


def test_products_of_an_order_without_any_are_worth_their_prices() -> None:
    assert refunded({"products": [SHIRT]}, order(50.0, revenue=50)) == 40.0


def test_products_without_a_known_price_take_back_all() -> None:
    assert refunded({"products": [{"sku": "H"}]}, order(50.0, products=[{"sku": "H"}])) == 50.0
    assert refunded({"products": [{"product_id": "hat"}]}, order(50.0, products=[SHIRT])) == 50.0


def test_a_cancellation_takes_all_that_is_left_whatever_it_says() -> None:
    # It repeats the order's own sums, perhaps in another measure.
    said = {"total": 50, "revenue": 40}
    assert taken_back(CANCELLED, said, order=order(40.0, revenue=40), before=15.0) == 25.0


def test_never_more_is_taken_back_than_is_left() -> None:
    assert refunded({"revenue": 30}, order(40.0, revenue=40), before=25.0) == 15.0
    assert refunded({}, order(40.0), before=40.0) == 0.0
    assert refunded({}, order(40.0), before=50.0) == 0.0
    assert refunded({}, order(-5.0)) == 0.0


def test_of_an_order_that_does_not_say_its_worth_a_refund_is_taken_at_its_word() -> None:
    assert refunded({"revenue": 30}, order(None)) == 30.0
    assert refunded({"products": [SHIRT]}, order(None, products=[{"price": 9}])) == 40.0
    assert refunded({}, order(None)) is None
    assert taken_back(CANCELLED, {"revenue": 30}, order=order(None), before=0.0) is None


def test_cents_leave_no_noise() -> None:
    assert refunded({"revenue": 0.1}, order(0.3, revenue=0.3), before=0.2) == 0.1
    assert refunded({}, order(0.3, revenue=0.3), before=0.1 + 0.1) == 0.1


@given(
    value=st.floats(0, 1e6),
    shares=st.lists(st.floats(0, 2), max_size=6),
    total=st.floats(1e-3, 1e6),
)
def test_refunds_and_a_cancellation_take_back_exactly_the_order(
    value: float, shares: list[float], total: float
) -> None:
    sold, before = order(value, revenue=value, total=total), 0.0
    for share in shares:
        amount = refunded({"total": share * total}, sold, before=before)
        assert amount is not None
        assert 0 <= amount <= value + 1e-6
        before += amount
    last = taken_back(CANCELLED, {}, order=sold, before=before)
    assert last is not None
    # Each amount is rounded to a millionth.
    assert before + last == pytest.approx(value, abs=1e-6 * (len(shares) + 1))
