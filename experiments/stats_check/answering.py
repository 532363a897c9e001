"""Answers a document of numbers with our estimates, as plain JSON values."""

import math
from dataclasses import asdict, replace
from typing import Any, Literal

from msgspec import UNSET, UnsetType
from scipy.special import ndtr, stdtrit

from experiments.looks import z_of
from experiments.stats.comparisons import Comparisons
from experiments.stats.confidence_sequence import ConfidenceSequence
from experiments.stats.estimate import Estimate, Inconclusive, Interval
from experiments.stats.lift import compare_means
from experiments.stats.many import compare_means_many, compare_shares_many
from experiments.stats.moments import Moments
from experiments.stats.proportions import compare_shares
from experiments.stats.quantile import compare_quantiles
from experiments.stats.ratio import compare_ratios
from experiments.stats.sequential import (
    SPENDING,
    Boundary,
    Side,
    find_boundaries,
    repeated_interval,
)
from experiments.stats_check.document import Comparison, Counts, Document, Sequential, SpendingSide

POOLED = "Boundary on the pooled z; interval from the pooled standard error of the z-test"
STUDENT = (
    "Boundary on the normal deviate of the t-test's p-value; interval from the test's standard "
    "error and the t value with the boundary's tail"
)
READ = "Boundary on the normal deviate of the p-value; standard error read off the interval"
READ_SEQUENCE = "Asymptotic confidence sequence from the standard error read off the interval"
SEQUENCE = (
    "Asymptotic confidence sequence from the standard error of the two sample variances, "
    "arms not pooled"
)

COMPARE = {"mean": compare_means, "share": compare_shares, "ratio": compare_ratios}

Arms = tuple[Counts, Counts] | tuple[Moments, Moments]


class TooExtreme(Exception):
    """Numbers so large or so small that no float holds the answer."""


def answer(document: Document) -> dict[str, Any]:
    """Compare everything in a document.

    Raises:
        TooExtreme: Some answer has no finite number, say a lift of 1e400.
    """
    answers = []
    for index, comparison in enumerate(document.comparisons):
        try:
            answers.append(_answer_one(comparison, confidence=document.confidence))
        except (ValueError, OverflowError) as error:
            # The document was checked, so all that is left is arithmetic.
            raise TooExtreme(
                "These numbers are too large or too small to compare "
                f"- at `$.comparisons[{index}]`."
            ) from error
    return {"confidence": document.confidence, "comparisons": answers}


def _answer_one(comparison: Comparison, *, confidence: float) -> dict[str, Any]:
    arms = comparison.measure()
    answered: dict[str, Any] = {} if comparison.label is UNSET else {"label": comparison.label}
    if comparison.metric is not UNSET or _has_columns(arms):
        return answered | _answer_columns(comparison, confidence=confidence)
    compared = _compare(arms, confidence=confidence)
    result = compared.result()
    answered["result"] = result.to_json()
    if comparison.sequential is not UNSET:
        answered["sequential"] = (
            result.to_json()
            if isinstance(result, Inconclusive)
            else _monitor(arms, compared, result, comparison.sequential)
        )
    return answered


def _has_columns(arms: Arms) -> bool:
    return any(isinstance(arm, Moments) and len(arm.mean) > 1 for arm in arms)


def _answer_columns(comparison: Comparison, *, confidence: float) -> dict[str, Any]:
    """Compare metrics of several columns, and those that covariates adjust."""
    control, treatment = comparison.measure()
    assert isinstance(control, Moments)
    assert isinstance(treatment, Moments)
    if comparison.metric == "quantile":
        assert comparison.thresholds is not UNSET
        assert comparison.level is not UNSET
        result = compare_quantiles(
            control,
            treatment,
            thresholds=comparison.thresholds,
            level=comparison.level,
            confidence=confidence,
        )
    else:
        compare = COMPARE[comparison.metric or "mean"]
        result = compare(control, treatment, confidence=confidence)
    answered = {"result": result.to_json()}
    if comparison.sequential is not UNSET:
        answered["sequential"] = (
            result.to_json()
            if isinstance(result, Inconclusive)
            else _monitor_estimate(result, comparison.sequential)
        )
    return answered


def _monitor_estimate(estimate: Estimate, plan: Sequential) -> dict[str, Any]:
    """Judge an estimate at a look by what it says itself: its p-value and its interval."""
    standard_error = estimate.difference_interval.standard_error(confidence=estimate.confidence)
    if plan.tuned_to is not UNSET:
        sequence = ConfidenceSequence(1 - estimate.confidence, plan.tuned_to)
        return _follow(estimate, sequence, standard_error=standard_error, method=READ_SEQUENCE)
    return _look(estimate, plan, standard_error=standard_error, df=math.inf, method=READ)


def _compare(arms: Arms, *, confidence: float) -> Comparisons:
    control, treatment = arms
    if isinstance(control, Counts) and isinstance(treatment, Counts):
        return compare_shares_many(
            [control.customers, treatment.customers],
            [control.converted, treatment.converted],
            confidence=confidence,
        )
    n, mean, variance = zip(*(_measure(arm) for arm in arms), strict=True)
    return compare_means_many(n, mean, variance, confidence=confidence)


def _monitor(
    arms: Arms, compared: Comparisons, estimate: Estimate, plan: Sequential
) -> dict[str, Any]:
    """Judge an estimate of one column by the test that it comes from."""
    if plan.tuned_to is not UNSET:
        sequence = ConfidenceSequence(1 - estimate.confidence, plan.tuned_to)
        squared = sum(variance / n for n, _, variance in (_measure(arm) for arm in arms))
        return _follow(estimate, sequence, standard_error=math.sqrt(squared), method=SEQUENCE)
    return _look(
        estimate,
        plan,
        standard_error=float(compared.test_error),
        df=float(compared.test_df),
        method=POOLED if compared.is_share else STUDENT,
    )


def _look(
    estimate: Estimate, plan: Sequential, *, standard_error: float, df: float, method: str
) -> dict[str, Any]:
    """Judge an estimate at a look, by the boundary there."""
    assert plan.fractions is not UNSET
    # As in our reports: the error is shared by both directions, harm noticed early.
    alpha = (1 - estimate.confidence) / 2
    boundary = find_boundaries(
        plan.fractions,
        upper=_side(plan.upper, otherwise=SpendingSide(alpha, "obrien_fleming")),
        lower=_side(plan.lower, otherwise=SpendingSide(alpha, "pocock")),
        is_final=plan.is_final is True,
    )[-1]
    reached = boundary if math.isinf(df) else _to_student(boundary, df=df)
    low, high = repeated_interval(estimate.difference, standard_error, reached)
    z = z_of(estimate)
    crossed = "none"
    if z >= boundary.upper:
        crossed = "benefit"
    elif z <= boundary.lower:
        crossed = "harm"
    return {
        "kind": "boundary",
        "look": len(plan.fractions),
        "fraction": boundary.fraction,
        "z": z,
        "upper": _finite(boundary.upper),
        "lower": _finite(boundary.lower),
        "upper_spent": boundary.upper_spent,
        "lower_spent": boundary.lower_spent,
        "standard_error": standard_error,
        "interval": {"low": _finite(low), "high": _finite(high)},
        "crossed": crossed,
        "method": method,
    }


def _follow(
    estimate: Estimate, sequence: ConfidenceSequence, *, standard_error: float, method: str
) -> dict[str, Any]:
    """Judge an estimate by a confidence sequence, at any time."""
    if standard_error == 0:
        return Inconclusive(
            "In each arm either everyone or no one has converted, so there is no standard error "
            "for a confidence sequence."
        ).to_json()
    n = estimate.n_control + estimate.n_treatment
    interval = Interval(*sequence.interval(estimate.difference, standard_error, n=n))
    ln_p_value = sequence.ln_p_value(estimate.difference / standard_error, n=n)
    if ln_p_value == -math.inf:
        raise OverflowError("the square of z is larger than any float")
    return {
        "kind": "confidence_sequence",
        "n": n,
        "tuned_to": sequence.tuned_to,
        "standard_error": standard_error,
        "interval": asdict(interval),
        "ln_p_value": ln_p_value,
        "crossed": _side_of_zero(interval),
        "method": method,
    }


def _side(given: SpendingSide | UnsetType, *, otherwise: SpendingSide) -> Side:
    chosen = otherwise if given is UNSET else given
    return Side(chosen.alpha, SPENDING[chosen.spending])


def _measure(arm: Counts | Moments) -> tuple[int, float, float]:
    """Return how many customers there are, their mean and its sample variance."""
    if isinstance(arm, Moments):
        return arm.n, arm.mean[0], arm.covariance[0][0]
    n, x = arm.customers, arm.converted
    return n, x / n, x * (n - x) / n / (n - 1)


def _to_student(boundary: Boundary, *, df: float) -> Boundary:
    """Replace each normal quantile by Student's with the same tail.

    So a small experiment's interval leaves out zero exactly where its p-value crosses.
    """
    return replace(
        boundary,
        upper=-float(stdtrit(df, float(ndtr(-boundary.upper)))),
        lower=float(stdtrit(df, float(ndtr(boundary.lower)))),
    )


def _side_of_zero(interval: Interval) -> Literal["benefit", "harm", "none"]:
    if 0 in interval:
        return "none"
    return "benefit" if interval.low > 0 else "harm"


def _finite(value: float) -> float | None:
    """Write a boundary that nothing can cross yet, or an open end, as null."""
    return value if math.isfinite(value) else None
