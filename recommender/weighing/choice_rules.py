"""Turn predicted rewards into chances by rules that need to know nothing of their uncertainty.

They stand beside those of `propensities.py`, and obey the same operators in numpy and torch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from scipy.special import ndtr

# A numpy array or a torch tensor: both obey the operators used here.
Array: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Backend:
    """An array library, its standard normal distribution function Φ, and what fits its cache.

    Attributes:
        xp: The library.
        ndtr: Φ.
        at_once: For so many customers together integrals are worked out.
    """

    xp: Any
    ndtr: Callable[[Array], Array]
    at_once: int = 32


NUMPY = Backend(xp=np, ndtr=ndtr)


@dataclass(frozen=True, slots=True)
class Rule:
    """How predictions become chances; without any of these, as the chances of being best.

    Attributes:
        is_optimistic: Whether one draw raises all offers (`optimistic_probabilities`).
        gap_scale: Where it is given, chances fall with the distance from the best offer
            (`inverse_gap_probabilities`), whatever the standard deviations.
        temperature: Where it is given, chances are a softmax of predictions over it
            (`softmax_probabilities`), whatever the standard deviations.
    """

    is_optimistic: bool = False
    gap_scale: float | None = None
    temperature: float | None = None

    def __post_init__(self) -> None:
        if self.gap_scale is not None and not 0.0 <= self.gap_scale < np.inf:
            raise ValueError(f"The gap's scale must be finite and at least 0: {self.gap_scale}.")
        if self.temperature is not None and not 0.0 < self.temperature < np.inf:
            raise ValueError(f"A temperature must be finite and above 0: {self.temperature}.")
        if self.is_optimistic + self.needs_no_sd > 1 or None not in (
            self.gap_scale,
            self.temperature,
        ):
            raise ValueError("Weights follow one rule: optimism, gaps or a softmax.")

    @property
    def needs_no_sd(self) -> bool:
        """Whether predictions alone decide."""
        return self.gap_scale is not None or self.temperature is not None


BEST = Rule()


def plain_probabilities(
    mean: Array, eligible: Array, *, rule: Rule, backend: Backend = NUMPY
) -> Array:
    """Give chances by a rule that needs no standard deviations, (..., K).

    Raises:
        ValueError: A row has no eligible offer.
    """
    if rule.temperature is not None:
        return softmax_probabilities(mean, eligible, temperature=rule.temperature, backend=backend)
    return inverse_gap_probabilities(
        mean, eligible, gap_scale=rule.gap_scale or 0.0, backend=backend
    )


def inverse_gap_probabilities(
    mean: Array, eligible: Array, *, gap_scale: float, backend: Backend = NUMPY
) -> Array:
    """Choose an offer the less often the further it lies below the best (SquareCB).

    Among K eligible offers the best one apart, p_k = 1 / (K + g (m_best - m_k)), and the best gets
    the rest (Abe & Long 1999; Foster & Rakhlin 2020).

    Args:
        mean: Predicted reward of each offer, shape (..., K).
        eligible: Which offers may be chosen, shape (..., K).
        gap_scale: The factor g, at least 0, per unit of reward.
        backend: The library that the arrays belong to.

    Raises:
        ValueError: A row has no eligible offer.
    """
    xp = backend.xp
    require_an_eligible_offer(eligible)
    reachable = xp.where(eligible, mean, -xp.inf)
    # Of equals, the first is the best; all of them get 1 / K.
    places = xp.arange(mean.shape[-1], device=mean.device)
    is_best = places == xp.argmax(reachable, -1)[..., None]
    gap = xp.where(eligible, xp.amax(reachable, axis=-1, keepdims=True) - mean, 0.0)
    n_eligible = xp.where(eligible, xp.ones_like(mean), 0.0).sum(axis=-1, keepdims=True)
    p = xp.where(eligible & ~is_best, 1.0 / (n_eligible + gap_scale * gap), 0.0)
    return xp.where(is_best, 1.0 - p.sum(axis=-1, keepdims=True), p)


def softmax_probabilities(
    mean: Array, eligible: Array, *, temperature: float, backend: Backend = NUMPY
) -> Array:
    """Choose eligible offers in proportion to exp(mean / temperature), (..., K).

    Args:
        mean: Predicted worth of each offer, shape (..., K).
        eligible: Which offers may be chosen, shape (..., K).
        temperature: By how much an offer is better that comes e times as often, above 0.
        backend: The library that the arrays belong to.

    Raises:
        ValueError: A row has no eligible offer.
    """
    xp = backend.xp
    require_an_eligible_offer(eligible)
    reachable = xp.where(eligible, mean, -xp.inf)
    # The best one is at 0, so that nothing overflows and the sum is at least 1.
    p = xp.exp((reachable - xp.amax(reachable, axis=-1, keepdims=True)) / temperature)
    return p / p.sum(axis=-1, keepdims=True)


def require_an_eligible_offer(eligible: Array) -> None:
    """Refuse a row in which nothing can be chosen.

    Raises:
        ValueError: There is one.
    """
    if not bool(eligible.any(axis=-1).all()):
        raise ValueError("At least one offer must be eligible in every row.")
