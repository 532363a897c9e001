"""Estimate what customers would bring under another policy, from sequences of logged decisions.

With w_t = Π_{s≤t} target / logged over a customer's decisions up to t, and f_t what a reward counts
that comes so late, per-decision importance sampling (Precup, Sutton & Singh 2000) is

    mean Σ_t f_t w_t r_t,

because what is decided later cannot change what came before. The doubly robust estimate (Jiang & Li
2016, eq. 10, written out) takes from a model what it can say of a decision, q, and of the customer
before it, v:

    mean Σ_t f_t [w_{t-1} v_t + w_t (r_t - q_t)],       w_{-1} = 1.

It is unbiased for any model that has not seen the customer's own sequence, and steadier the better
that is. Customers are independent, so intervals are those of a mean over customers.

Weights are products: they grow with the number of decisions as fast as policies differ, and a log
soon tells nothing of a policy that is unlike its own. The diagnostics that withhold an estimate
look at Σ_t c_t w_t, where c_t is the share of f at t among all customers, and a sequence that is
over keeps its last weight: its mean is 1 for a true log, however long sequences are.
"""

from dataclasses import dataclass

import numpy as np

from recommender.arrays import BoolArray, FloatArray
from recommender.offpolicy.support import LEAST_EFFECTIVE, weigh
from recommender.offpolicy.values import CONFIDENCE, PolicyValue, Scores, Withheld, judge


@dataclass(frozen=True, slots=True, eq=False)
class Sequences:
    """Decisions of n customers, T each at most; every array has the shape (n, T).

    Attributes:
        rewards: What decisions earned, any unit.
        target: The target policy's probability of the logged offer, each in [0, 1].
        logged: The logging policy's propensity, each in (0, 1].
        fade: What a reward counts that comes so late; 1 at first, each in [0, 1].
        exists: Where a decision was made; a sequence that is over does not begin again.
    """

    rewards: FloatArray
    target: FloatArray
    logged: FloatArray
    fade: FloatArray
    exists: BoolArray

    def __post_init__(self) -> None:
        shape = self.rewards.shape
        arrays = (self.rewards, self.target, self.logged, self.fade, self.exists)
        if len(shape) != 2 or any(array.shape != shape for array in arrays):
            raise ValueError(
                f"Expected arrays of one shape (n, T), not {[array.shape for array in arrays]}."
            )
        if (self.exists[:, 1:] & ~self.exists[:, :-1]).any():
            raise ValueError("A sequence that is over does not begin again.")
        if not ((self.fade >= 0.0) & (self.fade <= 1.0)).all():
            raise ValueError("What a late reward counts must lie in [0, 1].")

    def weigh(self, *others: FloatArray) -> FloatArray:
        """Return w_t, (n, T), after checking what comes from the log, and predictions.

        Raises:
            ValueError: A number is not finite, or a probability is out of range.
        """
        # Where nothing was decided, every policy did the same.
        there = self.exists.ravel()
        ratio = weigh(
            np.where(there, self.target.ravel(), 1.0),
            np.where(there, self.logged.ravel(), 1.0),
            np.where(there, self.rewards.ravel(), 0.0),
            *(np.where(there, each.ravel(), 0.0) for each in others),
        )
        return np.asarray(np.cumprod(ratio.reshape(self.exists.shape), axis=1), dtype=np.float64)

    @property
    def counts(self) -> FloatArray:
        """What each decision's reward counts, 0 where there is none, (n, T)."""
        return np.where(self.exists, self.fade, 0.0)

    def importance(self, weights: FloatArray) -> FloatArray:
        """Return one weight for each customer, (n,): the mean of theirs, as late ones count."""
        share = self.counts.sum(axis=0)  # (T,)
        if not share.sum() > 0.0:
            return np.zeros(len(weights))
        mean: FloatArray = weights @ (share / share.sum())
        return mean


def per_decision_ips(
    log: Sequences, *, confidence: float = CONFIDENCE, least_effective: float = LEAST_EFFECTIVE
) -> PolicyValue | Withheld:
    """Weigh each reward by the decisions up to it: unbiased, and noisy.

    Args:
        log: Customers' decisions.
        confidence: Coverage of the interval.
        least_effective: Smallest effective number of customers for which an estimate is shown.

    Raises:
        ValueError: A number is not finite, or a probability is out of range.
    """
    weights = log.weigh()
    rewards = np.where(log.exists, log.rewards, 0.0)
    nothing = np.zeros(len(weights))
    return judge(
        Scores(
            base=nothing,
            correction=(log.counts * weights * rewards).sum(axis=1),
            weights=log.importance(weights),
            left_out=nothing,
        ),
        method="per_decision_ips",
        confidence=confidence,
        least_effective=least_effective,
    )


def sequential_doubly_robust(
    log: Sequences,
    q: FloatArray,
    v: FloatArray,
    *,
    confidence: float = CONFIDENCE,
    least_effective: float = LEAST_EFFECTIVE,
) -> PolicyValue | Withheld:
    """Correct a model of what is to come by its weighted errors.

    Args:
        log: Customers' decisions.
        q: Predicted worth of the logged offer, with what follows under the target, (n, T). It must
            not have seen the customer's own rewards (`crossfit_worth` in sequence_values.py).
        v: The same averaged over the target's choice, (n, T).
        confidence: Coverage of the interval.
        least_effective: Smallest effective number of customers for which an estimate is shown.

    Raises:
        ValueError: Shapes disagree, a number is not finite, or a probability is out of range.
    """
    if q.shape != log.rewards.shape or v.shape != log.rewards.shape:
        raise ValueError(f"Expected predictions of shape {log.rewards.shape}.")
    weights = log.weigh(q, v)
    before = np.concatenate([np.ones((len(weights), 1)), weights[:, :-1]], axis=1)
    error = np.where(log.exists, log.rewards - q, 0.0)
    rows = log.counts * (before * np.where(log.exists, v, 0.0) + weights * error)
    first = np.where(log.exists[:, 0], log.fade[:, 0] * v[:, 0], 0.0)
    return judge(
        Scores(
            base=first,
            correction=rows.sum(axis=1) - first,
            weights=log.importance(weights),
            left_out=np.zeros(len(weights)),
        ),
        method="sequential_doubly_robust",
        confidence=confidence,
        least_effective=least_effective,
    )
