"""The filters of messages' templates: each takes whatever is known, and returns little."""

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Undefined

MOST_OF_A_VALUE = 2_000


def is_missing(value: object) -> bool:
    """Tell whether there is nothing to write."""
    return isinstance(value, Undefined) or value is None or value == ""


def _default(value: object, otherwise: object = "", _always: object = None) -> object:
    # Elsewhere a further argument says that what is empty counts as missing; here it always does.
    return otherwise if is_missing(value) else value


def to_text(value: object) -> str:
    """Write a value, of which there may be none."""
    return "" if is_missing(value) else str(value)


def _truncate(value: object, length: int = 100) -> str:
    text = to_text(value)
    return text if len(text) <= length else text[: max(0, int(length) - 1)].rstrip() + "…"


def _number(value: object, digits: int = 0) -> str:
    try:
        return f"{float(str(value)):,.{min(max(int(digits), 0), 6)}f}"
    except (ValueError, OverflowError):
        return ""


def _cents(value: object) -> str:
    return _number(value if not isinstance(value, int | float) else value / 100, 2)


def _first(value: object) -> object:
    return value[0] if isinstance(value, list) and value else ""


def _join(value: object, separator: object = ", ") -> str:
    items = value if isinstance(value, list) else []
    return _truncate(str(separator)[:10].join(to_text(item) for item in items), MOST_OF_A_VALUE)


FILTERS: Mapping[str, Callable[..., Any]] = {
    "default": _default,
    "d": _default,
    "upper": lambda value: to_text(value).upper(),
    "lower": lambda value: to_text(value).lower(),
    "title": lambda value: to_text(value).title(),
    "capitalize": lambda value: to_text(value).capitalize(),
    "trim": lambda value: to_text(value).strip(),
    "truncate": _truncate,
    "number": _number,
    "cents": _cents,
    "first": _first,
    "join": _join,
    "length": lambda value: len(value) if isinstance(value, str | list | dict) else 0,
}
