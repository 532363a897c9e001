"""Writes values into CSV so that no spreadsheet takes one for a formula."""

from typing import Any

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_cell(value: Any) -> Any:
    """Return a value as a cell: a text that begins like a formula gets an apostrophe before it."""
    is_formula = isinstance(value, str) and value.startswith(FORMULA)
    return f"'{value}" if is_formula else value
