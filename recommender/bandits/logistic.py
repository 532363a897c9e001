"""Learn log-odds of a reward for each offer, and explore them by Thompson sampling.

Offer k is rewarded with probability 1 / (1 + exp(-c - xᵀθ_k)), c being the log-odds of all offers
together; θ_k ~ N(m₀, Λ₀⁻¹) and m₀ ~ N(0, Λ₀₀⁻¹) as in `thompson.py`. The posterior is taken as
normal around its mode with the curvature there (Laplace; Chapelle & Li 2011). Newton's steps find
the mode: each is the linear posterior of weighted sums Σ w x xᵀ and Σ x (w xᵀθ + r - p), where p is
the rate so far and w = p (1 - p).

Only the first of these steps, from the same rate for everybody, needs no more than the sums that
every bandit remembers. So the log is read for the others; without it the first is published.

The link is monotone: the offer of the highest log-odds is that of the highest rate, and chances of
being best are worked out on log-odds.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from recommender.bandits.base import DEFAULTS, Hyperparameters, Log, Statistics
from recommender.bandits.conditioning import COMMON_PRIOR, condition, root_of_inverse
from recommender.bandits.rates import RateBandit, common_rate, require_rates
from recommender.weighing.features import FeatureSpec
from recommender.weighing.odds import Odds

# Where rates are low, rewards say so little that a prior worth some of them would let an offer's
# odds be anything; a coefficient hardly multiplies them by more than e² (cf. Gelman et al. 2008).
LEAST_PRECISION = 1.0
SMALL_STEP = 1e-9  # of the coefficients, at which the mode is found


class LogisticThompson(RateBandit):
    """Bayesian logistic regression for each offer, with a shared prior mean."""

    def __init__(self, hyperparameters: Hyperparameters = DEFAULTS, *, device: str = "cpu") -> None:
        super().__init__(hyperparameters, device=device)
        self._log: Log | None = None

    def read(self, log: Log) -> None:
        """Take the decisions that are remembered; what is published next follows from them.

        Raises:
            ValueError: A reward lies outside 0 … 1.
        """
        require_rates(log.reward)
        self._log = log

    def publish(
        self,
        statistics: Sequence[Statistics],
        *,
        offers: tuple[str, ...],
        features: FeatureSpec,
        floor: float,
        version: int,
    ) -> Odds:
        """Learn from the log, or from the statistics alone, one for each offer."""
        a, b = self._stack(statistics)
        rate = common_rate(statistics)
        information = rate * (1.0 - rate)  # of a reward on its log-odds
        prior = max(self.hyperparameters.prior_strength * information, LEAST_PRECISION)
        score = b - rate * a[:, :, 0]  # Σ x (r - rate), for the first column is 1
        mean, lower, common = condition(information * a, score, prior=prior)
        middle = float(np.log(rate / (1.0 - rate)))
        if self._log is not None:
            mode = _Mode(self._split(self._log, len(offers)), middle=middle, prior=prior)
            mean, lower = mode.find(mean, common)
        centre = torch.zeros_like(mean)
        centre[:, 0] = middle
        return Odds(
            offers=offers,
            mean=(mean + centre).cpu().numpy(),
            factor=(self.width(features.size) * root_of_inverse(lower)).cpu().numpy(),
            floor=floor,
            features=features,
            version=version,
            is_log_odds=True,
        )

    def _split(self, log: Log, n_offers: int) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Return rows, rewards and weights of each offer, (n_k, d), (n_k,) and (n_k,)."""
        split = []
        for k in range(n_offers):
            mine = log.offer_index == k
            x, reward, weight = (
                self._tensor(column[mine]) for column in (log.x, log.reward, log.weight)
            )
            split.append((x, reward, weight))
        return split


class _Mode:
    """Where the posterior of all offers' coefficients, and of what they share, is highest."""

    def __init__(
        self, decisions: Sequence[tuple[Tensor, Tensor, Tensor]], *, middle: float, prior: float
    ) -> None:
        self._decisions = decisions
        self._middle = middle
        self._prior = prior

    def find(self, theta: Tensor, common: Tensor) -> tuple[Tensor, Tensor]:
        """Climb from (K, d) and (d,); return the mode's θ and the curvature's Cholesky factors."""
        height = self._height(theta, common)
        while True:
            aim, lower, common_aim = self._step(theta)
            share = 1.0
            # The posterior is concave, but a full step may leap over its top.
            while (new := self._height(*self._between(theta, aim, common, common_aim, share))) < (
                height
            ):
                share /= 2.0
            before = theta
            theta, common = self._between(theta, aim, common, common_aim, share)
            height = new
            if float((theta - before).abs().max()) <= SMALL_STEP:
                return theta, lower

    @staticmethod
    def _between(
        theta: Tensor, aim: Tensor, common: Tensor, common_aim: Tensor, share: float
    ) -> tuple[Tensor, Tensor]:
        return theta + share * (aim - theta), common + share * (common_aim - common)

    def _step(self, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return where Newton's step leads, and the curvature where it starts."""
        a, b = [], []
        for (x, reward, weight), own in zip(self._decisions, theta, strict=True):
            along = x @ own  # (n_k, d) @ (d,) -> (n_k,)
            p = torch.sigmoid(self._middle + along)
            w = weight * p * (1.0 - p)
            a.append(x.T @ (w[:, None] * x))  # (d, n_k) @ (n_k, d) -> (d, d)
            b.append(x.T @ (w * along + weight * (reward - p)))
        return condition(torch.stack(a), torch.stack(b), prior=self._prior)

    def _height(self, theta: Tensor, common: Tensor) -> float:
        """Return the logarithm of the posterior's density, but for a constant."""
        apart = theta - common
        height = -0.5 * self._prior * float((apart * apart).sum())
        height -= 0.5 * COMMON_PRIOR * self._prior * float(common @ common)
        for (x, reward, weight), own in zip(self._decisions, theta, strict=True):
            odds = self._middle + x @ own
            height += float(weight @ (reward * odds - softplus(odds)))
        return height
