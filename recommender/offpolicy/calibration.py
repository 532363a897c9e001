"""Test whether offers came as often as their logged propensities say.

For a group of decisions in which an offer could be drawn, with chances p, the number of times that
it was is tested by

    z = Σ (1{drawn} - p) / √(Σ p (1 - p)).

The sum's parts are martingale differences however the policy learned between decisions, so z is
standard normal for a log that tells the truth, adaptive or not. Groups are the offers, and the
tenths of each offer's decisions by p. By Bonferroni, all z share one chance
of a false alarm.

A mean weight near 1 shows less: propensities of several offers can be wrong and the mean right.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from recommender.arrays import BoolArray, FloatArray, IntArray

ALPHA = 0.001  # a sound log is accused once in a thousand
TENTHS = 10
# With fewer expected draws, or fewer expected misses, z is not normal enough to be judged far out.
LEAST_EXPECTED = 20.0


@dataclass(frozen=True, slots=True)
class Deviation:
    """How often an offer was drawn in a group of decisions, and how often it should have been.

    Attributes:
        offer: Its place among the offers.
        tenth: From 0 on, by p; None for all of the offer's decisions.
        n: Decisions of the group.
        expected: Σ p.
        drawn: How often it was.
        z: The difference in standard deviations.
    """

    offer: int
    tenth: int | None
    n: int
    expected: float
    drawn: int
    z: float


@dataclass(frozen=True, slots=True)
class PropensityCheck:
    """All that was tested.

    Attributes:
        deviations: One for each offer, and each tenth, that has enough decisions.
        bound: The largest |z| that chance allows among so many.
    """

    deviations: tuple[Deviation, ...]
    bound: float

    @property
    def worst(self) -> Deviation | None:
        """The group that is furthest off; None if none could be tested."""
        return max(self.deviations, key=lambda each: abs(each.z), default=None)

    @property
    def is_broken(self) -> bool:
        """Whether the log's propensities cannot be what its offers were drawn by."""
        return self.worst is not None and abs(self.worst.z) > self.bound


def check_propensities(
    weights: FloatArray, action: IntArray, eligible: BoolArray, *, alpha: float = ALPHA
) -> PropensityCheck:
    """Test each offer, and each tenth of its decisions by propensity.

    Args:
        weights: The logged probabilities of all offers, shape (n, K).
        action: What was drawn, shape (n,), each in 0 … K - 1.
        eligible: Which offers could be drawn, shape (n, K).
        alpha: The chance of accusing a sound log.

    Raises:
        ValueError: Shapes disagree, or a weight is no probability.
    """
    n, k = weights.shape
    if action.shape != (n,) or eligible.shape != (n, k):
        raise ValueError(
            f"Expected shapes (n, K), (n,) and (n, K), not {weights.shape}, {action.shape} "
            f"and {eligible.shape}."
        )
    if not ((weights >= 0.0) & (weights <= 1.0)).all():
        raise ValueError("Logged weights must lie in [0, 1].")
    deviations = []
    for offer in range(k):
        rows = np.flatnonzero(eligible[:, offer])
        p, is_drawn = weights[rows, offer], action[rows] == offer
        deviations.append(_deviate(p, is_drawn, offer=offer, tenth=None))
        order = np.argsort(p, kind="stable")
        for tenth, part in enumerate(np.array_split(order, TENTHS)):
            deviations.append(_deviate(p[part], is_drawn[part], offer=offer, tenth=tenth))
    tested = tuple(each for each in deviations if each is not None)
    return PropensityCheck(tested, bound=_bound(len(tested), alpha=alpha))


def _deviate(
    p: FloatArray, is_drawn: BoolArray, *, offer: int, tenth: int | None
) -> Deviation | None:
    expected, missed = float(p.sum()), float((1.0 - p).sum())
    drawn = int(is_drawn.sum())
    if (is_drawn & (p == 0.0)).any():
        # What could not be drawn was.
        return Deviation(offer, tenth, len(p), expected, drawn, z=np.inf)
    if min(expected, missed) < LEAST_EXPECTED:
        return None
    z = (drawn - expected) / float(np.sqrt((p * (1.0 - p)).sum()))
    return Deviation(offer, tenth, len(p), expected, drawn, z)


def _bound(n: int, *, alpha: float) -> float:
    return float(-ndtri(alpha / (2.0 * max(n, 1))))
