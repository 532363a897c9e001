"""Finds at which place an id stands."""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]

# Ids that leave no more than so many gaps for each id are looked up in a table.
GAPS = 16


class Places:
    """The places of ids that stand in an array."""

    def __init__(self, ids: Numbers | None = None) -> None:
        """Take the ids, each of which stands once."""
        held = np.empty(0, np.int64) if ids is None else ids
        low = int(held.min(initial=0))
        width = int(held.max(initial=0)) - low + 1
        self._low = low
        self._table: NDArray[np.int32] | None = None
        if width <= GAPS * (len(held) + 1000):
            self._table = np.full(width, -1, np.int32)
            self._table[held - low] = np.arange(len(held), dtype=np.int32)
        else:
            # In nearly the right order, which this kind of sorting is quick about.
            self._order = np.argsort(held, kind="stable")
            self._ordered = held[self._order]

    def find(self, ids: Numbers) -> NDArray[np.int32]:
        """Return the places of ids.

        Raises:
            LookupError: One of them is not there.
        """
        if self._table is None:
            found = np.searchsorted(self._ordered, ids)
            are_there = np.array_equal(self._ordered.take(found, mode="clip"), ids)
            places = self._order.take(found, mode="clip").astype(np.int32)
        else:
            shifted = ids - self._low
            are_there = bool(((shifted >= 0) & (shifted < len(self._table))).all())
            places = self._table.take(shifted, mode="clip")
            are_there = are_there and bool((places >= 0).all())
        if not are_there:
            raise LookupError("A row names a customer or an event that is not there.")
        return places
