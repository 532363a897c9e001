"""Rank by many rankers at once, weighed so that the next item is as likely as can be."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from recommender.arrays import FloatArray, IntArray, ScoreArray
from recommender.interactions.histories import Histories
from recommender.interactions.item_facts import ItemFacts
from recommender.rankers.base import CUSTOMERS_AT_ONCE
from recommender.rankers.composite import Composite, Member, without_seen
from recommender.rankers.popularity import Popularity
from recommender.rankers.slates import best

# The next item is compared with the best of a plain sum of the members' scores.
CANDIDATES = 150
# Of the mean highest score: what tells a score of nothing from a small one.
LEAST = 0.01
PENALTY = 1e-3
# Enough to find a dozen weights; more would only take longer.
MOST_CUSTOMERS = 50_000


@dataclass(kw_only=True, eq=False)
class Blend(Composite):
    """A conditional logit (McFadden 1974) over what its members say.

    Of each member's score s, with a its mean highest score, the logit looks at s / a, where a clear
    favourite stands out, and at ln(s / a + 0.01), where the first hints do. The weights maximise
    the likelihood of the items that came next among the candidates that the members name.

    Of somebody without history only popularity says anything, and it says little about who has one,
    so its weight there is none to use here: newcomers see what is popular lately.

    Attributes:
        half_life_days: What newcomers see: after so long an event counts half.
        popular: What newcomers see, shape (n_items,).
        scales: a, shape (members,).
        weights: Shape (2 · members,): of all the s / a, then of all the logarithms.
    """

    members: tuple[Member, ...] = (
        ("markov", {"lags": 20, "lag_power": 0.5, "shrinkage": 100, "decay": 0.65}),
        ("markov", {"lags": 20, "lag_power": 0.5, "shrinkage": 100, "decay": 0.3, "backward": 1}),
        ("item_knn", {"shrinkage": 20, "power": 0.4, "decay": 0.8}),
        ("session_knn", {}),
        ("content", {}),
        ("two_tower", {}),
        ("popularity", {}),
        ("popularity", {"half_life_days": 7}),
    )
    half_life_days: float = 7.0
    popular: ScoreArray = field(init=False, repr=False)
    scales: FloatArray = field(init=False, repr=False)
    weights: FloatArray = field(init=False, repr=False)

    def fit(self, histories: Histories, facts: ItemFacts | None = None) -> Self:
        """Teach the members all but the last events, and weigh them on those.

        Raises:
            ValueError: Nobody has two events.
        """
        newcomers = Popularity(half_life_days=self.half_life_days)
        self.popular = newcomers.fit(histories).popularity
        asked, answers = self._learn(histories, facts)
        some = np.linspace(0, len(asked) - 1, min(len(asked), MOST_CUSTOMERS)).astype(np.int64)
        asked, answers = asked.of_customers(some), answers[some]
        self.scales = self._scales(asked)
        candidates, chosen = self._candidates(asked, answers)
        self.weights = fit_logit(candidates, chosen)
        self._finish(histories, facts)
        return self

    def score(self, histories: Histories) -> ScoreArray:
        """Weigh all that the members say of all items."""
        total = np.zeros((len(histories), histories.n_items), dtype=np.float32)
        plain, logs = np.split(self.weights.astype(np.float32), 2)
        for ranker, scale, a, b in zip(self.rankers, self.scales, plain, logs, strict=True):
            scores = ranker.score(histories) / np.float32(scale)
            total += a * scores + b * _log(scores)
        total[histories.lengths == 0] = self.popular
        return total

    def _scales(self, asked: Histories) -> FloatArray:
        first = asked.batches(CUSTOMERS_AT_ONCE)[0]
        highest = [float(each.score(first).max(axis=1).mean()) for each in self.rankers]
        return np.maximum(highest, 1e-9)

    def _candidates(self, asked: Histories, answers: IntArray) -> tuple[FloatArray, IntArray]:
        """Describe each customer's candidates, (n, c, 2 · members), and say which came next.

        Whose next item is no candidate says nothing about the weights, and is left out.
        """
        tables, chosen = [], []
        for first, some in zip(
            range(0, len(asked), CUSTOMERS_AT_ONCE), asked.batches(CUSTOMERS_AT_ONCE), strict=True
        ):
            said = [
                each.score(some) / np.float32(a)
                for each, a in zip(self.rankers, self.scales, strict=True)
            ]
            total = without_seen(np.sum(said, axis=0), some, value=-np.inf)
            items = best(total, k=min(CANDIDATES, total.shape[1])).items
            hit = items == answers[first : first + len(some), None]
            known = hit.any(axis=1)
            picked = np.maximum(items[known], 0)
            rows = np.stack([np.take_along_axis(s[known], picked, axis=1) for s in said], axis=-1)
            tables.append(np.concatenate([rows, _log(rows)], axis=-1))
            chosen.append(hit[known].argmax(axis=1))
        return np.concatenate(tables).astype(np.float64), np.concatenate(chosen)


def fit_logit(x: FloatArray, chosen: IntArray) -> FloatArray:
    """Find the weights under which what was chosen was likeliest among its candidates.

    Args:
        x: Candidates' features, shape (n, c, f).
        chosen: Which candidate came next, shape (n,).

    Returns:
        Weights, shape (f,): of features as they are, though the penalty is on their spreads.
    """
    spread = np.maximum(x.std(axis=(0, 1)), 1e-9) if len(x) else np.ones(x.shape[-1])
    z = x / spread
    picked = z[np.arange(len(z)), chosen]  # (n, f)

    def loss(w: FloatArray) -> tuple[float, FloatArray]:
        utility = z @ w  # (n, c)
        shares = softmax(utility, axis=1)
        surprise = logsumexp(utility, axis=1) - picked @ w  # (n,)
        slope = np.einsum("nc,ncf->f", shares, z) - picked.sum(axis=0)
        n = max(len(z), 1)
        return surprise.sum() / n + PENALTY * w @ w, slope / n + 2 * PENALTY * w

    found: FloatArray = minimize(loss, np.zeros(z.shape[-1]), jac=True, method="L-BFGS-B").x
    return found / spread


def _log(scores: ScoreArray) -> ScoreArray:
    return np.log(np.maximum(scores, 0) + np.float32(LEAST))
