"""Compares JSON values: which are equal, and which come before others."""

import re
from collections.abc import Callable
from decimal import Decimal
from operator import ge, gt, le, lt
from typing import Any

Order = Callable[[Any, Any], bool]

ORDERS: dict[str, Order] = {"$lt": lt, "$lte": le, "$gt": gt, "$gte": ge}

# A text that counts as a number beside a number. Without exponents and so short, it is the same
# number in Python and in PostgreSQL, and none is too large for either.
NUMBER = r"[+-]?[0-9]{1,15}([.][0-9]{1,15})?"
_NUMBER = re.compile(NUMBER)


def is_number(value: object) -> bool:
    """Say whether a value is one of JSON's numbers, which true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def are_equal(one: Any, other: Any) -> bool:
    """Say whether two JSON values are the same: 1 is 1.0, but neither true nor "1"."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(are_equal(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(are_equal, one, other))
    return bool(one == other)


def is_ordered(actual: Any, order: Order, expected: Any) -> bool:
    """Say whether two values stand in an order.

    Two texts are compared by code points, everything else as numbers; what is no number stands in
    no order.
    """
    if isinstance(actual, str) and isinstance(expected, str):
        return order(actual, expected)
    one, other = to_number(actual), to_number(expected)
    return one is not None and other is not None and order(one, other)


def to_number(value: Any) -> Decimal | None:
    """Read a value as a number, as JavaScript does: what is unknown is 0, true is 1.

    Other than there, an empty text, an exponent or a list is no number.
    """
    if value is None:
        return Decimal(0)
    if isinstance(value, bool):
        return Decimal(int(value))
    if isinstance(value, int | float):
        # The decimal digits that JSON shows, not the binary fraction behind them.
        return Decimal(repr(value))
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return Decimal(value)
    return None
