"""Estimate a policy's value by weighting rewards alone, without a model of them."""

import numpy as np

from recommender.arrays import FloatArray, IntArray
from recommender.offpolicy.support import LEAST_EFFECTIVE, weigh
from recommender.offpolicy.values import CONFIDENCE, PolicyValue, Scores, Withheld, judge


def ips(
    rewards: FloatArray,
    target: FloatArray,
    logged: FloatArray,
    *,
    confidence: float = CONFIDENCE,
    least_effective: float = LEAST_EFFECTIVE,
) -> PolicyValue | Withheld:
    """Average the rewards weighted by w (Horvitz & Thompson 1952): unbiased, and noisy.

    Args:
        rewards: Observed rewards, shape (n,), any unit.
        target: The target policy's probability of the logged offer, shape (n,), each in [0, 1].
        logged: The logging policy's propensity, shape (n,), each in (0, 1].
        confidence: Coverage of the interval.
        least_effective: Smallest effective sample size for which an estimate is shown.

    Raises:
        ValueError: Shapes disagree, a number is not finite, or a probability is out of range.
    """
    weights = weigh(target, logged, rewards)
    return judge(
        _weighted(rewards, weights),
        method="ips",
        confidence=confidence,
        least_effective=least_effective,
    )


def snips(
    rewards: FloatArray,
    target: FloatArray,
    logged: FloatArray,
    *,
    counts: FloatArray | float = 1.0,
    confidence: float = CONFIDENCE,
    least_effective: float = LEAST_EFFECTIVE,
) -> PolicyValue | Withheld:
    """Divide by the weights' sum instead of by n (Swaminathan & Joachims 2015).

    Biased by O(1/n), far steadier than IPS, and never outside the rewards' range.

    Arguments and errors as in `ips`; `counts` as in `ModelledLog`.
    """
    weights = weigh(target, logged, rewards) * counts
    return judge(
        _weighted(rewards, weights, is_self_normalised=True),
        method="snips",
        confidence=confidence,
        least_effective=least_effective,
    )


def mips(
    rewards: FloatArray,
    action: IntArray,
    target: FloatArray,
    logged: FloatArray,
    *,
    groups: IntArray,
    confidence: float = CONFIDENCE,
    least_effective: float = LEAST_EFFECTIVE,
) -> PolicyValue | Withheld:
    """Weight by what groups of offers are shown, not by single offers (Saito & Joachims 2022).

    With hundreds of offers single weights are huge. If a reward depends on an offer only by its
    group, w(x, g) = Σ_{k in g} q_k / Σ_{k in g} p_k is unbiased with far less variance; where
    offers of one group differ, the bias is what that costs, and no interval shows it.

    Args:
        rewards: Observed rewards, shape (n,).
        action: What was shown, shape (n,), each in 0 … K - 1.
        target: The target policy's probabilities of all offers, shape (n, K).
        logged: The logging policy's, shape (n, K), positive for what was shown.
        groups: Each offer's group, such as its category, shape (K,), counted from 0.
        confidence: Coverage of the interval.
        least_effective: Smallest effective sample size for which an estimate is shown.

    Raises:
        ValueError: Shapes disagree, an action is unknown, a number is not finite, or a probability
            is out of range.
    """
    n, k = logged.shape
    if target.shape != (n, k) or action.shape != (n,) or groups.shape != (k,):
        raise ValueError(
            f"Expected shapes (n, K), (n, K), (n,) and (K,), not {target.shape}, {logged.shape}, "
            f"{action.shape} and {groups.shape}."
        )
    if n and not 0 <= action.min() <= action.max() < k:
        raise ValueError(f"Actions must lie in 0 … {k - 1}.")
    is_alike = (groups[action][:, None] == groups).astype(np.float64)  # (n, K)
    # Sums of probabilities may exceed 1 by rounding alone.
    sums = [np.minimum((p * is_alike).sum(axis=1), 1.0) for p in (target, logged)]  # each (n,)
    return judge(
        _weighted(rewards, weigh(sums[0], sums[1], rewards)),
        method="mips",
        confidence=confidence,
        least_effective=least_effective,
    )


def _weighted(
    rewards: FloatArray, weights: FloatArray, *, is_self_normalised: bool = False
) -> Scores:
    nothing = np.zeros_like(rewards)
    return Scores(
        base=nothing,
        correction=weights * rewards,
        weights=weights,
        left_out=nothing,
        is_self_normalised=is_self_normalised,
    )
