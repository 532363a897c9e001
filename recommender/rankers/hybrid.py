"""Rank by two rankers, trusting each as much as customers of like experience show."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from recommender.arrays import FloatArray, IntArray, ScoreArray
from recommender.interactions.histories import Histories
from recommender.interactions.item_facts import ItemFacts
from recommender.rankers.base import CUSTOMERS_AT_ONCE
from recommender.rankers.composite import Composite, Member, without_seen

# Histories are as experienced as the last of these that they are as long as.
AMOUNTS = np.array([0, 2, 4, 8, 16, 32, 64, 128])
GRID = np.linspace(0, 1, 21)
# A best weight among fewer is chance; they get the weight that is best for all.
LEAST_CUSTOMERS = 100
CUT = 10


@dataclass(kw_only=True, eq=False)
class Hybrid(Composite):
    """λ(h) times the first member's scores plus 1 - λ(h) times the second's.

    Scores are divided by each customer's highest. λ is the one, of 21, that gives the best NDCG@10
    on last events, for customers with as much history as h.

    Attributes:
        weights: λ for each of `AMOUNTS`, shape (8,).
    """

    members: tuple[Member, ...] = (("markov", {}), ("item_knn", {}))
    weights: FloatArray = field(init=False, repr=False)

    def fit(self, histories: Histories, facts: ItemFacts | None = None) -> Self:
        """Teach both, then find λ for each amount of history.

        Raises:
            ValueError: There are not exactly two members, or nobody has two events.
        """
        asked, answers = self._learn(histories, facts)
        if len(self.rankers) != 2:
            raise ValueError(f"A hybrid joins two rankers, not {len(self.rankers)}.")
        gains = np.concatenate(
            [
                self._gains(some, answers[first : first + CUSTOMERS_AT_ONCE])
                for first, some in zip(
                    range(0, len(asked), CUSTOMERS_AT_ONCE),
                    asked.batches(CUSTOMERS_AT_ONCE),
                    strict=True,
                )
            ]
        )  # (n, 21)
        self.weights = np.full(len(AMOUNTS), GRID[gains.mean(axis=0).argmax()])
        amounts = _amount(asked)
        for amount in range(len(AMOUNTS)):
            those = amounts == amount
            if those.sum() >= LEAST_CUSTOMERS:
                self.weights[amount] = GRID[gains[those].mean(axis=0).argmax()]
        self._finish(histories, facts)
        return self

    def score(self, histories: Histories) -> ScoreArray:
        """Weigh both members' scores by how much history there is."""
        first, second = self._scores(histories)
        share = self.weights[_amount(histories)].astype(np.float32)[:, None]  # (n, 1)
        return share * first + (1 - share) * second

    def _scores(self, histories: Histories) -> tuple[ScoreArray, ScoreArray]:
        first, second = (_by_highest(each.score(histories)) for each in self.rankers)
        return first, second

    def _gains(self, asked: Histories, answers: IntArray) -> FloatArray:
        """Return each customer's NDCG@10 for every λ of the grid, shape (n, 21)."""
        first, second = self._scores(asked)
        rows = np.arange(len(asked))
        gains = np.empty((len(asked), len(GRID)))
        for place, share in enumerate(GRID.astype(np.float32)):
            mixed = without_seen(share * first + (1 - share) * second, asked, value=-np.inf)
            own = mixed[rows, answers][:, None]
            # Among equals, it is in the middle: a ranker that tells nothing apart hits nothing.
            ahead = ((mixed > own).sum(axis=1) + (mixed >= own).sum(axis=1) - 1) / 2
            gains[:, place] = (ahead < CUT) / np.log2(ahead + 2)
        return gains


def _amount(histories: Histories) -> IntArray:
    return np.searchsorted(AMOUNTS, histories.lengths, side="right") - 1


def _by_highest(scores: ScoreArray) -> ScoreArray:
    highest: ScoreArray = np.abs(scores).max(axis=1, keepdims=True)
    return (scores / np.maximum(highest, 1e-12)).astype(np.float32)
