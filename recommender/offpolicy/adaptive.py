"""Value offers and policies by decisions of a policy that learned from the same decisions.

A bandit drops an offer that was unlucky early on and so never finds out that it was: plain averages
of what each offer earned are biased downwards, and intervals around them too narrow. Weighted
scores

    Γ_t = Σ_k q_tk m_t(k) + q_ta / p_ta · (r_t - m_t(a))

are unbiased however propensities p came about, as long as the model m looks at the past alone. Yet
their variance changes with p, and depends on how earlier rewards turned out, which spoils the
normal limit. Weights h_t that undo this restore it (Hadad, Hirshberg, Zhan, Wager & Athey 2021;
for contexts Zhan, Hadad, Hirshberg & Athey 2021, and Bibaut et al. 2021):

    estimate = Σ h_t Γ_t / Σ h_t,    variance = Σ h_t² (Γ_t - estimate)² / (Σ h_t)².

The variance of Γ_t is about that of a reward times Σ_k q_tk² / p_tk, so h_t is one over the root of
that, averaged over the decisions of t's batch: it looks at contexts and propensities, never at
rewards. For one offer shown to all, without contexts, that is h_t = √p_t.

With rare rewards an estimate that is too low by chance thinks itself too certain as well. So the
variance is worked out a second time, as Σ h_t² (s² Σ_k q_tk² / p_tk + (v_t - estimate)²) over
(Σ h_t)² with one s² for all errors of the model and v_t = Σ_k q_tk m_t(k), and the larger counts.
"""

import numpy as np

from recommender.arrays import FloatArray, IntArray
from recommender.offpolicy.support import LEAST_EFFECTIVE, weigh
from recommender.offpolicy.values import CONFIDENCE, PolicyValue, Scores, Withheld, judge


def adaptively_weighted(
    rewards: FloatArray,
    action: IntArray,
    target: FloatArray,
    weights: FloatArray,
    predicted: FloatArray,
    *,
    batch: IntArray,
    confidence: float = CONFIDENCE,
) -> PolicyValue | Withheld:
    """Value one fixed policy; an offer's value is that of showing it to all.

    Args:
        rewards: Observed rewards, shape (n,), in the order of the decisions.
        action: What was drawn, shape (n,), each in 0 … K - 1.
        target: q, the policy's probabilities of all offers, shape (n, K), rows summing to 1.
        weights: p, the logged ones, shape (n, K), positive wherever q is.
        predicted: m, predicted rewards of all offers, shape (n, K), by a model of the batches
            before (`past_predictions` in reward_model.py).
        batch: Between which batches the logging policy learned, shape (n,).
        confidence: Coverage of the interval.

    Raises:
        ValueError: Shapes disagree, an action is out of range, a number is not finite, a logged
            probability is 0 where the target's is not, or a probability is out of range.
    """
    n = len(rewards)
    _check(rewards, action, target, weights, predicted, batch)
    rows = np.arange(n)
    q, p = target[rows, action], weights[rows, action]
    importance = weigh(q, p, rewards)
    error = rewards - predicted[rows, action]
    expected = (target * predicted).sum(axis=1)  # v, (n,)
    scores = expected + importance * error  # Γ, (n,)
    each = np.divide(target**2, weights, out=np.zeros_like(target), where=target > 0)
    spread = each.sum(axis=1)  # (n,)
    h = _even_out(spread, batch)
    total = float(h.sum()) or 1.0
    # Without any weight nothing is shown, whatever the error.
    noise = float(importance @ error**2) / (float(importance.sum()) or 1.0)  # s²
    varying = noise * spread + (expected - float(h @ scores) / total) ** 2
    return judge(
        Scores(
            base=np.zeros(n),
            correction=h * scores,
            weights=h,
            left_out=np.zeros(n),
            is_self_normalised=True,
        ),
        method="adaptively_weighted",
        confidence=confidence,
        least_effective=LEAST_EFFECTIVE,
        importance=importance,
        least_error=float(np.sqrt(h**2 @ varying)) / total,
    )


def _even_out(spread: FloatArray, batch: IntArray) -> FloatArray:
    """Return one over the root of each batch's mean spread, shape (n,)."""
    _, place = np.unique(batch, return_inverse=True)
    mean = np.bincount(place, weights=spread) / np.bincount(place)
    h: FloatArray = 1.0 / np.sqrt(mean[place])
    return h


def _check(
    rewards: FloatArray,
    action: IntArray,
    target: FloatArray,
    weights: FloatArray,
    predicted: FloatArray,
    batch: IntArray,
) -> None:
    n, shape = len(rewards), target.shape
    if any(each.shape != (n,) for each in (rewards, action, batch)):
        raise ValueError("Rewards, actions and batches must be one for each decision.")
    if len(shape) != 2 or shape[0] != n or {weights.shape, predicted.shape} != {shape}:
        raise ValueError(
            f"Expected arrays of one shape ({n}, K), not {shape}, {weights.shape} "
            f"and {predicted.shape}."
        )
    if n and not 0 <= action.min() <= action.max() < shape[1]:
        raise ValueError(f"Actions must lie in 0 … {shape[1] - 1}.")
    if not np.isfinite(predicted).all() or not ((weights > 0) | (target == 0)).all():
        raise ValueError("Predictions must be finite, and what the policy shows must be possible.")
