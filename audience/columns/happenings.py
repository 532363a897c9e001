"""The events of one name as columns, in the order of their times."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audience.columns.coded import Coded
from audience.columns.growing import Growing

# So many that came since stand behind the others, in any order, before all are sorted again.
MOST_UNSORTED = 50_000

Numbers = NDArray[np.int64]
Places = NDArray[np.int32]
# Which rows: a stretch of those in order, or the numbers of some.
Rows = slice | NDArray[np.intp]


@dataclass(slots=True)
class Happenings:
    """The events of one name: a row for each.

    Attributes:
        ids: Of the events.
        customers: The places of the customers.
        microseconds: The times, since 1970.
        cents: The values.
        properties: By their paths.
        weight: What all values come to without their signs, in cents.
    """

    ids: Growing[np.int64] = field(default_factory=lambda: Growing(np.int64))
    customers: Growing[np.int32] = field(default_factory=lambda: Growing(np.int32))
    microseconds: Growing[np.int64] = field(default_factory=lambda: Growing(np.int64))
    cents: Growing[np.int64] = field(default_factory=lambda: Growing(np.int64))
    properties: dict[str, Coded] = field(default_factory=dict)
    weight: float = 0.0
    _sorted: int = 0
    # Whose events these are, and by which owners.
    _people: Places | None = None
    _owners: int = -1

    def add(
        self,
        ids: Numbers,
        customers: Places,
        microseconds: Numbers,
        cents: Numbers,
        properties: Mapping[str, NDArray[np.int32]],
    ) -> None:
        """Add rows behind those in order, with the codes of the properties that are here."""
        self.ids.add(ids)
        self.customers.add(customers)
        self.microseconds.add(microseconds)
        self.cents.add(cents)
        for path, codes in properties.items():
            self.properties[path].add(codes)
        self.weight += float(np.abs(cents.astype(np.float64)).sum())
        self._people = None

    def drop(self, ids: Numbers) -> None:
        """Leave out the rows of some events, whether or not they are here."""
        kept = np.flatnonzero(~np.isin(self.ids.view(), ids))
        if len(kept) == len(self.ids):
            return
        self.weight -= float(np.abs(np.delete(self.cents.view(), kept).astype(np.float64)).sum())
        self._sorted = int(np.searchsorted(kept, self._sorted))
        self._take(kept)

    def tidy(self) -> None:
        """Put the rows in order if too many of them are not."""
        if len(self.ids) - self._sorted > MOST_UNSORTED:
            self.sort()

    def sort(self) -> None:
        """Put all rows in the order of their times."""
        self._take(np.argsort(self.microseconds.view(), kind="stable"))
        self._sorted = len(self.ids)

    def _take(self, order: NDArray[np.intp]) -> None:
        """Let these rows stay, in this order."""
        columns: list[Growing[Any]] = [self.ids, self.customers, self.microseconds, self.cents]
        for column in columns:
            column.take(order)
        for coded in self.properties.values():
            coded.take(order)
        self._people = None

    def between(self, low: int | None, high: int) -> Iterator[Rows]:
        """Return the rows from a time on until before another, in microseconds."""
        at = self.microseconds.view()
        ordered = at[: self._sorted]
        first = 0 if low is None else int(np.searchsorted(ordered, low))
        yield slice(first, int(np.searchsorted(ordered, high)))
        rest = at[self._sorted :]
        if len(rest):
            within = rest < high if low is None else (rest >= low) & (rest < high)
            yield np.flatnonzero(within) + self._sorted

    def people(self, owners: Places, *, version: int) -> Places:
        """Return whose event each is: the place of the person.

        Args:
            owners: Of each customer's place, the person's.
            version: Which state of the owners that is.
        """
        if self._people is None or self._owners != version:
            self._people = owners[self.customers.view()]
            self._owners = version
        return self._people
