"""Learn linear rewards for each offer and explore by Thompson sampling's exact probabilities.

Offer k's rewards follow r = xᵀθ_k + e with e ~ N(0, σ²) and θ_k ~ N(m₀, σ² Λ₀⁻¹), Λ₀ = λ I. With
A = Σ x xᵀ, b = Σ x r and P_k = Λ₀ + A_k, the posterior is θ_k ~ N(m_k, σ² P_k⁻¹) with
P_k m_k = Λ₀ m₀ + b_k.

*What offers share.* m₀ is estimated from all of them. Integrating θ_k out, offer k's rewards are
N(X_k m₀, σ² (I + X_k Λ₀⁻¹ X_kᵀ)); by the Woodbury identity its information on m₀ is
G_k = Λ₀ P_k⁻¹ A_k and its score Λ₀ P_k⁻¹ b_k, so (Λ₀₀ + Σ G_k) m₀ = Σ Λ₀ P_k⁻¹ b_k. Since
G_k ≤ Λ₀, an offer counts at most like one prior however much traffic it had: a new offer starts
where the others typically are, not where the favourite is.

*How noisy rewards are.* σ² is pooled, with an inverse-gamma prior. Its posterior's scale over its
shape is the squared scale of the Student t prediction, which is near normal as soon as there are
some dozens of rewards; that is the σ² used.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from recommender.arrays import BoolArray, FloatArray, IntArray
from recommender.bandits.base import DEFAULTS, Hyperparameters, Statistics
from recommender.bandits.conditioning import condition, root_of_inverse
from recommender.bandits.hybrid import Hybrid, Sums, learn_by_facts
from recommender.weighing.choice_rules import Backend
from recommender.weighing.features import FeatureSpec
from recommender.weighing.odds import Odds
from recommender.weighing.offer_facts import FactColumns, FactEffect
from recommender.weighing.propensities import offer_weights
from recommender.weighing.representation import Representation

EXPLORATION = 0.6  # where a policy does not say otherwise
NOISE_SHAPE = 1.0  # of the inverse-gamma prior, which then weighs as much as two rewards
TWO_SIDED = 1.96  # standard deviations on either side of a 95% interval
ROWS_TOGETHER = {"cpu": 2_048, "cuda": 32_768}  # as in odds.py


def _ndtr(z: Tensor) -> Tensor:
    # torch.special.ndtr is (1 + erf) / 2, which keeps only 8 digits at z = -6.
    upper: Tensor = torch.special.erfc(z * -(0.5**0.5))
    return 0.5 * upper


# Cache on one, a gigabyte of scratch on the other.
BACKENDS = {
    device: Backend(xp=torch, ndtr=_ndtr, at_once=rows)
    for device, rows in (("cpu", 32), ("cuda", 4096))
}


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """What is believed of every offer's coefficients.

    Attributes:
        mean: m_k, shape (K, d).
        cholesky: L_k with L_k L_kᵀ = P_k, shape (K, d, d).
        common_mean: m₀, shape (d,).
        noise_variance: σ², in squared units of reward.
        root: F_k with F_k F_kᵀ the covariance of the coefficients over σ², shape (K, d, d).
        taught: What facts of offers are found to change; none without facts.
    """

    mean: Tensor
    cholesky: Tensor
    common_mean: Tensor
    noise_variance: float
    root: Tensor
    taught: tuple[FactEffect, ...] = ()


class LinearThompson:
    """Bayesian linear regression for each offer, with a shared prior mean and shared noise.

    Attributes:
        is_optimistic: Whether one draw raises all offers, instead of one for each.
    """

    is_optimistic: ClassVar[bool] = False

    def __init__(self, hyperparameters: Hyperparameters = DEFAULTS, *, device: str = "cpu") -> None:
        self.hyperparameters = hyperparameters
        self.device = torch.device(device)
        self.representation: Representation | None = None
        self._facts: FactColumns | None = None

    def read_facts(self, facts: FactColumns) -> None:
        """Take what is known of the offers, K rows; what is published next starts them by it."""
        self._facts = facts

    def represent(self, x: FloatArray) -> FloatArray:
        """Return the columns that rewards are linear in, (n, d), of encoded customers."""
        return x if self.representation is None else self.representation.represent(x)

    def width(self, d: int) -> float:
        """Return what standard deviations of a prediction from d columns are multiplied by.

        Textbook Thompson sampling is 1. It tries too much where customers differ in many ways:
        their variety tries offers by itself.
        """
        exploration = self.hyperparameters.exploration
        return float((EXPLORATION if exploration is None else exploration) * d**-0.25)

    def accumulate(
        self, offer_index: IntArray, x: FloatArray, rewards: FloatArray, *, n_offers: int
    ) -> list[Statistics]:
        """Summarise decisions as one `Statistics` for each offer.

        Args:
            offer_index: The offer that was shown, shape (n,), each in 0 … n_offers - 1.
            x: Represented customers, shape (n, d).
            rewards: What the decisions earned, shape (n,).
            n_offers: K.

        Raises:
            ValueError: Shapes disagree, an index is out of range, or a number is not finite.
        """
        _check_decisions(offer_index, x, rewards, n_offers=n_offers)
        rows, r = self._tensor(x), self._tensor(rewards)  # (n, d), (n,)
        shown = torch.tensor(offer_index, device=self.device)  # (n,)
        statistics = []
        # One product an offer instead of a scatter: CUDA's scatters add in no fixed order.
        for k in range(n_offers):
            x_k, r_k = rows[shown == k], r[shown == k]  # (n_k, d), (n_k,)
            statistics.append(
                Statistics(
                    precision_update=(x_k.T @ x_k).cpu().numpy(),  # (d, n_k) @ (n_k, d) -> (d, d)
                    b=(x_k.T @ r_k).cpu().numpy(),  # (d, n_k) @ (n_k,) -> (d,)
                    n=float(len(r_k)),
                    s=float(r_k @ r_k),
                )
            )
        return statistics

    def posterior(self, statistics: Sequence[Statistics]) -> Posterior:
        """Condition on the statistics of all offers, at least one."""
        a, b = self._stack(statistics)
        if self._facts is not None and self._facts.z.shape[1]:
            by_facts = self._learn_by_facts(statistics, a=a, b=b, facts=self._facts)
            if by_facts is not None:
                return by_facts
        mean, lower, common = condition(a, b, prior=self.hyperparameters.prior_strength)
        return Posterior(
            mean=mean,
            cholesky=lower,
            common_mean=common,
            noise_variance=self._noise_variance(
                statistics, a=a, b=b, common=common, step=mean - common
            ),
            root=root_of_inverse(lower),
        )

    def _learn_by_facts(
        self, statistics: Sequence[Statistics], *, a: Tensor, b: Tensor, facts: FactColumns
    ) -> Posterior | None:
        """Condition with the offers' facts; None where these tell nothing."""
        settings = self.hyperparameters
        n = sum(each.n for each in statistics)
        sums = Sums(
            a=a,
            b=b,
            n=n,
            s=sum(each.s for each in statistics),
            prior=settings.prior_strength,
            noise_shape=NOISE_SHAPE,
            noise_scale=NOISE_SHAPE * settings.noise_sd**2,
        )
        found = learn_by_facts(sums, self._tensor(facts.z))
        if found is None:
            return None
        return Posterior(
            mean=found.mean,
            cholesky=found.cholesky,
            common_mean=found.common_mean,
            noise_variance=found.noise_variance,
            root=found.root,
            # The first column is 1 for everybody, so that this is the average customer.
            taught=_say_effects(found, facts, average=(a[:, 0].sum(dim=0) / n).cpu().numpy()),
        )

    def publish(
        self,
        statistics: Sequence[Statistics],
        *,
        offers: tuple[str, ...],
        features: FeatureSpec,
        floor: float,
        version: int,
    ) -> Odds:
        """Learn from the statistics, one for each offer and in the same order."""
        posterior = self.posterior(statistics)
        sd = self.width(features.size) * posterior.noise_variance**0.5
        return Odds(
            offers=offers,
            mean=posterior.mean.cpu().numpy(),
            factor=(sd * posterior.root).cpu().numpy(),
            floor=floor,
            features=features,
            version=version,
            is_optimistic=self.is_optimistic,
            representation=self.representation,
            taught=posterior.taught,
        )

    def weights_many(self, odds: Odds, x: FloatArray, eligible: BoolArray) -> FloatArray:
        """Weigh the offers for many customers on the device.

        The same as `Odds.weights_many` to 1e-12: it is the same function on another library.

        Args:
            odds: A published policy.
            x: Encoded customers, shape (n, columns).
            eligible: Which offers may be chosen, shape (n, K).

        Returns:
            Probabilities, shape (n, K).

        Raises:
            ValueError: A row has no eligible offer.
        """
        x = odds.represent(x)
        mean, factor = self._tensor(odds.mean), self._tensor(odds.factor)  # (K, d), (K, d, d)
        columns = factor.transpose(0, 1).flatten(1)  # (K, d, d) -> (d, K d)
        weights = np.empty((len(x), len(odds.offers)))
        backend, step = BACKENDS[self.device.type], ROWS_TOGETHER[self.device.type]
        for first in range(0, len(x), step):
            part = slice(first, first + step)
            rows = self._tensor(x[part])  # (r, d)
            sd = torch.cat(
                [
                    torch.linalg.vector_norm((some @ columns).view(-1, *mean.shape), dim=-1)
                    for some in torch.split(
                        rows, backend.at_once
                    )  # (s, d) @ (d, K d) -> (s, K, d) -> (s, K)
                ]
            )
            allowed = torch.tensor(eligible[part], device=self.device)
            weights[part] = (
                offer_weights(
                    rows @ mean.T,
                    sd,
                    allowed,
                    floor=odds.floor,
                    rule=odds.rule,
                    backend=backend,
                )
                .cpu()
                .numpy()
            )
        return weights  # (n, K)

    def _noise_variance(
        self,
        statistics: Sequence[Statistics],
        *,
        a: Tensor,
        b: Tensor,
        common: Tensor,
        step: Tensor,
    ) -> float:
        """Divide the inverse-gamma posterior's scale by its shape.

        shape = α₀ + ½ Σ_k n_k
        scale = α₀ noise_sd² + ½ Σ_k [s_k - 2 m_kᵀb_k + m_kᵀA_k m_k + λ ‖m_k - m₀‖²]
        """
        mean = common + step  # (K, d)
        fitted = torch.einsum("kd,kde,ke->", mean, a, mean) - 2.0 * (mean * b).sum()
        spread = self.hyperparameters.prior_strength * (step * step).sum()
        squares = sum(each.s for each in statistics) + float(fitted + spread)
        shape = NOISE_SHAPE + 0.5 * sum(each.n for each in statistics)
        # Rounding may leave a perfect fit slightly below 0.
        scale = NOISE_SHAPE * self.hyperparameters.noise_sd**2 + 0.5 * max(squares, 0.0)
        return scale / shape

    def _stack(self, statistics: Sequence[Statistics]) -> tuple[Tensor, Tensor]:
        """Return A_k and b_k of all offers, (K, d, d) and (K, d)."""
        return (
            self._tensor(np.stack([each.precision_update for each in statistics])),
            self._tensor(np.stack([each.b for each in statistics])),
        )

    def _tensor(self, array: FloatArray) -> Tensor:
        return torch.tensor(array, dtype=torch.float64, device=self.device)


def _say_effects(
    found: Hybrid, facts: FactColumns, *, average: FloatArray
) -> tuple[FactEffect, ...]:
    """Say what the differences between facts change for the average customer, shape (d,)."""
    teaching = found.teaching.cpu().numpy() @ average  # (q, d) @ (d,) -> (q,)
    doubt = np.einsum("idje,d,e->ij", found.doubt.cpu().numpy(), average, average, optimize=True)
    effects = []
    for each in facts.contrasts:
        effect = float(each.along @ teaching)
        variance = found.noise_variance * float(each.along @ doubt @ each.along)
        reach = TWO_SIDED * math.sqrt(max(variance, 0.0))
        effects.append(FactEffect(each.fact, each.says, effect, effect - reach, effect + reach))
    return tuple(effects)


def _check_decisions(
    offer_index: IntArray, x: FloatArray, rewards: FloatArray, *, n_offers: int
) -> None:
    n = len(rewards)
    if x.ndim != 2 or x.shape[0] != n or offer_index.shape != (n,) or rewards.shape != (n,):
        raise ValueError(
            f"Expected shapes (n,), (n, d) and (n,), "
            f"not {offer_index.shape}, {x.shape} and {rewards.shape}."
        )
    if n and not 0 <= offer_index.min() <= offer_index.max() < n_offers:
        raise ValueError(f"Offer indices must lie in 0 … {n_offers - 1}.")
    if not (np.isfinite(x).all() and np.isfinite(rewards).all()):
        raise ValueError("Features and rewards must be finite.")
