"""Writes rows of mixed columns as numbers that a network can imitate, and reads them back.

A category is a choice among its values. A number is a choice too, among the values that come often
(0 above all, and that it is missing) and "elsewhere"; and elsewhere it is its rank among the
others, from -1 to 1. So whatever a network puts out, single columns look like the real ones: what
it has to learn is how they hang together.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from recommender.arrays import FloatArray

# What this part of the rows has in a numeric column is a value of its own.
OFTEN = 0.05
# A grid of so many ranks describes the others.
GRID = 201
MOST_VALUES = 50
ELSE = "(other)"

Row = Mapping[str, Any]


class CategoryColumn(msgspec.Struct, frozen=True, tag="category"):
    """A column of values that are alike or not, each a JSON scalar; None is missing."""

    name: str
    values: tuple[Any, ...]

    @property
    def choices(self) -> int:
        """How many values there are to choose from."""
        return len(self.values)

    @property
    def width(self) -> int:
        """How many numbers describe a value."""
        return self.choices

    def encode(self, value: Any) -> tuple[int, float]:
        """Return the choice, and nothing besides."""
        return (self.values.index(value) if value in self.values else self.choices - 1), 0.0

    def decode(self, choice: int, rank: float) -> Any:
        """Return the value of a choice."""
        return self.values[choice]


class NumberColumn(msgspec.Struct, frozen=True, tag="number"):
    """A column of numbers, some of which come often; None is missing.

    Attributes:
        often: Values that are choices of their own.
        grid: Quantiles of the other values, evenly spaced, ascending; empty where there are none.
        is_whole: Whether all values are whole.
    """

    name: str
    often: tuple[float | None, ...]
    grid: tuple[float, ...]
    is_whole: bool

    @property
    def choices(self) -> int:
        """How many values come often, and one for all others."""
        return len(self.often) + bool(self.grid)

    @property
    def width(self) -> int:
        """How many numbers describe a value."""
        return self.choices + bool(self.grid)

    def encode(self, value: Any) -> tuple[int, float]:
        """Return the choice, and the rank from -1 to 1 of a value that does not come often."""
        number = None if value is None else float(value)
        if number in self.often:
            return self.often.index(number), 0.0
        if number is None or not self.grid:
            return 0, 0.0
        ranks = np.linspace(-1.0, 1.0, len(self.grid))
        return len(self.often), float(np.interp(number, self.grid, ranks))

    def decode(self, choice: int, rank: float) -> Any:
        """Return the value of a choice, or the one of a rank."""
        if choice < len(self.often):
            value = self.often[choice]
        else:
            value = float(np.interp(rank, np.linspace(-1.0, 1.0, len(self.grid)), self.grid))
        if value is None:
            return None
        return round(value) if self.is_whole else value


Column = CategoryColumn | NumberColumn


@dataclass(frozen=True, slots=True)
class Block:
    """Where a column stands in an encoded row: its choices, then perhaps its rank."""

    column: Column
    start: int

    @property
    def choices(self) -> slice:
        """The places of the choices."""
        return slice(self.start, self.start + self.column.choices)

    @property
    def rank(self) -> int | None:
        """The place of the rank, if the column has one."""
        has_rank = self.column.width > self.column.choices
        return self.start + self.column.choices if has_rank else None


def fit_column(name: str, values: Sequence[Any]) -> Column:
    """Describe a column by its values, one or more; those of a number are kept as quantiles."""
    known = [value for value in values if value is not None]
    if known and all(isinstance(v, int | float) and not isinstance(v, bool) for v in known):
        return _fit_number(name, values)
    counted = Counter(values)
    common = [value for value, _ in counted.most_common(MOST_VALUES)]
    if len(counted) > MOST_VALUES:
        common[-1] = ELSE
    return CategoryColumn(name, tuple(common))


def blocks_of(columns: Sequence[Column]) -> tuple[Block, ...]:
    """Lay columns side by side."""
    ends = np.cumsum([0, *(column.width for column in columns)])
    return tuple(
        Block(column, int(start)) for column, start in zip(columns, ends[:-1], strict=True)
    )


def width_of(columns: Sequence[Column]) -> int:
    """Return how many numbers describe a row."""
    return sum(column.width for column in columns)


def encode_rows(rows: Sequence[Row], columns: Sequence[Column]) -> FloatArray:
    """Write rows as numbers, shape (n, width): ones for choices, ranks from -1 to 1."""
    x = np.zeros((len(rows), width_of(columns)))
    for block in blocks_of(columns):
        for index, row in enumerate(rows):
            choice, rank = block.column.encode(row.get(block.column.name))
            x[index, block.start + choice] = 1.0
            if block.rank is not None:
                x[index, block.rank] = rank
    return x


def decode_rows(x: FloatArray, columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Read rows back from numbers; of several choices the greatest counts."""
    rows: list[dict[str, Any]] = [{} for _ in x]
    for block in blocks_of(columns):
        chosen = x[:, block.choices].argmax(axis=1)  # (n,)
        ranks = np.zeros(len(x)) if block.rank is None else x[:, block.rank]
        for row, choice, rank in zip(rows, chosen.tolist(), ranks.tolist(), strict=True):
            row[block.column.name] = block.column.decode(choice, rank)
    return rows


def _fit_number(name: str, values: Sequence[Any]) -> NumberColumn:
    numbers = [None if value is None else float(value) for value in values]
    counted = Counter(numbers)
    often = [value for value, count in counted.most_common() if count >= OFTEN * len(values)]
    # What is missing has no rank, so it is a choice however seldom.
    if None in counted and None not in often:
        often.append(None)
    others = [number for number in numbers if number is not None and number not in often]
    grid = np.quantile(others, np.linspace(0.0, 1.0, GRID)).tolist() if others else []
    is_whole = all(number is None or number.is_integer() for number in numbers)
    return NumberColumn(name, tuple(often), tuple(grid), is_whole)
