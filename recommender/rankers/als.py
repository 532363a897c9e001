"""Rank by factors of customers and items, learned in turns (ALS for implicit feedback)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from recommender.arrays import ScoreArray, SparseArray
from recommender.histories import Histories
from recommender.item_facts import ItemFacts
from recommender.rankers.base import Between, Ranker
from recommender.rankers.sparse_rows import rows_of

CONJUGATE_STEPS = 3  # of each turn, from where the last one ended
ASKED_STEPS = 15  # from nothing
FIRST_SIZE = 0.01
ENTRIES_AT_ONCE = 200_000


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

    def fit(self, histories: Histories, facts: ItemFacts | None = None) -> Self:
        """Solve for customers and items in turns."""
        confidence = histories.profiles() * np.float32(self.alpha)
        flipped = confidence.T.tocsr()
        rng = np.random.default_rng(self.seed)
        n, n_items = confidence.shape
        customers = rng.normal(0, FIRST_SIZE, (n, self.factors)).astype(np.float32)
        self.items = rng.normal(0, FIRST_SIZE, (n_items, self.factors)).astype(np.float32)
        for _ in range(self.turns):
            customers = self._solve(confidence, self.items, customers, steps=CONJUGATE_STEPS)
            self.items = self._solve(flipped, customers, self.items, steps=CONJUGATE_STEPS)
        return self

    def score(self, histories: Histories) -> ScoreArray:
        """Solve for who asks, with the items as they are, and multiply."""
        confidence = histories.profiles() * np.float32(self.alpha)
        nothing = np.zeros((len(histories), self.factors), dtype=np.float32)
        x = self._solve(confidence, self.items, nothing, steps=ASKED_STEPS)  # (n, f)
        return x @ self.items.T

    def _solve(
        self, confidence: SparseArray, y: ScoreArray, x: ScoreArray, *, steps: int
    ) -> ScoreArray:
        """Improve x, where (yᵀy + yᵀ(C_u - I)y + λ I) x_u = yᵀ c_u for every row u."""
        common = y.T @ y + np.float32(self.penalty) * np.eye(y.shape[1], dtype=np.float32)
        above = confidence.copy()
        above.data = above.data - np.float32(1.0)
        wanted: ScoreArray = (confidence @ y).astype(np.float32)
        if not above.data.any():
            # With alpha 1 and weights of 1 all rows have the same matrix.
            return np.linalg.solve(common, wanted.T).T

        def times(v: ScoreArray) -> ScoreArray:
            product: ScoreArray = v @ common
            return product + (_weigh(above, v, y) @ y).astype(np.float32)

        residual = wanted - times(x)
        direction = residual.copy()
        size = _squares(residual)
        for _ in range(steps):
            ahead = times(direction)
            step = _ratios(size, _dots(direction, ahead))  # (n, 1)
            x = x + step * direction
            residual = residual - step * ahead
            new = _squares(residual)
            direction = residual + _ratios(new, size) * direction
            size = new
        return x


def _weigh(above: SparseArray, v: ScoreArray, y: ScoreArray) -> SparseArray:
    """Multiply each stored entry (u, i) by v_u·y_i."""
    weighed = above.copy()
    rows = rows_of(above)
    for first in range(0, len(rows), ENTRIES_AT_ONCE):
        part = slice(first, first + ENTRIES_AT_ONCE)
        weighed.data[part] *= _dots(v[rows[part]], y[above.indices[part]])
    return weighed


def _dots(a: ScoreArray, b: ScoreArray) -> ScoreArray:
    dots: ScoreArray = np.einsum("uf,uf->u", a, b)
    return dots


def _squares(a: ScoreArray) -> ScoreArray:
    return _dots(a, a)


def _ratios(a: ScoreArray, b: ScoreArray) -> ScoreArray:
    """Divide, (n,) to (n, 1); where everything is solved already, 0 by 0 is 0."""
    return (a / np.maximum(b, np.float32(1e-30))).astype(np.float32)[:, None]
