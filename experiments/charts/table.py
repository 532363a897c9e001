"""A picture with the same numbers as a table, for those who cannot see it or want to copy them."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture and its table.

    Attributes:
        svg: The picture, with a name and a text alternative.
        headings: Of the table's columns.
        rows: The table's rows, in words.
    """

    svg: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
