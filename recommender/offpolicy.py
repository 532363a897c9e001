"""Estimate what another policy would have earned, from one policy's log.

A log row holds a reward r, the propensity p with which the logging policy chose the logged offer,
and the probability q with which the target policy would have. The weight is w = q / p. Every
estimator is a mean of influence values ψ_i plus its estimate, so its variance is that of ψ over n,
and two policies judged on the same log are compared row by row (`difference`).
An estimate without support is withheld.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtri

from recommender.arrays import FloatArray

LEAST_EFFECTIVE = 100.0  # fewer effective rows than this are an anecdote
WEIGHT_ALARM = 0.999  # confidence at which a mean weight other than 1 means a broken log
ROUNDING = 1e-9  # a mean weight this near to 1 is 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyValue:
    """What a policy would earn for each decision, with an interval.

    Attributes:
        estimate: Mean reward, in units of reward.
        low: Lower end of the interval.
        high: Upper end of the interval.
        n: Decisions in the log.
        effective_sample_size: (Σ w)² / Σ w²: how many unweighted decisions tell as much.
        mean_weight: Near 1 when the logged propensities are right.
        max_weight: The most that one decision counts.
        method: `ips`, `snips` or `doubly_robust`.
        confidence: Coverage of the interval, such as 0.95.
        influence: ψ, shape (n,), summing to 0.
    """

    estimate: float
    low: float
    high: float
    n: int
    effective_sample_size: float
    mean_weight: float
    max_weight: float
    method: str
    confidence: float
    influence: FloatArray = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Withheld:
    """No estimate is shown, and why, in words a marketer can read."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueDifference:
    """How much more one policy would earn for each decision than another, with an interval."""

    estimate: float
    low: float
    high: float
    n: int
    confidence: float


def ips(
    rewards: FloatArray,
    target: FloatArray,
    logged: FloatArray,
    *,
    confidence: float = 0.95,
    least_effective: float = LEAST_EFFECTIVE,
) -> PolicyValue | Withheld:
    """Average the rewards weighted by w (Horvitz & Thompson 1952): unbiased, and noisy.

    ψ_i = w_i r_i - estimate.

    Args:
        rewards: Observed rewards, shape (n,), any unit.
        target: The target policy's probability of the logged offer, shape (n,), each in [0, 1].
        logged: The logging policy's propensity, shape (n,), each in (0, 1].
        confidence: Coverage of the interval.
        least_effective: Smallest effective sample size for which an estimate is shown.

    Raises:
        ValueError: Shapes disagree, a number is not finite, or a probability is out of range.
    """
    weights = _weights(target, logged, rewards)
    return _judge(
        weights * rewards,
        weights,
        method="ips",
        confidence=confidence,
        least_effective=least_effective,
    )


def snips(
    rewards: FloatArray,
    target: FloatArray,
    logged: FloatArray,
    *,
    confidence: float = 0.95,
    least_effective: float = LEAST_EFFECTIVE,
) -> PolicyValue | Withheld:
    """Divide by the weights' sum instead of by n (Swaminathan & Joachims 2015).

    Biased by O(1/n), far steadier than IPS, and never outside the rewards' range. By the delta
    method for a ratio of means, ψ_i = w_i (r_i - estimate) / mean(w).

    Arguments and errors as in `ips`.
    """
    weights = _weights(target, logged, rewards)
    total = weights.sum()
    # Without any weight there is no ratio; _judge withholds that case whatever the scores.
    estimate = (weights @ rewards) / total if total else 0.0
    scale = total / len(weights) if total else 1.0
    return _judge(
        estimate + weights * (rewards - estimate) / scale,
        weights,
        method="snips",
        confidence=confidence,
        least_effective=least_effective,
    )


def doubly_robust(
    rewards: FloatArray,
    target: FloatArray,
    logged: FloatArray,
    predicted_logged: FloatArray,
    predicted_target: FloatArray,
    *,
    confidence: float = 0.95,
    least_effective: float = LEAST_EFFECTIVE,
) -> PolicyValue | Withheld:
    """Correct a reward model by its weighted errors (Dudík, Langford & Li 2011).

    Right when either the propensities or the model are, and steadier than IPS when both nearly
    are. ψ_i = v_i + w_i (r_i - m_i) - estimate. The predictions must not have seen row i's reward
    (`crossfit_predictions` in reward_model.py).

    Args:
        rewards: Observed rewards, shape (n,), any unit.
        target: The target policy's probability of the logged offer, shape (n,), each in [0, 1].
        logged: The logging policy's propensity, shape (n,), each in (0, 1].
        predicted_logged: m, the predicted reward of the logged offer, shape (n,).
        predicted_target: v, the predicted reward averaged over the target's choice, shape (n,).
        confidence: Coverage of the interval.
        least_effective: Smallest effective sample size for which an estimate is shown.

    Raises:
        ValueError: Shapes disagree, a number is not finite, or a probability is out of range.
    """
    weights = _weights(target, logged, rewards, predicted_logged, predicted_target)
    return _judge(
        predicted_target + weights * (rewards - predicted_logged),
        weights,
        method="doubly_robust",
        confidence=confidence,
        least_effective=least_effective,
    )


def difference(
    a: PolicyValue | Withheld, b: PolicyValue | Withheld, *, confidence: float = 0.95
) -> ValueDifference | Withheld:
    """Compare two policies judged on the same log, as a minus b.

    Influence is subtracted row by row, so what both policies share of a row's luck cancels.

    Raises:
        ValueError: The two logs have different lengths, so they are not the same log.
    """
    if isinstance(a, Withheld):
        return a
    if isinstance(b, Withheld):
        return b
    if a.n != b.n:
        raise ValueError(f"These logs have {a.n} and {b.n} decisions: they are not the same log.")
    estimate = a.estimate - b.estimate
    margin = _margin(a.influence - b.influence, confidence=confidence)
    return ValueDifference(
        estimate=estimate,
        low=estimate - margin,
        high=estimate + margin,
        n=a.n,
        confidence=confidence,
    )


def _judge(
    scores: FloatArray,
    weights: FloatArray,
    *,
    method: str,
    confidence: float,
    least_effective: float,
) -> PolicyValue | Withheld:
    """Turn scores, whose mean is the estimate, into a value with an interval, if it has support."""
    n, square = len(weights), float(weights @ weights)
    effective = float(weights.sum()) ** 2 / square if square else 0.0
    if n < 2 or effective < least_effective:
        return Withheld(
            f"The log tells as much about this policy as {effective:.0f} of its own decisions "
            f"would; at least {max(least_effective, 2):.0f} are needed."
        )
    mean_weight = float(weights.mean())
    if abs(mean_weight - 1.0) > _margin(weights, confidence=WEIGHT_ALARM) + ROUNDING:
        return Withheld(
            f"The weights average {mean_weight:.3f} where chance allows only 1: propensities were "
            "logged wrongly, or this policy shows offers that the logging policy never does."
        )
    estimate = float(scores.mean())
    influence = scores - estimate
    margin = _margin(influence, confidence=confidence)
    return PolicyValue(
        estimate=estimate,
        low=estimate - margin,
        high=estimate + margin,
        n=n,
        effective_sample_size=effective,
        mean_weight=mean_weight,
        max_weight=float(weights.max()),
        method=method,
        confidence=confidence,
        influence=influence,
    )


def _margin(values: FloatArray, *, confidence: float) -> float:
    """Half the normal interval of a mean."""
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"Confidence must lie in (0, 1), not {confidence}.")
    return float(ndtri(0.5 + confidence / 2) * values.std(ddof=1) / np.sqrt(len(values)))


def _weights(target: FloatArray, logged: FloatArray, *others: FloatArray) -> FloatArray:
    """Divide the probabilities, after checking everything that comes from the log."""
    arrays = (target, logged, *others)
    if target.ndim != 1 or any(array.shape != target.shape for array in arrays):
        raise ValueError(f"Expected arrays of one shape (n,), not {[a.shape for a in arrays]}.")
    if not all(np.isfinite(array).all() for array in arrays):
        raise ValueError("Every reward, probability and prediction must be finite.")
    if (logged <= 0.0).any() or (logged > 1.0).any():
        raise ValueError("Logged propensities must lie in (0, 1].")
    if (target < 0.0).any() or (target > 1.0).any():
        raise ValueError("The target's probabilities must lie in [0, 1].")
    return target / logged
