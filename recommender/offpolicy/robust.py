"""Estimate a policy's value by a reward model and its weighted errors, in several mixtures.

With m the predicted reward of the logged offer and v that of the target's choice, all of them are
mean(v) + mean(ŵ (r - m)); they differ in ŵ. The whole weight makes it unbiased, a smaller one
steadier, and none at all trusts the model blindly. What is left out, (w - ŵ)(r - m), has minus the
bias for its mean (Su, Dimakopoulou, Krishnamurthy & Dudík 2020, section 5).

Predictions must not have seen their row's reward (`crossfit_predictions` in reward_model.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from recommender.arrays import FloatArray
from recommender.offpolicy.support import LEAST_EFFECTIVE, weigh
from recommender.offpolicy.values import (
    CONFIDENCE,
    PolicyValue,
    Scores,
    Withheld,
    judge,
    margin_of_mean,
)

# Su, Srinath & Krishnamurthy (2020), "Adaptive estimator selection for off-policy evaluation".
SLOPE = np.sqrt(6.0) - 1.0
# Quantiles of the squared weights among which the shrinkage is chosen; beyond them is no shrinking.
SHRINKAGES = (0.05, 0.25, 0.5, 0.75, 0.9, 0.99)


@dataclass(frozen=True, slots=True, eq=False)
class ModelledLog:
    """A log beside what a reward model says of it; every array has the shape (n,).

    Attributes:
        rewards: Observed rewards, any unit.
        target: The target policy's probability of the logged offer, each in [0, 1].
        logged: The logging policy's propensity, each in (0, 1].
        predicted_logged: m, the predicted reward of the logged offer.
        predicted_target: v, the predicted reward averaged over the target's choice.
        counts: How often each row's error counts (`groups.py`), with a mean of 1; or all alike.
    """

    rewards: FloatArray
    target: FloatArray
    logged: FloatArray
    predicted_logged: FloatArray
    predicted_target: FloatArray
    counts: FloatArray | float = 1.0

    def weigh(self) -> FloatArray:
        """Return w, as often as it counts, shape (n,).

        Raises:
            ValueError: Shapes disagree, a number is not finite, or a probability is out of range.
        """
        weights = weigh(
            self.target, self.logged, self.rewards, self.predicted_logged, self.predicted_target
        )
        return weights * self.counts

    def scores(self, kept: FloatArray, weights: FloatArray) -> Scores:
        """Correct the model by the weights that are kept of all weights, each (n,)."""
        error = self.rewards - self.predicted_logged
        return Scores(
            base=self.predicted_target,
            correction=kept * error,
            weights=weights,
            left_out=(weights - kept) * error,
        )


def direct(
    log: ModelledLog, *, confidence: float = CONFIDENCE, least_effective: float = LEAST_EFFECTIVE
) -> PolicyValue | Withheld:
    """Average what the model predicts: as biased as the model is.

    Errors as in `doubly_robust`.
    """
    weights = log.weigh()
    return judge(
        log.scores(np.zeros_like(weights), weights),
        method="direct",
        confidence=confidence,
        least_effective=least_effective,
    )


def doubly_robust(
    log: ModelledLog, *, confidence: float = CONFIDENCE, least_effective: float = LEAST_EFFECTIVE
) -> PolicyValue | Withheld:
    """Correct the model by its whole weighted errors (Dudík, Langford & Li 2011).

    Right when either the propensities or the model are, and steadier than IPS when both nearly are.

    Args:
        log: Decisions with predictions.
        confidence: Coverage of the interval.
        least_effective: Smallest effective sample size for which an estimate is shown.

    Raises:
        ValueError: Shapes disagree, a number is not finite, or a probability is out of range.
    """
    weights = log.weigh()
    return judge(
        log.scores(weights, weights),
        method="doubly_robust",
        confidence=confidence,
        least_effective=least_effective,
    )


def self_normalised(
    log: ModelledLog, *, confidence: float = CONFIDENCE, least_effective: float = LEAST_EFFECTIVE
) -> PolicyValue | Withheld:
    """Divide the correction by the weights' sum (Thomas & Brunskill 2016, weighted DR).

    Errors as in `doubly_robust`.
    """
    weights = log.weigh()
    whole = log.scores(weights, weights)
    return judge(
        Scores(whole.base, whole.correction, weights, whole.left_out, is_self_normalised=True),
        method="self_normalised",
        confidence=confidence,
        least_effective=least_effective,
    )


def switch(
    log: ModelledLog,
    *,
    threshold: float,
    confidence: float = CONFIDENCE,
    least_effective: float = LEAST_EFFECTIVE,
) -> PolicyValue | Withheld:
    """Trust the model alone where a weight exceeds the threshold (Wang, Agarwal & Dudík 2017).

    Raises:
        ValueError: The threshold is negative, or as in `doubly_robust`.
    """
    if not threshold >= 0.0:
        raise ValueError(f"The threshold must be at least 0, not {threshold}.")
    weights = log.weigh()
    return judge(
        log.scores(np.where(weights <= threshold, weights, 0.0), weights),
        method="switch",
        confidence=confidence,
        least_effective=least_effective,
    )


def shrunk(
    log: ModelledLog,
    *,
    shrinkage: float | None = None,
    confidence: float = CONFIDENCE,
    least_effective: float = LEAST_EFFECTIVE,
) -> PolicyValue | Withheld:
    """Shrink the weights to ŵ = λ w / (w² + λ), optimistically (Su et al. 2020, DRos).

    Args:
        log: Decisions with predictions.
        shrinkage: λ, at least 0; infinite leaves weights as they are. Without it, λ is chosen by
            `choose_steadiest` among quantiles of w².
        confidence: Coverage of the interval.
        least_effective: Smallest effective sample size for which an estimate is shown.

    Raises:
        ValueError: The shrinkage is negative, or as in `doubly_robust`.
    """
    if shrinkage is None:
        candidates = shrinkages_of(log.weigh())
        shrinkage = choose_shrinkage(log, candidates, confidence=confidence)
    return judge(
        _shrink(log, shrinkage),
        method="shrunk",
        confidence=confidence,
        least_effective=least_effective,
    )


def choose_shrinkage(
    log: ModelledLog, candidates: Sequence[float], *, confidence: float = CONFIDENCE
) -> float:
    """Choose λ for `shrunk` among candidates, by `choose_steadiest`."""
    return choose_steadiest(
        lambda shrinkage: _shrink(log, shrinkage), candidates, confidence=confidence
    )


def _shrink(log: ModelledLog, shrinkage: float) -> Scores:
    if not shrinkage >= 0.0:
        raise ValueError(f"The shrinkage must be at least 0, not {shrinkage}.")
    weights = log.weigh()
    if not shrinkage:
        return log.scores(np.zeros_like(weights), weights)
    # Divided by λ, so that an infinite one means what it should.
    return log.scores(weights / (weights * weights / shrinkage + 1.0), weights)


def shrinkages_of(weights: FloatArray) -> tuple[float, ...]:
    """Return the values of λ worth trying for weights, shape (n,), from none to all of them."""
    if not len(weights):
        return (np.inf,)
    return (0.0, *np.quantile(weights * weights, SHRINKAGES).tolist(), np.inf)


def choose_steadiest(
    make: Callable[[float], Scores], candidates: Sequence[float], *, confidence: float
) -> float:
    """Choose the setting with the narrowest interval that still agrees with all the wider ones.

    Estimators are sorted by the width of their intervals, and bias grows as width falls. The last
    one is taken for which, and for all before it, |θ_i - θ_j| ≤ c_i + (√6 - 1) c_j against each
    wider j, c being half widths (Su, Srinath & Krishnamurthy 2020, SLOPE).

    Args:
        make: Scores of the estimator with a setting.
        candidates: Settings, at least one.
        confidence: Coverage of the intervals that are compared.
    """
    tried = []
    for candidate in candidates:
        scores = make(candidate)
        rows = scores.base + scores.correction
        if len(rows) < 2:
            return candidate
        half = margin_of_mean(rows, confidence=confidence)
        tried.append((half, float(rows.mean()), candidate))
    tried.sort(key=lambda each: -each[0])
    for i, (half, estimate, _) in enumerate(tried):
        if any(abs(estimate - wider) > half + SLOPE * c for c, wider, _ in tried[:i]):
            return tried[i - 1][2]
    return tried[-1][2]
