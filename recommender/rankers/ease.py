"""Rank by a linear model that predicts each item from all others (EASE)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from scipy import linalg

from recommender.interactions.histories import Histories
from recommender.interactions.item_facts import ItemFacts
from recommender.rankers.base import Between
from recommender.rankers.item_to_item import ItemToItem
from recommender.rankers.overlaps import overlaps
from recommender.rankers.sparse_rows import without_zeros

# The matrix is dense while it is learned: at 20,000 items 1.6 gigabytes and some minutes.
MOST_ITEMS = 20_000


@dataclass(kw_only=True, eq=False)
class Ease(ItemToItem):
    """The ridge regression of X on itself with nothing on the diagonal.

    With P = (XᵀX + λ I)⁻¹, the weights are -P_ij / P_jj off the diagonal (Steck 2019, eq. 8). With
    `decay` below 1 the newest items weigh most when it is asked.

    Attributes:
        penalty: λ.
        neighbours: How many weights of each item are kept, to be stored and added up fast.
    """

    searched: ClassVar[Mapping[str, Between]] = {
        "penalty": Between(10.0, 3000.0, is_log=True),
        "decay": Between(0.5, 1.0),
    }
    penalty: float = 100.0
    neighbours: int = 2000

    def fit(self, histories: Histories, facts: ItemFacts | None = None) -> Self:
        """Invert the customers' Gram matrix.

        Raises:
            ValueError: There are too many items for a dense matrix.
        """
        if histories.n_items > MOST_ITEMS:
            raise ValueError(
                f"EASE takes {MOST_ITEMS:,} items at most, not {histories.n_items:,}; "
                f"item-kNN and ALS take more."
            )
        x = histories.profiles()
        gram = np.empty((histories.n_items,) * 2, dtype=np.float32)
        for items, shared in overlaps(x):
            gram[items] = shared if isinstance(shared, np.ndarray) else shared.toarray()
        gram[np.diag_indices_from(gram)] += self.penalty
        factor, lower = linalg.cho_factor(gram, overwrite_a=True, check_finite=False)
        eye = np.eye(len(factor), dtype=np.float32)
        inverse = linalg.cho_solve((factor, lower), eye, overwrite_b=True, check_finite=False)
        weights = (-inverse / np.diag(inverse)).astype(np.float32)
        np.fill_diagonal(weights, 0.0)
        if self.neighbours < len(weights):
            size = np.abs(weights)
            weights[size < np.partition(size, -self.neighbours, axis=0)[-self.neighbours]] = 0.0
        self.leads = without_zeros(weights)
        return self
