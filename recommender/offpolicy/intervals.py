"""Put intervals around a policy's value that do not trust in normality.

Like the estimate's own, they are those of the unbiased estimate, stretched to hold this one.
"""

from dataclasses import dataclass

import numpy as np

from recommender.offpolicy.values import PolicyValue, require_confidence

RESAMPLES = 2_000


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a policy's value lies, with a confidence."""

    low: float
    high: float


def bootstrap_interval(
    value: PolicyValue, *, seed: int, confidence: float = 0.95, resamples: int = RESAMPLES
) -> Interval:
    """Draw the log's rows again and again, and take the estimates' percentiles (Efron 1979).

    It follows skewed rewards, such as rare clicks with large weights, where a normal interval would
    reach below 0.

    Args:
        value: A policy's value with the scores of its rows.
        seed: Decides the draws.
        confidence: Coverage of the interval.
        resamples: How often the log is drawn.

    Raises:
        ValueError: The confidence is no probability.
    """
    require_confidence(confidence)
    scores, rng, n = value.scores, np.random.default_rng(seed), value.support.n
    rows = np.column_stack([scores.base, scores.whole, scores.weights])  # (n, 3)
    estimates = np.empty(resamples)
    for i in range(resamples):
        counts = np.bincount(rng.integers(n, size=n), minlength=n)
        base, whole, weight = counts @ rows / n  # (n,) @ (n, 3) -> (3,)
        estimates[i] = base + whole / (weight if scores.is_self_normalised else 1.0)
    low, high = np.quantile(estimates, [0.5 - confidence / 2, 0.5 + confidence / 2]).tolist()
    return Interval(min(low, value.estimate), max(high, value.estimate))


def bernstein_interval(value: PolicyValue, *, span: float, confidence: float = 0.95) -> Interval:
    """Bound the value for any number of rows (Maurer & Pontil 2009, theorem 4, both sides).

    With V the scores' variance, the mean of n independent scores is off by more than
    √(2 V ln(4/δ) / n) + 7 span ln(4/δ) / (3 (n - 1)) with a probability of δ at most.

    Args:
        value: A policy's value with the scores of its rows.
        span: The difference between the greatest and the least score that are possible. For IPS
            and rewards in [0, 1] it is 1 over the least logged propensity; with a reward model in
            the same range, a bit more than twice that.
        confidence: 1 - δ.

    Raises:
        ValueError: The confidence is no probability, scores spread wider than the span, or the
            estimate is a ratio, for which the bound does not hold.
    """
    require_confidence(confidence)
    scores, n = value.scores, value.support.n
    if scores.is_self_normalised:
        raise ValueError("A self-normalised estimate is no mean, so that this bound is not its.")
    rows = scores.base + scores.whole
    if np.ptp(rows) > span:
        raise ValueError(f"These scores spread over {np.ptp(rows):g}, more than {span:g}.")
    log_term = float(np.log(4.0 / (1.0 - confidence)))
    margin = float(
        np.sqrt(2.0 * rows.var(ddof=1) * log_term / n) + 7.0 * span * log_term / (3.0 * (n - 1))
    )
    unbiased, estimate = scores.unbiased, value.estimate
    return Interval(min(unbiased - margin, estimate), max(unbiased + margin, estimate))
