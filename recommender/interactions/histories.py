"""Hold what many customers did with items, each in the order of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy import sparse

from recommender.arrays import BoolArray, FloatArray, IntArray, SparseArray


@dataclass(frozen=True, slots=True, eq=False)
class Histories:
    """Customers' events with items, oldest first; customer c's are starts[c] … starts[c + 1] - 1.

    Attributes:
        starts: Shape (n + 1,), from 0 to m.
        items: Which item each event is about, shape (m,), each in 0 … n_items - 1.
        weights: How much each event says, shape (m,), each above 0.
        times: When each happened, in seconds, shape (m,); all 0 where only the order is known.
        n_items: How many items there are.
    """

    starts: IntArray
    items: IntArray
    weights: FloatArray
    times: FloatArray
    n_items: int

    def __post_init__(self) -> None:
        m = len(self.items)
        if not len(self.items) == len(self.weights) == len(self.times) == self.starts[-1]:
            raise ValueError(
                f"{m} items need as many weights and times, and starts that end there, "
                f"not {len(self.weights)}, {len(self.times)} and {self.starts[-1]}."
            )
        if m and not 0 <= self.items.min() <= self.items.max() < self.n_items:
            raise ValueError(f"Items must lie in 0 … {self.n_items - 1}.")
        if not (self.weights > 0).all():
            raise ValueError("Weights must be above 0.")

    @classmethod
    def of(
        cls, lists: Sequence[Sequence[int]], *, n_items: int, times: FloatArray | None = None
    ) -> "Histories":
        """Join one list of items a customer, each event of weight 1."""
        starts = np.cumsum([0, *map(len, lists)], dtype=np.int64)
        items = np.array([item for each in lists for item in each], dtype=np.int64)
        return cls(
            starts=starts,
            items=items,
            weights=np.ones(len(items)),
            times=np.zeros(len(items)) if times is None else times,
            n_items=n_items,
        )

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> IntArray:
        """How many events each customer has, shape (n,)."""
        return np.diff(self.starts)

    @property
    def customers(self) -> IntArray:
        """Whose event each is, shape (m,)."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.lengths)

    @property
    def ages(self) -> IntArray:
        """How many events of the same customer came after each, shape (m,): the newest has 0."""
        ends = np.repeat(self.starts[1:], self.lengths)
        return cast(IntArray, ends - 1 - np.arange(len(self.items)))

    def items_of(self, customer: int) -> IntArray:
        """Return one customer's items, oldest first."""
        return self.items[self.starts[customer] : self.starts[customer + 1]]

    def where(self, kept: BoolArray) -> "Histories":
        """Keep some events, marked by shape (m,), of the same customers."""
        counts = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
        return Histories(
            starts=counts[self.starts],
            items=self.items[kept],
            weights=self.weights[kept],
            times=self.times[kept],
            n_items=self.n_items,
        )

    def without_last(self, n: int) -> "Histories":
        """Leave out everybody's newest n events."""
        return self.where(self.ages >= n)

    def newest(self, n: int) -> "Histories":
        """Keep everybody's newest n events."""
        return self if self.lengths.max(initial=0) <= n else self.where(self.ages < n)

    def of_customers(self, customers: IntArray) -> "Histories":
        """Keep some customers, in the order given."""
        lengths = self.lengths[customers]
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        offsets = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
        events = np.repeat(self.starts[customers], lengths) + offsets
        return Histories(
            starts=starts,
            items=self.items[events],
            weights=self.weights[events],
            times=self.times[events],
            n_items=self.n_items,
        )

    def batches(self, size: int) -> list["Histories"]:
        """Cut into stretches of so many customers."""
        everybody = np.arange(len(self), dtype=np.int64)
        return [self.of_customers(everybody[i : i + size]) for i in range(0, len(self), size)]

    def profiles(self, *, decay: float = 1.0) -> SparseArray:
        """Say how much each item counts for each customer, shape (n, n_items).

        An event counts weight · decay ** age; an item counts as its strongest event, so that
        looking at it ten times is not ten purchases.
        """
        weights = self.weights if decay == 1.0 else self.weights * decay**self.ages
        shape = (len(self), self.n_items)
        # Turned over twice, events lie by customer and item, in linear time.
        count = len(self.items)
        fits = max(count, *shape) < 2**31
        kind: np.dtype[np.signedinteger] = np.dtype(np.int32 if fits else np.int64)
        columns, starts = self.items.astype(kind), self.starts.astype(kind)
        numbers: sparse.csr_array[np.int64, tuple[int, int]] = sparse.csr_array(
            (np.arange(count, dtype=np.int64), columns, starts), shape=shape
        )
        ordered = numbers.tocsc().tocsr()
        is_first = np.ones(count, dtype=bool)
        is_first[1:] = ordered.indices[1:] != ordered.indices[:-1]
        is_first[self.starts[:-1][self.lengths > 0]] = True
        first = np.flatnonzero(is_first)
        values = weights[ordered.data].astype(np.float32)
        strongest = np.maximum.reduceat(values, first) if len(first) < count else values
        kept = ordered.indices[first], np.searchsorted(first, self.starts).astype(kind)
        return sparse.csr_array((strongest, *kept), shape=shape)

    def counts(self) -> FloatArray:
        """Add up the weights of each item's events, shape (n_items,)."""
        return np.bincount(self.items, weights=self.weights, minlength=self.n_items).astype(float)
