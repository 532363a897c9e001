"""Rank by how much all customers did with each item: what any other ranker has to beat."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from recommender.arrays import ScoreArray
from recommender.interactions.histories import Histories
from recommender.interactions.item_facts import ItemFacts
from recommender.rankers.base import DAY_SECONDS, Ranker


@dataclass(kw_only=True, eq=False)
class Popularity(Ranker):
    """The same for everybody: what is done most, lately above all.

    Attributes:
        half_life_days: After so long an event counts half; at 0 all count alike.
        window_days: Events that are older than this count nothing; at 0 all count.
        popularity: Learned weight of each item, as a part of all, shape (n_items,).
    """

    half_life_days: float = 0.0
    window_days: float = 0.0
    popularity: ScoreArray = field(init=False, repr=False)

    def fit(self, histories: Histories, facts: ItemFacts | None = None) -> Self:
        """Add up the events."""
        weights = histories.weights
        days = (histories.times.max(initial=0.0) - histories.times) / DAY_SECONDS
        if self.half_life_days:
            weights = weights * 0.5 ** (days / self.half_life_days)
        if self.window_days:
            weights = weights * (days <= self.window_days)
        counts = np.bincount(histories.items, weights=weights, minlength=histories.n_items)
        self.popularity = (counts / max(counts.sum(), 1.0)).astype(np.float32)
        return self

    def score(self, histories: Histories) -> ScoreArray:
        """Give everybody the same scores."""
        return np.tile(self.popularity, (len(histories), 1))
