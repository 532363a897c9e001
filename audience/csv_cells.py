"""Writes values into CSV so that no spreadsheet takes one for a formula."""

import csv
from collections.abc import Generator, Iterable
from typing import Any

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_cell(value: Any) -> Any:
    """Return a value as a cell: a text that begins like a formula gets an apostrophe before it."""
    is_formula = isinstance(value, str) and value.startswith(FORMULA)
    return f"'{value}" if is_formula else value


def write_lines(rows: Iterable[Iterable[Any]]) -> Generator[str, None, None]:
    """Write rows as lines of CSV, one at a time."""
    writer = csv.writer(_Line())
    for row in rows:
        yield writer.writerow([to_cell(value) for value in row])


class _Line:
    """What a CSV writer writes into, and hands on line by line."""

    def write(self, text: str) -> str:
        return text
