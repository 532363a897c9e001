"""Estimate what other ways of drawing slates would have earned, from the slates of a log."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recommender.arrays import FloatArray, IntArray
from recommender.offpolicy.counterfactuals import Log, check_log
from recommender.offpolicy.slates import Dependence, slate_ips
from recommender.offpolicy.values import PolicyValue, Withheld

# Of the hash that draws: nothing that can be drawn is rarer than one in so many.
BUCKETS = 10_000
AS_DRAWN = "As it is drawn"
BEST_FIRST = "Best first, without chance"
DEPENDENCES: tuple[Dependence, ...] = ("cascade", "standard")
# Other temperatures, as parts of the present one.
WARMTHS = {"Half the chance": 0.5, "Twice the chance": 2.0}
AT_RANDOM = "The list in any order"


@dataclass(frozen=True, slots=True, eq=False)
class SlateLog:
    """Settled slates of L places each, as arrays.

    Attributes:
        weights: What each place was drawn by, shape (n, L, K): the probabilities of what was left,
            in the order of the log, and 0 in the columns that a place does not need.
        drawn: The column that was drawn, shape (n, L).
        rewards: Of each place, shape (n, L).
    """

    weights: FloatArray
    drawn: IntArray
    rewards: FloatArray

    @property
    def logged(self) -> FloatArray:
        """The probability of each place's product, given those above, shape (n, L)."""
        return self._of_drawn(self.weights)

    def targets(self) -> dict[str, FloatArray]:
        """Return the probability of each place's product by other ways of drawing, by label.

        A softmax at another temperature is a power of the one at hand. The log's weights are whole
        hash buckets, so what was rarer than one in 10,000 counts as that.
        """
        best = np.zeros_like(self.weights)
        np.put_along_axis(best, self.weights.argmax(axis=2)[..., None], 1.0, axis=2)
        warmer = {label: self._power(1 / warmth) for label, warmth in WARMTHS.items()}
        found = {AS_DRAWN: self.weights, BEST_FIRST: best, **warmer, AT_RANDOM: self._power(0.0)}
        return {label: self._of_drawn(weights) for label, weights in found.items()}

    def _power(self, exponent: float) -> FloatArray:
        raised = np.where(self.weights > 0, self.weights**exponent, 0.0)
        share: FloatArray = raised / raised.sum(axis=2, keepdims=True)
        return share

    def _of_drawn(self, weights: FloatArray) -> FloatArray:
        return np.take_along_axis(weights, self.drawn[..., None], axis=2)[..., 0]


def estimate_slates(log: SlateLog) -> list[dict[str, Any]]:
    """Estimate what a slate would earn by each way of drawing, as plain JSON.

    Each is estimated twice: as if a place's reward depended on the slate down to it, and on all of
    it. Nothing is known of a product's chances whatever stands above it, which a third would need.
    """
    return [
        {
            "policy": label,
            **{
                dependence: _to_json(
                    slate_ips(log.rewards, target, log.logged, dependence=dependence)
                )
                for dependence in DEPENDENCES
            },
        }
        for label, target in log.targets().items()
    ]


def _to_json(value: PolicyValue | Withheld) -> Mapping[str, Any]:
    if isinstance(value, Withheld):
        return {"withheld": value.reason}
    return {"estimate": value.estimate, "low": value.low, "high": value.high}


def check_slates(log: SlateLog) -> dict[str, Any]:
    """Test whether first places came as often as their propensities say, as plain JSON."""
    first = log.weights[:, 0]
    names = tuple(f"number {place} of the list" for place in range(1, first.shape[1] + 1))
    plain = Log(
        features=np.zeros((len(first), 0)),
        action=log.drawn[:, 0],
        eligible=first > 0,
        weights=first,
        propensity=log.logged[:, 0],
        reward=log.rewards[:, 0],
        actions=names,
    )
    return check_log(plain, floor=1 / BUCKETS)
