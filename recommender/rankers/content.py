"""Rank by how much items are like what a customer met: words, attributes and prices."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from recommender.arrays import FloatArray, ScoreArray, SparseArray
from recommender.interactions.histories import Histories
from recommender.interactions.item_facts import ItemFacts
from recommender.rankers.base import Between, Ranker
from recommender.rankers.sparse_rows import row_sums, scale_rows, squared


@dataclass(kw_only=True, eq=False)
class Alike(Ranker):
    """Scores by how much items are like those that a customer met, and by nearness of prices.

    It needs no other customers, so it knows new items at once. An item's score is the sum of its
    cosines with the items of the profile, as a part of the profile, and `price_weight` times
    exp(-½ z²), where z is how far its price is from the profile's mean, in logarithms and units of
    `price_spread`.

    Attributes:
        decay: What each event counts of the one after it.
        last: How many of the newest events count.
        price_weight: What the same price counts beside the same content.
        price_spread: In logarithms: 0.5 is about half as much again.
        log_prices: Shape (n_items,); NaN where unknown.
    """

    needs_facts: ClassVar[bool] = True
    searched: ClassVar[Mapping[str, Between]] = {
        "decay": Between(0.3, 1.0),
        "price_weight": Between(0.0, 1.0),
        "price_spread": Between(0.1, 2.0, is_log=True),
    }
    decay: float = 0.8
    last: int = 20
    price_weight: float = 0.1
    price_spread: float = 0.5
    log_prices: FloatArray = field(init=False, repr=False)

    def fit(self, histories: Histories, facts: ItemFacts | None = None) -> Self:
        """Learn what items are like, and what they cost.

        Raises:
            ValueError: There are no facts, or of other items.
        """
        if facts is None or facts.words.shape[0] != histories.n_items:
            name = type(self).__name__
            raise ValueError(f"{name} needs facts about all {histories.n_items} items.")
        self._compare(facts)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(facts.prices)
        self.log_prices = np.where(np.isfinite(logs), logs, np.nan)
        return self

    @abstractmethod
    def _compare(self, facts: ItemFacts) -> None:
        """Learn what items are like."""

    @abstractmethod
    def _cosines(self, parts: SparseArray) -> ScoreArray:
        """Add up every item's cosines with the items of profiles, (n, n_items) to the same."""

    def score(self, histories: Histories) -> ScoreArray:
        """Compare every item with each profile."""
        profiles = histories.newest(self.last).profiles(decay=self.decay)
        parts = scale_rows(profiles, 1 / np.maximum(row_sums(profiles), 1e-9))
        return self._cosines(parts) + np.float32(self.price_weight) * self._near(parts)

    def _near(self, parts: SparseArray) -> ScoreArray:
        """Say how near each price is to each profile's, (n, n_items) in 0 … 1."""
        known = np.isfinite(self.log_prices)
        logs = np.where(known, self.log_prices, 0.0)
        seen = parts @ known.astype(np.float32)  # (n,)
        mean = (parts @ logs.astype(np.float32)) / np.maximum(seen, 1e-9)
        z = (logs[None, :] - mean[:, None]) / self.price_spread
        near = np.exp(-0.5 * z**2) * known * (seen > 0)[:, None]
        return near.astype(np.float32)


@dataclass(kw_only=True, eq=False)
class Content(Alike):
    """What is alike has the same words and attributes, rare ones above all: TF-IDF.

    Attributes:
        words: Normalised TF-IDF rows, shape (n_items, n_words).
    """

    words: SparseArray = field(init=False, repr=False)

    def _compare(self, facts: ItemFacts) -> None:
        """Weigh the words by how rare they are."""
        self.words = weigh_words(facts)

    def _cosines(self, parts: SparseArray) -> ScoreArray:
        scores: ScoreArray = ((parts @ self.words) @ self.words.T).toarray()  # (n, n_items)
        return scores


def weigh_words(facts: ItemFacts) -> SparseArray:
    """Weigh what is said of items by how rare it is: TF-IDF, in rows of length 1."""
    n_items, n_words = facts.words.shape
    said = np.bincount(facts.words.indices, minlength=n_words)
    rarity = np.log(n_items / np.maximum(said, 1)).astype(np.float32)
    weighed = facts.words * rarity
    rows: SparseArray = weighed.tocsr()
    return scale_rows(rows, 1 / np.maximum(np.sqrt(row_sums(squared(rows))), 1e-9))
