"""Says what an order was worth, and how much of it a refund or a cancellation takes back.

The events are those of Segment's e-commerce specification, version 2:
https://segment.com/docs/connections/spec/ecommerce/v2/
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, LiteralString

from audience.incoming import LARGEST, value_of

ORDERED = "Order Completed"
REFUNDED = "Order Refunded"
CANCELLED = "Order Cancelled"
REVERSALS = (REFUNDED, CANCELLED)
# Under these names a reversal is kept that says no amount and whose order has not come yet.
WAITING = {REFUNDED: "Refund Without Order", CANCELLED: "Cancellation Without Order"}
# Under these names stand events that had come under another name of the same person as well.
REPEATED = {
    ORDERED: "Order Repeated",
    REFUNDED: "Refund Repeated",
    CANCELLED: "Cancellation Repeated",
}
# An order is completed once and cancelled once; it may be refunded in parts.
ONCE = (ORDERED, CANCELLED)

# In statements: the products that an event is about, a row each; one that lists none is about its
# own. Then such a product's key, and the id of an event's order in either spelling.
EACH_PRODUCT: LiteralString = """jsonb_array_elements(
        CASE jsonb_typeof(properties -> 'products') WHEN 'array'
            THEN properties -> 'products' ELSE jsonb_build_array(properties) END
    ) AS product"""
PRODUCT_KEY: LiteralString = "COALESCE(product ->> 'product_id', product ->> 'sku')"
ORDER_ID: LiteralString = "COALESCE(properties ->> 'order_id', properties ->> 'orderId')"

# Takings without tax and shipping, with them, and what any event is worth. The first that an order
# has is its value.
MEASURES = ("revenue", "total", "value", "subtotal")
DECIMAL = re.compile(r"-?\d{1,15}(?:\.\d{1,30})?\Z")
# Sums of cents in floating point end with noise far below this.
DIGITS = 6

Properties = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Order:
    """An order as it was stored.

    Attributes:
        value: What it counts for in metrics, in its currency; None if it did not say.
        properties: All that was said of it.
    """

    value: float | None
    properties: Properties


def order_id_of(properties: Properties) -> str | None:
    """Return an order's id as text, in either spelling; None if there is none."""
    given = properties.get("order_id")
    if given is None:
        given = properties.get("orderId")
    if isinstance(given, bool) or not isinstance(given, str | int):
        return None
    text = str(given)
    return text if text.strip() else None


def event_value(name: str | None, properties: Properties) -> float | None:
    """Return what an event of this name says it was worth; None if it does not say."""
    return (order_value if name == ORDERED or name in REVERSALS else value_of)(properties)


def order_value(properties: Properties) -> float | None:
    """Return what an order, or a reversal that says so, comes to; None if it does not say.

    Where no sum is given, the products are added up.
    """
    for name in MEASURES:
        amount = _amount(properties.get(name))
        if amount is not None:
            return amount
    return _products_value(properties, prices={})


def taken_back(
    name: str,
    properties: Properties,
    *,
    order: Order,
    before: float,
    said: float | None = None,
) -> float | None:
    """Return how much of an order a reversal takes back.

    A refund's amount is put in the measure of the order's value: of an order counted by its
    revenue, a refund of half the total takes back half the revenue. Never more is taken back than
    is left. A cancellation takes all that is left, and so does a refund without an amount.

    Args:
        name: Of the reversal.
        properties: Of the reversal.
        order: The order that it is about.
        before: How much was taken back before, in the same measure.
        said: How much a refund takes back, in the same measure, where its properties need not be
            asked.

    Returns:
        The amount, never negative; None where neither of both says any.
    """
    if name == CANCELLED:
        said = None
    elif said is None:
        said = _refunded(properties, order)
    if order.value is None:
        return said
    left = max(order.value - before, 0.0)
    return round(left if said is None else min(said, left), DIGITS)


def _refunded(properties: Properties, order: Order) -> float | None:
    """Return what a refund says that it gives back, in the measure of the order's value."""
    for name in MEASURES:
        amount = _amount(properties.get(name))
        if amount is None:
            continue
        whole = _amount(order.properties.get(name))
        if whole and order.value is not None:
            return abs(order.value * amount / whole)
        return abs(amount)
    prices = _prices(order.properties)
    amount = _products_value(properties, prices=prices)
    if amount is None:
        return None
    whole = _products_value(order.properties, prices=prices)
    if whole and order.value is not None:
        # Products are priced before discounts; the order's value has them taken off.
        return abs(order.value * amount / whole)
    return abs(amount)


def _products_value(properties: Properties, *, prices: Mapping[str, float]) -> float | None:
    """Add up the products; None if there are none, or one has no price."""
    total = 0.0
    products = list(_products(properties))
    for product in products:
        price = _amount(product.get("price"))
        if price is None:
            price = next((prices[id_] for id_ in _ids(product) if id_ in prices), None)
        quantity = _amount(product.get("quantity", 1))
        if price is None or quantity is None:
            return None
        total += price * abs(quantity)
    return total if products and abs(total) < LARGEST else None


def _prices(properties: Properties) -> Mapping[str, float]:
    """Return what one piece of each product costs, by any of its ids."""
    prices: dict[str, float] = {}
    for product in _products(properties):
        price = _amount(product.get("price"))
        if price is not None:
            prices |= dict.fromkeys(_ids(product), price)
    return prices


def _products(properties: Properties) -> Iterable[Mapping[str, Any]]:
    products = properties.get("products")
    return filter(_is_object, products) if isinstance(products, list) else ()


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _ids(product: Mapping[str, Any]) -> list[str]:
    named = (f"{name} {product[name]}" for name in ("product_id", "sku") if product.get(name))
    return list(named)


def _amount(value: object) -> float | None:
    """Read a sum of money; shops also write it as text."""
    if isinstance(value, str) and DECIMAL.match(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < LARGEST else None
