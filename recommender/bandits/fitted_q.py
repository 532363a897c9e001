"""Learn what each offer is worth with all that follows, from logged decisions (fitted Q iteration).

With g(t) = exp(-t / ahead_days) for t days, offer k given to a customer x is worth

    Q(x, k) = xᵀθ_k = E[r + g(t) Σ_j π(j | x') Q(x', j)],

where x' is the customer at the next decision and π is the softmax of Q that is going to decide: so
it is the policy's own worth that is learned, and not that of always taking the maximum, which is
too high wherever Q is noisy (Ernst, Geurts & Wehenkel 2005; van Seijen et al. 2009).

What was seldom tried must not look good by luck. Conservative Q learning (Kumar et al. 2020, eq. 4)
adds to half the squared error

    c Σ [log Σ_j exp Q(x, j) - Q(x, k)],

which lowers offers that Q likes and the log seldom has. With c = caution / √n for each of n
decisions the penalty of an offer is about `caution` standard errors of what is known of it, and
passes as they do. Rewards are taken in their standard deviations, so that all this means the same
for rates and for money.

All offers share a ridge as in `thompson.py`: θ_k is pulled to a common θ₀. The squares have one
Hessian throughout, and the penalty's is at most half the identity of offers by that of customers
(Böhning 1992). So each iteration moves the targets, takes one step that surely lowers the error,
and inverts nothing anew.
"""

import logging
from dataclasses import dataclass

import numpy as np

from recommender.arrays import BoolArray, FloatArray
from recommender.bandits.base import Steps
from recommender.weighing.choice_rules import softmax_probabilities

logger = logging.getLogger(__name__)

MOST_ITERATIONS = 400
# How much an offer's worth against the others may still move, in standard deviations of a reward.
SETTLED = 1e-5
COMMON_PRIOR = 0.01  # of the pull towards θ₀, as in `thompson.py`


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """How to learn.

    Attributes:
        prior: How many decisions the pull of each offer towards what they share is worth.
        ahead_days: As above.
        caution: As above; 0 is none.
        temperature: Of the policy that is going to decide, in standard deviations of a reward.
    """

    prior: float
    ahead_days: float
    caution: float
    temperature: float


@dataclass(frozen=True, slots=True, eq=False)
class Worth:
    """What offers are worth.

    Attributes:
        coefficients: θ, shape (K, d), in units of reward.
        scale: The standard deviation of a reward.
        is_settled: Whether iterating longer would change nothing to speak of.
    """

    coefficients: FloatArray
    scale: float
    is_settled: bool


def scale_of(steps: Steps) -> float:
    """Return the standard deviation of a reward, or 1 where all are alike."""
    mean = np.average(steps.reward, weights=steps.weight)
    variance = float(np.average((steps.reward - mean) ** 2, weights=steps.weight))
    return variance**0.5 or 1.0


def fit_worth(steps: Steps, fitting: Fitting) -> Worth:
    """Learn from at least one decision what every offer is worth, with what follows.

    The same steps in the same order give the same bits on the same machine.
    """
    scale = scale_of(steps)
    problem = _Problem(steps, fitting, scale=scale)
    theta = np.zeros((steps.eligible.shape[1] + 1, steps.x.shape[1]))
    for iteration in range(MOST_ITERATIONS):
        before = theta
        theta = problem.step(theta, problem.targets(theta))
        moved = theta[:-1] - before[:-1]
        # What all offers have in common decides nothing, and takes longest to settle.
        if np.abs(moved - moved.mean(axis=0)).max() <= SETTLED and iteration:
            return Worth(scale * theta[:-1], scale, is_settled=True)
    logger.warning("Fitted Q iteration has not settled after %d iterations.", MOST_ITERATIONS)
    return Worth(scale * theta[:-1], scale, is_settled=False)


class _Problem:
    """One log, laid out for stepping; θ is stacked on θ₀, (K + 1, d)."""

    def __init__(self, steps: Steps, fitting: Fitting, *, scale: float) -> None:
        self._x, self._next_x = steps.x, steps.next_x
        self._eligible = steps.eligible
        self._shown: FloatArray = np.zeros(steps.eligible.shape)
        self._shown[np.arange(len(steps.reward)), steps.offer_index] = 1.0
        self._weight, self._reward = steps.weight, steps.reward / scale
        goes_on: BoolArray = np.asarray(steps.next_eligible.any(axis=1))
        # Where nothing followed the row is multiplied by 0; some offer has to be named.
        self._next_eligible: BoolArray = steps.next_eligible | ~goes_on[:, None]
        self._fade = np.exp(-steps.days / fitting.ahead_days) * goes_on
        self._fitting = fitting
        total = float(steps.weight.sum())
        self._penalty = fitting.caution / np.sqrt(total)
        # No policy earns more than the best reward at each step, for ever.
        shortest = 1.0 - float(np.average(self._fade, weights=steps.weight))
        low, high = min(self._reward.min(), 0.0), max(self._reward.max(), 0.0)
        self._low, self._high = low / max(shortest, 1e-3), high / max(shortest, 1e-3)
        self._solve = self._prepare()

    def _prepare(self) -> FloatArray:
        """Invert a bound on each offer's block of the Hessian, (K, d, d)."""
        pull = self._fitting.prior * np.eye(self._x.shape[1])
        weighed = self._x * self._weight[:, None]
        everything = self._x.T @ weighed  # (d, n) @ (n, d) -> (d, d)
        cautious = 0.5 * self._penalty * everything
        blocks = []
        for k in range(self._shown.shape[1]):
            rows = self._shown[:, k] > 0
            blocks.append(self._x[rows].T @ weighed[rows] + cautious + pull)
        inverse: FloatArray = np.linalg.inv(np.stack(blocks))
        return inverse

    def targets(self, theta: FloatArray) -> FloatArray:
        """Return what each decision came to, with what is expected to follow, (n,)."""
        q = self._next_x @ theta[:-1].T  # (n, d) @ (d, K) -> (n, K)
        p = softmax_probabilities(q, self._next_eligible, temperature=self._fitting.temperature)
        value = (p * np.where(self._next_eligible, q, 0.0)).sum(axis=1)  # (n,)
        come: FloatArray = self._reward + self._fade * np.clip(value, self._low, self._high)
        return come

    def step(self, theta: FloatArray, targets: FloatArray) -> FloatArray:
        """Move each offer's coefficients to lower the error, then what they share."""
        own, common = theta[:-1], theta[-1]
        q = self._x @ own.T  # (n, K)
        error = (q - targets[:, None]) * self._shown
        p = softmax_probabilities(q, self._eligible, temperature=1.0)
        pushed = error + self._penalty * (p - self._shown)
        prior = self._fitting.prior
        slope = (pushed * self._weight[:, None]).T @ self._x + prior * (own - common)  # (K, d)
        own = own - np.einsum("kde,ke->kd", self._solve, slope)
        # Given the offers, what they share is best at their mean, pulled a little to 0.
        common = own.sum(axis=0) / (len(own) + COMMON_PRIOR)
        return np.concatenate([own, common[None]])
