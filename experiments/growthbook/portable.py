"""Writes conditions so that the SDKs agree on who meets them, where one attribute is not known.

To us and to the SDK for JavaScript, a number that is not known is 0 beside another: whoever never
ordered has fewer than 3 orders. The SDK for Python (since 4.0.0) takes nothing that is not known
for less or more than anything. What is meant is known beforehand, so it is written down.

What is left is up to the client: a number sent as text is compared as a number by some alone.
"""

from collections.abc import Mapping
from typing import Any

from audience.conditions.meaning import is_operator_object, matches
from audience.conditions.values import ORDERS


def to_portable(condition: Mapping[str, Any]) -> dict[str, Any]:
    """Write a condition so that it says of each attribute it compares what holds without it."""
    plain: dict[str, Any] = {}
    guarded: list[dict[str, Any]] = []
    for key, part in condition.items():
        if key == "$not":
            plain[key] = to_portable(part)
        elif key in ("$and", "$or", "$nor"):
            plain[key] = [to_portable(each) for each in part]
        elif _is_ordering(part):
            guarded.append(_guard(key, part))
        else:
            plain[key] = part
    if not guarded:
        return plain
    return {"$and": [*([plain] if plain else []), *guarded]}


def _is_ordering(part: Any) -> bool:
    """Say whether operators compare by order, which they may also do to negate it."""
    return is_operator_object(part) and any(
        name in ORDERS or (name == "$not" and _is_ordering(operand))
        for name, operand in part.items()
    )


def _guard(attribute: str, operators: Mapping[str, Any]) -> dict[str, Any]:
    compared = {attribute: dict(operators)}
    if matches(compared, {}):
        return {"$or": [{attribute: {"$exists": False}}, compared]}
    return {"$and": [{attribute: {"$exists": True}}, compared]}
