"""What a shop says of a product: what it is called, where it is shown, what it costs."""

from collections.abc import Mapping
from typing import Any

import msgspec

LONGEST_TEXT = 500
LONGEST_ADDRESS = 2_000
ADDRESSES = ("http://", "https://")
TEXTS = ("name", "currency", "category", "brand", "variant")
# As events spell them (Segment's e-commerce specification).
LINKS = {"url": "url", "image": "image_url"}
FIELDS = (*TEXTS, *LINKS.values(), "price", "in_stock")


class Product(msgspec.Struct, frozen=True):
    """A product as customers see it; what nobody said is empty, or None.

    `price` is in the shop's own currency. A product is in stock unless something said otherwise.
    """

    key: str
    name: str = ""
    url: str = ""
    image: str = ""
    price: float | None = None
    currency: str = ""
    category: str = ""
    brand: str = ""
    variant: str = ""
    in_stock: bool = True


def read_product(key: str, said: Mapping[str, Any]) -> Product:
    """Read what events said of a product; what is odd counts as not said."""
    texts = {name: _text(said.get(name)) for name in TEXTS}
    links = {name: _address(said.get(spelt)) for name, spelt in LINKS.items()}
    price, in_stock = price_of(said), said.get("in_stock") is not False
    return Product(key, **texts, **links, price=price, in_stock=in_stock)


def to_plain_product(product: Product) -> dict[str, Any]:
    """Return what templates and clients are told of a product: nothing that is empty."""
    plain: dict[str, Any] = msgspec.to_builtins(product)
    return {name: value for name, value in plain.items() if value not in ("", None)}


def price_of(said: Mapping[str, Any]) -> float | None:
    """Return what a product costs; None if nothing says so, or it is no number above 0."""
    try:
        price = float(said.get("price", "nan"))
    except (TypeError, ValueError):
        return None
    return price if 0 < price < float("inf") else None


def _text(value: object) -> str:
    return value.strip()[:LONGEST_TEXT] if isinstance(value, str) else ""


def _address(value: object) -> str:
    """Return an address of the web; others, of scripts above all, are none."""
    text = value.strip() if isinstance(value, str) else ""
    is_one = text.lower().startswith(ADDRESSES) and len(text) <= LONGEST_ADDRESS
    return text if is_one else ""
