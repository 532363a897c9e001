"""Rank by factors of customers and items, learned in turns (ALS for implicit feedback)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from recommender.arrays import ScoreArray
from recommender.interactions.histories import Histories
from recommender.interactions.item_facts import ItemFacts
from recommender.rankers.base import Between, Ranker
from recommender.rankers.regressions import Common, Regressions

STEPS = 2  # of each turn, from where the last one ended
ASKED_STEPS = 5  # from nothing: within a thousandth of the solution
FIRST_SIZE = 0.01


@dataclass(kw_only=True, eq=False)
class Als(Ranker):
    """Weighted matrix factorisation (Hu, Koren & Volinsky 2008), by conjugate gradients.

    Minimises Σ c_ui (p_ui - x_u·y_i)² + λ (Σ ‖x_u‖² + Σ ‖y_i‖²) over all cells, where p is 1 and
    c = alpha · weight where there was an event, and p is 0 and c is 1 elsewhere. Each turn solves
    for one side while the other stays, a few steps at a time (Takács, Pilászy & Tikk 2011).

    Attributes:
        factors: The length f of x and y.
        penalty: λ.
        alpha: How sure an event makes.
        turns: How often each side is solved for.
        seed: Of the first factors.
        items: y, shape (n_items, f).
    """

    searched: ClassVar[Mapping[str, Between]] = {
        "factors": Between(16, 128, is_log=True),
        "penalty": Between(0.01, 100.0, is_log=True),
        "alpha": Between(0.5, 40.0, is_log=True),
    }
    factors: int = 32
    penalty: float = 1.0
    alpha: float = 1.0
    turns: int = 15
    seed: int = 0
    items: ScoreArray = field(init=False, repr=False)
    _common: Common | None = field(init=False, repr=False, default=None)  # of the items

    def fit(self, histories: Histories, facts: ItemFacts | None = None) -> Self:
        """Solve for customers and items in turns."""
        confidence = histories.profiles() * np.float32(self.alpha)
        of_customers, of_items = Regressions.of(confidence), Regressions.of(confidence.T.tocsr())
        rng = np.random.default_rng(self.seed)
        n, n_items = confidence.shape
        customers = rng.normal(0, FIRST_SIZE, (n, self.factors)).astype(np.float32)
        self.items = rng.normal(0, FIRST_SIZE, (n_items, self.factors)).astype(np.float32)
        for _ in range(self.turns):
            common = Common.of(self.items, penalty=self.penalty)
            customers = of_customers.solve(self.items, customers, common, steps=STEPS)
            common = Common.of(customers, penalty=self.penalty)
            self.items = of_items.solve(customers, self.items, common, steps=STEPS)
        self._common = None
        return self

    def score(self, histories: Histories) -> ScoreArray:
        """Solve for who asks, with the items as they are, and multiply."""
        asked = Regressions.of(histories.profiles() * np.float32(self.alpha))
        nothing = np.zeros((len(histories), self.factors), dtype=np.float32)
        if self._common is None:
            self._common = Common.of(self.items, penalty=self.penalty)
        x = asked.solve(self.items, nothing, self._common, steps=ASKED_STEPS)  # (n, f)
        return x @ self.items.T
