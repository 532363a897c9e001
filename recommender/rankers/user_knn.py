"""Rank by what the customers did who did most of the same."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from scipy import sparse

from recommender.arrays import ScoreArray, SparseArray
from recommender.interactions.histories import Histories
from recommender.interactions.item_facts import ItemFacts
from recommender.rankers.base import Between, Ranker
from recommender.rankers.sparse_rows import row_sums, rows_of, squared, strongest


@dataclass(kw_only=True, eq=False)
class UserKnn(Ranker):
    """Nearest neighbours of customers, by a cosine of profiles that is shrunk.

    Attributes:
        neighbours: How many customers are listened to.
        shrinkage: How much overlap it takes to be believed.
        decay: What each event of who asks counts of the one after it.
        known: The profiles of all customers learned from, shape (n, n_items).
    """

    searched: ClassVar[Mapping[str, Between]] = {
        "neighbours": Between(20, 1000, is_log=True),
        "shrinkage": Between(0.1, 100.0, is_log=True),
        "decay": Between(0.3, 1.0),
    }
    neighbours: int = 100
    shrinkage: float = 1.0
    decay: float = 1.0
    known: SparseArray = field(init=False, repr=False)

    def fit(self, histories: Histories, facts: ItemFacts | None = None) -> Self:
        """Remember everybody."""
        self.known = histories.profiles()
        return self

    def score(self, histories: Histories) -> ScoreArray:
        """Add up what the neighbours did, each weighing as it is alike."""
        asked = histories.profiles(decay=self.decay)  # (b, n_items)
        shared = (asked @ self.known.T).tocsr()  # (b, n)
        sizes = _norms(asked)[rows_of(shared)] * _norms(self.known)[shared.indices]
        alike: SparseArray = sparse.csr_array(
            (
                (shared.data / (sizes + self.shrinkage)).astype(np.float32),
                shared.indices,
                shared.indptr,
            ),
            shape=shared.shape,
        )
        scores: ScoreArray = (strongest(alike, self.neighbours) @ self.known).toarray()
        return scores


def _norms(matrix: SparseArray) -> ScoreArray:
    return np.sqrt(row_sums(squared(matrix)))
