"""Rank by what followed each of the newest items, near or some steps later."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from scipy import sparse

from recommender.arrays import FloatArray, IntArray, SparseArray
from recommender.interactions.histories import Histories
from recommender.interactions.item_facts import ItemFacts
from recommender.rankers.base import Between
from recommender.rankers.item_to_item import ItemToItem
from recommender.rankers.sparse_rows import row_sums, scale_rows, without_self


@dataclass(kw_only=True, eq=False)
class Markov(ItemToItem):
    """A chain of items that looks several steps ahead: a lag-decayed Markov model.

    Item j coming l events after item i counts l ** -lag_power, for l = 1 … lags. Each item's counts
    are divided by their sum plus `shrinkage`, so that an item that was followed twice does not
    promise as much as one that was followed two hundred times.

    Attributes:
        lags: How many steps ahead are counted.
        lag_power: How fast a step further counts less.
        shrinkage: How many counts of nothing in particular every item begins with.
        backward: What it counts that j came before i, as a part of coming after it.
    """

    searched: ClassVar[Mapping[str, Between]] = {
        "lags": Between(1, 20),
        "lag_power": Between(0.0, 1.5),
        "shrinkage": Between(0.5, 200.0, is_log=True),
        "decay": Between(0.3, 1.0),
        "backward": Between(0.0, 1.0),
    }
    last: int = 20
    decay: float = 0.8
    lags: int = 5
    lag_power: float = 1.0
    shrinkage: float = 5.0
    backward: float = 0.0

    def fit(self, histories: Histories, facts: ItemFacts | None = None) -> Self:
        """Count what came after what."""
        customers, items = histories.customers, histories.items
        cells: list[tuple[IntArray, IntArray, FloatArray]] = []
        for lag in range(1, self.lags + 1):
            same = customers[lag:] == customers[:-lag]
            weights = histories.weights[lag:][same] * lag**-self.lag_power
            cells.append((items[:-lag][same], items[lag:][same], weights))
        earlier, later, counted = map(np.concatenate, zip(*cells, strict=True))
        counts: SparseArray = sparse.csr_array(
            (counted.astype(np.float32), (earlier, later)),
            shape=(histories.n_items, histories.n_items),
        )
        if self.backward:
            counts = counts + counts.T.tocsr() * np.float32(self.backward)
        counts = without_self(counts)
        self.leads = scale_rows(counts, 1 / (row_sums(counts) + self.shrinkage))
        return self
