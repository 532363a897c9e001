"""Rank by how many customers have items together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from scipy import sparse

from recommender.arrays import SparseArray
from recommender.histories import Histories
from recommender.item_facts import ItemFacts
from recommender.rankers.base import Between
from recommender.rankers.item_to_item import ItemToItem
from recommender.rankers.sparse_rows import (
    column_sums,
    rows_of,
    squared,
    strongest,
    without_self,
)


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
        together: SparseArray = without_self((x.T @ x).tocsr())
        norms = column_sums(squared(x))
        size = (norms[rows_of(together)] * norms[together.indices]) ** self.power + self.shrinkage
        alike: SparseArray = sparse.csr_array(
            ((together.data / size).astype(np.float32), together.indices, together.indptr),
            shape=together.shape,
        )
        # It is symmetric: each row is what one item listens to, and leads to that item.
        self.leads = strongest(alike, self.neighbours).T.tocsr()
        return self
