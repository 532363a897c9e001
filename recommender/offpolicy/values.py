"""Turn the scores of logged decisions into a policy's value, unless the log lacks support.

A log row holds a reward r, the propensity p with which the logging policy chose the logged offer,
and the probability q with which the target policy would have. Its weight is w = q / p. Every
estimator here is

    mean(base) + mean(correction),    or    mean(base) + sum(correction) / sum(w)

when it is self-normalised. Its variance is that of its influence over n, and two policies judged
on the same log are compared row by row (`difference`).

What an estimator leaves out of its correction to be steadier biases it, and nothing in its own
spread shows that: intervals around clipped and modelled values are narrow and wrong. With what was
left out added again, the estimate is unbiased. Its interval is the one that is given, stretched to
hold the estimate: no narrower one covers for every reward model (Low 1997).
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtri

from recommender.arrays import FloatArray
from recommender.offpolicy.support import Support, find_objection

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What every row adds to an estimate.

    Attributes:
        base: What needs no weight, shape (n,).
        correction: What is weighted, shape (n,).
        weights: w, shape (n,), or what else the correction is divided by the sum of.
        left_out: The part of the whole correction that was not made, shape (n,).
        is_self_normalised: Whether the correction is divided by the weights' sum, not by n.
    """

    base: FloatArray
    correction: FloatArray
    weights: FloatArray
    left_out: FloatArray
    is_self_normalised: bool = False

    @property
    def scale(self) -> float:
        """What the mean correction is divided by."""
        return float(self.weights.mean()) if self.is_self_normalised else 1.0

    @property
    def estimate(self) -> float:
        """The estimate."""
        return float(self.base.mean() + self.correction.mean() / self.scale)

    @property
    def whole(self) -> FloatArray:
        """The correction as it would be with nothing left out, shape (n,)."""
        return self.correction + self.left_out

    @property
    def unbiased(self) -> float:
        """The estimate with nothing left out."""
        return float(self.base.mean() + self.whole.mean() / self.scale)

    @property
    def influence(self) -> FloatArray:
        """How far each row pulls the unbiased estimate, shape (n,), summing to 0.

        For a ratio, by the delta method.
        """
        pulled = self.whole
        if self.is_self_normalised:
            pulled = pulled - self.weights * (pulled.mean() / self.scale)
        pull: FloatArray = self.base + pulled / self.scale
        return pull - float(pull.mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyValue:
    """What a policy would earn for each decision, with an interval.

    Attributes:
        estimate: Mean reward, in units of reward.
        low: Lower end of the interval.
        high: Upper end of the interval.
        bias: How far the estimate lies above the unbiased one.
        method: The estimator's name.
        confidence: Coverage of the interval, such as 0.95.
        support: How much the log tells of this policy.
        scores: What every row adds.
    """

    estimate: float
    low: float
    high: float
    bias: float
    method: str
    confidence: float
    support: Support
    scores: Scores = field(repr=False, compare=False)


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


def judge(
    scores: Scores,
    *,
    method: str,
    confidence: float,
    least_effective: float,
    importance: FloatArray | None = None,
    least_error: float = 0.0,
) -> PolicyValue | Withheld:
    """Turn scores into a value with a normal interval, if the log supports it.

    Args:
        scores: One for each row.
        method: The estimator's name.
        confidence: Coverage of the interval.
        least_effective: Smallest effective sample size for which an estimate is shown.
        importance: w, shape (n,), where the scores are weighted by something else.
        least_error: A standard error that the rows' own is not to fall below.
    """
    support = Support.of(scores.weights if importance is None else importance)
    objection = find_objection(support, least_effective=least_effective)
    if objection:
        return Withheld(objection)
    margin = max(
        margin_of_mean(scores.influence, confidence=confidence),
        float(ndtri(0.5 + confidence / 2)) * least_error,
    )
    estimate, unbiased = scores.estimate, scores.unbiased
    return PolicyValue(
        estimate=estimate,
        low=min(unbiased - margin, estimate),
        high=max(unbiased + margin, estimate),
        bias=estimate - unbiased,
        method=method,
        confidence=confidence,
        support=support,
        scores=scores,
    )


def difference(
    a: PolicyValue | Withheld, b: PolicyValue | Withheld, *, confidence: float = CONFIDENCE
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
    n, other = a.support.n, b.support.n
    if n != other:
        raise ValueError(f"These logs have {n} and {other} decisions: they are not the same log.")
    estimate = a.estimate - b.estimate
    unbiased = a.scores.unbiased - b.scores.unbiased
    margin = margin_of_mean(a.scores.influence - b.scores.influence, confidence=confidence)
    return ValueDifference(
        estimate=estimate,
        low=min(unbiased - margin, estimate),
        high=max(unbiased + margin, estimate),
        n=n,
        confidence=confidence,
    )


def margin_of_mean(values: FloatArray, *, confidence: float) -> float:
    """Half the normal interval of a mean.

    Raises:
        ValueError: The confidence is no probability.
    """
    require_confidence(confidence)
    return float(ndtri(0.5 + confidence / 2) * values.std(ddof=1) / np.sqrt(len(values)))


def require_confidence(confidence: float) -> None:
    """Refuse what can be no coverage, such as 95.

    Raises:
        ValueError: The confidence does not lie between 0 and 1.
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"Confidence must lie in (0, 1), not {confidence}.")
