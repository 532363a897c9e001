"""Rank by how many customers have items together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from scipy import sparse

from recommender.arrays import IntArray, ScoreArray, SparseArray
from recommender.interactions.histories import Histories
from recommender.interactions.item_facts import ItemFacts
from recommender.rankers.base import Between
from recommender.rankers.item_to_item import ItemToItem
from recommender.rankers.overlaps import overlaps
from recommender.rankers.selection import highest
from recommender.rankers.sparse_rows import column_sums, rows_of, squared, strongest


@dataclass(kw_only=True, eq=False)
class ItemKnn(ItemToItem):
    """Nearest neighbours of items, by a cosine that is shrunk where there is little to go by.

    With x_i the customers' weights on item i, items are as alike as
    x_i·x_j / ((x_i·x_i x_j·x_j) ** power + shrinkage); each item listens to its k nearest.

    Attributes:
        neighbours: k.
        shrinkage: How much overlap it takes to be believed.
        power: ½ is the cosine; less favours what is popular.
    """

    searched: ClassVar[Mapping[str, Between]] = {
        "neighbours": Between(20, 500, is_log=True),
        "shrinkage": Between(0.5, 200.0, is_log=True),
        "power": Between(0.2, 0.8),
        "decay": Between(0.3, 1.0),
    }
    neighbours: int = 200
    shrinkage: float = 5.0
    power: float = 0.5

    def fit(self, histories: Histories, facts: ItemFacts | None = None) -> Self:
        """Compare all items that any customer has both of."""
        x = histories.profiles()  # (n, n_items)
        sizes = column_sums(squared(x)) ** self.power
        found = [self._find_nearest(items, shared, sizes=sizes) for items, shared in overlaps(x)]
        alike, listeners, heard = map(np.concatenate, zip(*found, strict=True))
        # Each item listens to its nearest, and so they lead to it.
        cells = heard.astype(np.int32), listeners.astype(np.int32)
        self.leads = sparse.csr_array((alike, cells), shape=(x.shape[1],) * 2)
        return self

    def _find_nearest(
        self, items: IntArray, shared: "ScoreArray | SparseArray", *, sizes: ScoreArray
    ) -> tuple[ScoreArray, IntArray, IntArray]:
        """Find what some items listen to, by their rows of xᵀx: how much, who, and whom."""
        shrinkage = np.float32(self.shrinkage)
        if isinstance(shared, np.ndarray):
            alike = shared / (np.outer(sizes[items], sizes) + shrinkage)
            alike[np.arange(len(items)), items] = 0.0
            rows, heard = np.divmod(highest(alike, k=self.neighbours, floor=0.0), alike.shape[1])
            return alike[rows, heard], items[rows], heard
        rows = rows_of(shared)
        shared.data /= sizes[items][rows] * sizes[shared.indices] + shrinkage
        shared.data[items[rows] == shared.indices] = 0.0
        nearest = strongest(shared, self.neighbours)
        kept = nearest.data > 0  # without the item itself
        heard = nearest.indices[kept].astype(np.int64)
        return nearest.data[kept], items[rows_of(nearest)][kept], heard
