"""Rank by factors that put what customers met above what they did not (BPR)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
from scipy import sparse
from scipy.special import expit

from recommender.arrays import IntArray, ScoreArray, SparseArray
from recommender.interactions.histories import Histories
from recommender.interactions.item_facts import ItemFacts
from recommender.rankers.base import Between, Ranker
from recommender.rankers.sparse_rows import column_sums, marks, rows_of

FIRST_SIZE = 0.1
BATCH = 2048


@dataclass(kw_only=True, eq=False)
class Bpr(Ranker):
    """Bayesian personalised ranking (Rendle et al. 2009) of a mean of the items' factors.

    A customer is the mean p of the factors q of what they met, so that newcomers are served too;
    item j scores b_j + p·q'_j. Stochastic gradients raise the logarithm of the
    logistic of (a met item's score - another's), with the met item left out of p.

    Attributes:
        factors: The length of q and q'.
        rate: Of learning.
        penalty: Pulls what is touched towards 0.
        rounds: How often each event is learned from.
        seed: Of the first factors and of the draws.
        sources: q, shape (n_items, factors).
        targets: q', shape (n_items, factors).
        bias: b, shape (n_items, 1).
    """

    searched: ClassVar[Mapping[str, Between]] = {
        "factors": Between(16, 128, is_log=True),
        "rate": Between(0.01, 0.2, is_log=True),
        "penalty": Between(0.0001, 0.1, is_log=True),
        "rounds": Between(10, 100, is_log=True),
    }
    factors: int = 64
    rate: float = 0.05
    penalty: float = 0.002
    rounds: int = 30
    seed: int = 0
    sources: ScoreArray = field(init=False, repr=False)
    targets: ScoreArray = field(init=False, repr=False)
    bias: ScoreArray = field(init=False, repr=False)

    def fit(self, histories: Histories, facts: ItemFacts | None = None) -> Self:
        """Learn from every event against a random other item, round after round."""
        rng = np.random.default_rng(self.seed)
        shape = (histories.n_items, self.factors)
        self.sources = rng.normal(0, FIRST_SIZE, shape).astype(np.float32)
        self.targets = rng.normal(0, FIRST_SIZE, shape).astype(np.float32)
        self.bias = np.zeros((histories.n_items, 1), dtype=np.float32)
        steps = [Adagrad(each, self.rate) for each in (self.sources, self.targets, self.bias)]
        met = marks(histories.profiles())
        rows = rows_of(met)
        for _ in range(self.rounds):
            order = rng.permutation(len(rows))
            others = rng.integers(histories.n_items, size=len(rows))
            for first in range(0, len(rows), BATCH):
                some = order[first : first + BATCH]
                slopes = self._slopes(
                    met[rows[some]], met.indices[some].astype(np.int64), others[some]
                )
                for step, slope in zip(steps, slopes, strict=True):
                    step.take(slope)
        return self

    def score(self, histories: Histories) -> ScoreArray:
        """Multiply who asks with all items."""
        met = marks(histories.profiles())
        counts = np.maximum(np.diff(met.indptr), 1).astype(np.float32)
        p = (met @ self.sources) / counts[:, None]  # (n, f)
        scores: ScoreArray = (p @ self.targets.T + self.bias[:, 0]).astype(np.float32)
        return scores

    def _slopes(
        self, met: SparseArray, good: IntArray, bad: IntArray
    ) -> tuple[ScoreArray, ScoreArray, ScoreArray]:
        """Return how sources, targets and bias should rise, summed over a batch of b events."""
        b = len(good)
        counts = np.maximum(np.diff(met.indptr) - 1, 1).astype(np.float32)[:, None]
        ones, at = np.ones(b, dtype=np.float32), np.arange(b)
        rest = met - sparse.csr_array((ones, (at, good)), shape=met.shape)
        signs = np.concatenate([ones, -ones])
        pairs: SparseArray = sparse.csr_array(
            (signs, (np.tile(at, 2), np.concatenate([good, bad]))), shape=met.shape
        )
        p = (rest @ self.sources) / counts  # (b, f)
        ahead = pairs @ self.targets  # (b, f): the met item's less the other's
        doubt = expit(-(np.einsum("bf,bf->b", p, ahead)[:, None] + pairs @ self.bias))  # (b, 1)
        pull = np.float32(self.penalty)
        touched = column_sums(abs(pairs).tocsr())[:, None]  # (n_items, 1)
        return (
            rest.T @ (doubt * ahead / counts) - pull * touched * self.sources,
            pairs.T @ (doubt * p) - pull * touched * self.targets,
            pairs.T @ doubt - pull * touched * self.bias,
        )


class Adagrad:
    """Takes steps that shrink with the slopes met before (Duchi, Hazan & Singer 2011)."""

    def __init__(self, values: ScoreArray, rate: float) -> None:
        """Raise these values in place."""
        self._values = values
        self._rate = np.float32(rate)
        self._squares = np.full_like(values, 1e-6)

    def take(self, slope: ScoreArray) -> None:
        """Step up along a slope, of the values' shape."""
        self._squares += slope**2
        self._values += self._rate * slope / np.sqrt(self._squares)
