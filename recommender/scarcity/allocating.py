"""Divides scarce offers among customers who are all known beforehand.

With N customers, K offers and what each earns with whom, the best division is the linear program

    max Σ_i Σ_k y_ik m_ik   with   Σ_k y_ik = 1,  Σ_i Σ_k a_rk y_ik ≤ b_r,  y ≥ 0.

It has N K unknowns, and a dual of only as many prices λ_r as there are scarce things. What is
solved is that dual with an entropy that is worth next to nothing,

    min_{λ ≥ 0}  T Σ_i log Σ_k exp((m_ik - a_kᵀλ) / T) + bᵀλ,

which is smooth, so that its gradient, b_r - Σ a_rk y_ik with y_i the softmax of (m_i - aᵀλ) / T, is
0 where something is scarce: what is given out is what there is. A customer's share follows from
the prices alone, and no division has to be kept. The entropy costs T log K a customer at most
(Nesterov 2005, "Smooth minimization of non-smooth functions"); where customers are alike it divides
them as a program with ties has to.

An offer's least probability is taken off beforehand: with p = (1 - K ε) y + ε, as chances are
mixed with a floor, what is given out by p is what there is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from scipy.optimize import minimize
from scipy.special import softmax

from recommender.arrays import BoolArray, FloatArray
from recommender.weighing.odds import Odds
from recommender.weighing.propensities import with_floor

# The entropy's worth, as a part of what it matters which offer a customer gets.
SMOOTHING = 1 / 300
# Of what there is, that may be missing or too much.
CLOSE = 1e-6
# From the prices of a sample it takes a few steps.
SAMPLE = 20_000
MOST_STEPS = 500
# Rows whose exponentials fit into the cache.
TOGETHER = 20_000
# However much the floor gives out, something is left to be divided.
LEAST_LEFT = 1e-3


@dataclass(frozen=True, slots=True)
class Division:
    """How a division goes.

    Attributes:
        prices: What a unit of each scarce thing has to earn, shape (R,).
        temperature: T, in units of reward, above 0.
        earned: What all customers together are expected to earn.
        given: What is given out of each scarce thing, shape (R,).
    """

    prices: FloatArray
    temperature: float
    earned: float
    given: FloatArray


def divide(worth: FloatArray, uses: FloatArray, left: FloatArray, *, floor: float) -> Division:
    """Find the prices at which what is given out is what there is, or less where nobody wants more.

    Args:
        worth: What each offer is expected to earn, shape (N, K).
        uses: What one of an offer uses of each scarce thing, shape (R, K), at least 0.
        left: How much there is, shape (R,), above 0.
        floor: The least probability of an offer.
    """
    k = worth.shape[1]
    least = min(floor, 0.5 / k)
    # What every offer uses is used whoever gets which.
    common = uses.min(axis=1)  # (R,)
    uses, unavoidable = uses - common[:, None], len(worth) * common
    spread = float(np.mean(worth.max(axis=1) - worth.mean(axis=1)))
    temperature = max(SMOOTHING * spread, np.finfo(float).tiny)
    by_floor = least * len(worth) * uses.sum(axis=1)  # (R,)
    open_ = np.maximum(left - unavoidable - by_floor, LEAST_LEFT * left) / (1.0 - k * least)
    few = worth[:: max(len(worth) // SAMPLE, 1)]
    prices = _Dual(few, uses, open_ * len(few) / len(worth), temperature).solve(np.zeros(len(left)))
    dual = _Dual(worth, uses, open_, temperature)
    if len(few) < len(worth):
        prices = dual.solve(prices)
    _, shares, earned = dual.look(prices)
    return Division(
        prices=prices,
        temperature=temperature,
        earned=(1.0 - k * least) * earned + least * float(worth.sum()),
        given=(1.0 - k * least) * (uses @ shares) + by_floor + unavoidable,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Dual:
    """The smoothed dual program of some customers."""

    worth: FloatArray  # (n, K)
    uses: FloatArray  # (R, K)
    left: FloatArray  # (R,)
    temperature: float

    def solve(self, prices: FloatArray) -> FloatArray:
        """Find the prices, from some guess on.

        Unknowns are prices times what there is, in units of what customers earn: so all of them
        are about as large, and slopes are parts of what there is.
        """
        size = self.temperature * len(self.worth)
        # For more than this nobody takes a unit who can do without. If nobody can, for all offers
        # together are too few, no price is high enough.
        most = 2.0 * float((self.worth.max(axis=1) - self.worth.min(axis=1)).max())
        unit = np.where(self.uses > 0.0, self.uses, np.inf).min(axis=1)  # (R,)
        highest = most / unit * self.left / size

        def fall(scaled: FloatArray) -> tuple[float, FloatArray]:
            height, shares, _ = self.look(scaled * size / self.left)
            return height / size, 1.0 - (self.uses @ shares) / self.left

        found = minimize(
            fall,
            np.minimum(prices * self.left / size, highest),
            jac=True,
            method="L-BFGS-B",
            bounds=[(0.0, bound) for bound in highest],
            options={"maxiter": MOST_STEPS, "ftol": 0.0, "gtol": CLOSE, "maxls": 50},
        )
        best: FloatArray = found.x * size / self.left
        return best

    def look(self, prices: FloatArray) -> tuple[float, FloatArray, float]:
        """Return the height at some prices, offers' shares of all, (K,), and what they earn."""
        height, earned = float(self.left @ prices), 0.0
        shares = np.zeros(self.worth.shape[1])
        charges = prices @ self.uses  # (K,)
        for first in range(0, len(self.worth), TOGETHER):
            worth = self.worth[first : first + TOGETHER]
            z = (worth - charges) / self.temperature
            top = z.max(axis=1, keepdims=True)
            z -= top
            np.exp(z, out=z)
            total = z.sum(axis=1, keepdims=True)
            height += self.temperature * float((top + np.log(total)).sum())
            z /= total
            shares += z.sum(axis=0)
            earned += float(np.vdot(z, worth))
        return height, shares, earned


@dataclass(frozen=True, slots=True, eq=False)
class PlannedOdds(Odds):
    """Odds that weigh offers as a division does, by its prices, instead of by what is not known.

    Attributes:
        asked: What each offer has to earn more, shape (K,).
        softness: The temperature T of the division.
    """

    asked: FloatArray = field(default_factory=lambda: np.zeros(1))
    softness: float = 1.0

    @classmethod
    def of(cls, odds: Odds, asked: Mapping[str, float], *, temperature: float) -> Self:
        """Begin with odds, charged or not, and what a division asks of offers by their keys."""
        free = odds.charge({}, version=odds.version)
        charges = np.array([asked.get(key, 0.0) for key in free.offers])
        return cls(**free.given(), asked=charges, softness=temperature)

    def weights(
        self, x: FloatArray, eligible: BoolArray, *, floor: float | None = None
    ) -> FloatArray:
        """Weigh the offers for one customer, as `Odds.weights` is asked."""
        floor = self.floor if floor is None else floor
        (weights,) = self._weigh(x[None], eligible[None], floor=floor)
        return np.asarray(weights)

    def weights_many(self, x: FloatArray, eligible: BoolArray) -> FloatArray:
        """Weigh the offers as `weights` does for many customers, (n, columns) and (n, K)."""
        return self._weigh(x, eligible, floor=self.floor)

    def _weigh(self, x: FloatArray, eligible: BoolArray, *, floor: float) -> FloatArray:
        if not eligible.any(axis=-1).all():
            raise ValueError("At least one offer must be eligible in every row.")
        gain = np.where(eligible, (self.expect(x) - self.asked) / self.softness, -np.inf)
        weights: FloatArray = with_floor(softmax(gain, axis=-1), eligible, floor=floor)
        return weights
