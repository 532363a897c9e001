"""Estimate the value of slates: several offers shown at once, each with a reward of its own.

How much of a slate a reward depends on decides the weight of position l, the steadier the less:

- the whole slate (`standard`): Π over all positions;
- the offers down to its own (`cascade`): Π over positions 1 … l, as when people read downwards
  (McInerney et al. 2020, reward interaction IPS);
- its own offer alone (`independent`): that position's (Li et al. 2018, item position).

A slate's score is the sum over its positions, and the estimate is per slate.
"""

from typing import Literal

import numpy as np

from recommender.arrays import FloatArray
from recommender.offpolicy.support import LEAST_EFFECTIVE, Support, weigh
from recommender.offpolicy.values import CONFIDENCE, PolicyValue, Scores, Withheld, judge

Dependence = Literal["standard", "cascade", "independent"]


def slate_ips(
    rewards: FloatArray,
    target: FloatArray,
    logged: FloatArray,
    *,
    dependence: Dependence,
    confidence: float = CONFIDENCE,
    least_effective: float = LEAST_EFFECTIVE,
) -> PolicyValue | Withheld:
    """Weight every position's reward by as much of the slate as it depends on.

    Args:
        rewards: Of each position, shape (n, L).
        target: The target policy's probability of each position's offer, shape (n, L): given the
            offers above it, or, for `independent`, whatever they are.
        logged: The logging policy's propensity, likewise.
        dependence: What of its slate a reward depends on.
        confidence: Coverage of the interval.
        least_effective: Smallest effective sample size for which an estimate is shown.

    Raises:
        ValueError: Shapes disagree, a number is not finite, or a probability is out of range.
    """
    weights = _weigh_positions(target, logged, rewards, dependence=dependence)
    return judge(
        _score(np.zeros_like(rewards), weights * rewards, weights),
        method=f"slate_{dependence}",
        confidence=confidence,
        least_effective=least_effective,
    )


def slate_doubly_robust(
    rewards: FloatArray,
    target: FloatArray,
    logged: FloatArray,
    predicted_logged: FloatArray,
    predicted_target: FloatArray,
    *,
    confidence: float = CONFIDENCE,
    least_effective: float = LEAST_EFFECTIVE,
) -> PolicyValue | Withheld:
    """Correct a reward model down the slate (Kiyohara et al. 2022, cascade doubly robust).

    Position l adds w_{1:l} (r_l - m_l) + w_{1:l-1} v_l, where m_l and v_l predict the reward of
    positions l … L together: of the logged offer at l, and averaged over the target's choice there.

    Args:
        rewards: Of each position, shape (n, L).
        target: The target policy's probability of each position's offer given those above.
        logged: The logging policy's propensity, likewise.
        predicted_logged: m, shape (n, L).
        predicted_target: v, shape (n, L).
        confidence: Coverage of the interval.
        least_effective: Smallest effective sample size for which an estimate is shown.

    Raises:
        ValueError: Shapes disagree, a number is not finite, or a probability is out of range.
    """
    weights = _weigh_positions(
        target, logged, rewards, predicted_logged, predicted_target, dependence="cascade"
    )
    before = np.hstack([np.ones_like(weights[:, :1]), weights[:, :-1]])  # (n, L)
    return judge(
        _score(before * predicted_target, weights * (rewards - predicted_logged), weights),
        method="slate_doubly_robust",
        confidence=confidence,
        least_effective=least_effective,
    )


def _weigh_positions(
    target: FloatArray, logged: FloatArray, *others: FloatArray, dependence: Dependence
) -> FloatArray:
    """Return each position's weight, shape (n, L)."""
    if target.ndim != 2 or any(array.shape != target.shape for array in (logged, *others)):
        shapes = [array.shape for array in (target, logged, *others)]
        raise ValueError(f"Expected arrays of one shape (n, L), not {shapes}.")
    each = weigh(*(array.ravel() for array in (target, logged, *others))).reshape(target.shape)
    if dependence == "independent":
        return each
    down = each.cumprod(axis=1)
    return down if dependence == "cascade" else np.broadcast_to(down[:, -1:], down.shape)


def _score(base: FloatArray, correction: FloatArray, weights: FloatArray) -> Scores:
    """Add up each slate; the position of least support speaks for it."""
    effective = [
        Support.of(weights[:, place]).effective_sample_size for place in range(weights.shape[1])
    ]
    total = correction.sum(axis=1)
    return Scores(
        base=base.sum(axis=1),
        correction=total,
        weights=weights[:, int(np.argmin(effective))],
        left_out=np.zeros_like(total),
    )
