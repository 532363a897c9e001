"""Say how much a log tells about a policy, and when that is too little to say anything."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from recommender.arrays import FloatArray

LEAST_EFFECTIVE = 100.0  # fewer effective rows than this are an anecdote
# At 95% every twentieth sound log would be withheld; a broken one is far outside.
WEIGHT_ALARM = 0.999
ROUNDING = 1e-9  # a mean weight this near to 1 is 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """How much a log tells about a policy.

    Attributes:
        n: Decisions in the log.
        effective_sample_size: (Σ w)² / Σ w²: how many unweighted decisions tell as much.
        mean_weight: Near 1 when the logged propensities are right.
        mean_weight_low: Lower end of its interval.
        mean_weight_high: Upper end of its interval.
        max_weight: The most that one decision counts.
    """

    n: int
    effective_sample_size: float
    mean_weight: float
    mean_weight_low: float
    mean_weight_high: float
    max_weight: float

    @classmethod
    def of(cls, weights: FloatArray) -> "Support":
        """Describe weights, shape (n,); without rows there is none."""
        n, square = len(weights), float(weights @ weights)
        if n < 2:
            return cls(
                n=n,
                effective_sample_size=0.0,
                mean_weight=0.0,
                mean_weight_low=0.0,
                mean_weight_high=0.0,
                max_weight=float(weights.max(initial=0.0)),
            )
        mean = float(weights.mean())
        margin = float(ndtri(0.5 + WEIGHT_ALARM / 2) * weights.std(ddof=1) / np.sqrt(n)) + ROUNDING
        return cls(
            n=n,
            effective_sample_size=float(weights.sum()) ** 2 / square if square else 0.0,
            mean_weight=mean,
            mean_weight_low=mean - margin,
            mean_weight_high=mean + margin,
            max_weight=float(weights.max()),
        )


def find_objection(support: Support, *, least_effective: float = LEAST_EFFECTIVE) -> str:
    """Say why no estimate may be shown, in words a marketer can read; nothing if one may."""
    effective = support.effective_sample_size
    if effective < max(least_effective, 1.0):
        return (
            f"The log tells as much about this policy as {effective:.0f} of its own decisions "
            f"would; at least {max(least_effective, 1.0):.0f} are needed."
        )
    if not support.mean_weight_low <= 1.0 <= support.mean_weight_high:
        return (
            f"The weights average {support.mean_weight:.3f} instead of 1: this policy shows offers "
            "that hardly ever or never came, or propensities were logged wrongly. The test of the "
            "propensities tells which."
        )
    return ""


def share_at_floor(propensity: FloatArray, floor: float | FloatArray) -> float:
    """Return the share of decisions whose offer was drawn with no more than the least probability.

    Many of them mean that the log is mostly exploration, and that weights are at their largest.

    Args:
        propensity: Of the logged offers, shape (n,), n at least 1.
        floor: The least probability of an eligible offer, for all rows or each.
    """
    return float((propensity <= floor + ROUNDING).mean())


def weigh(target: FloatArray, logged: FloatArray, *others: FloatArray) -> FloatArray:
    """Divide the probabilities, after checking everything that comes from the log.

    Args:
        target: The target policy's probability of the logged offer, shape (n,), each in [0, 1].
        logged: The logging policy's propensity, shape (n,), each in (0, 1].
        others: Rewards and predictions, each (n,).

    Raises:
        ValueError: Shapes disagree, a number is not finite, or a probability is out of range.
    """
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
