"""Answers a document of numbers with our estimates, as plain JSON values."""

import math
from dataclasses import asdict, replace
from typing import Any, Literal

from msgspec import UNSET, UnsetType
from scipy.stats import norm, t

from experiments.looks import z_of
from experiments.stats.confidence_sequence import ConfidenceSequence
from experiments.stats.estimate import Estimate, Inconclusive, Interval
from experiments.stats.lift import compare_means, welch_df
from experiments.stats.moments import Moments
from experiments.stats.proportions import compare_proportions
from experiments.stats.sequential import (
    SPENDING,
    Boundary,
    Side,
    find_boundaries,
    repeated_interval,
)
from experiments.stats_document import Comparison, Counts, Document, Sequential, SpendingSide

POOLED = "Boundary on the pooled z; interval from the pooled standard error of the z-test"
WELCH = (
    "Boundary on the normal deviate of Welch's p-value; interval from Welch's standard error and "
    "the t value with the boundary's tail"
)
SEQUENCE = (
    "Asymptotic confidence sequence from the standard error of the two sample variances, "
    "arms not pooled"
)

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
    result = _compare(arms, confidence=confidence)
    answered: dict[str, Any] = {} if comparison.label is UNSET else {"label": comparison.label}
    answered["result"] = result.to_json()
    if comparison.sequential is not UNSET:
        answered["sequential"] = (
            result.to_json()
            if isinstance(result, Inconclusive)
            else _monitor(arms, result, comparison.sequential)
        )
    return answered


def _compare(arms: Arms, *, confidence: float) -> Estimate | Inconclusive:
    control, treatment = arms
    if isinstance(control, Counts) and isinstance(treatment, Counts):
        return compare_proportions(
            x_c=control.converted,
            n_c=control.customers,
            x_t=treatment.converted,
            n_t=treatment.customers,
            confidence=confidence,
        )
    assert isinstance(control, Moments)
    assert isinstance(treatment, Moments)
    return compare_means(control, treatment, confidence=confidence)


def _monitor(arms: Arms, estimate: Estimate, plan: Sequential) -> dict[str, Any]:
    if plan.tuned_to is not UNSET:
        sequence = ConfidenceSequence(1 - estimate.confidence, plan.tuned_to)
        return _follow(arms, estimate, sequence)
    assert plan.fractions is not UNSET
    # As in our reports: the error is shared by both directions, harm noticed early.
    alpha = (1 - estimate.confidence) / 2
    boundary = find_boundaries(
        plan.fractions,
        upper=_side(plan.upper, otherwise=SpendingSide(alpha, "obrien_fleming")),
        lower=_side(plan.lower, otherwise=SpendingSide(alpha, "pocock")),
        is_final=plan.is_final is True,
    )[-1]
    return _look(arms, estimate, boundary, number=len(plan.fractions))


def _look(arms: Arms, estimate: Estimate, boundary: Boundary, *, number: int) -> dict[str, Any]:
    """Judge an estimate at a look, by the boundary there."""
    control, treatment = arms
    if isinstance(control, Counts) and isinstance(treatment, Counts):
        method, reached = POOLED, boundary
        standard_error = _pooled_error(control, treatment)
    else:
        method, reached = WELCH, _to_student(boundary, df=_welch_df(arms))
        standard_error = math.sqrt(sum(_squared_errors(arms)))
    low, high = repeated_interval(estimate.difference, standard_error, reached)
    z = z_of(estimate)
    crossed = "none"
    if z >= boundary.upper:
        crossed = "benefit"
    elif z <= boundary.lower:
        crossed = "harm"
    return {
        "kind": "boundary",
        "look": number,
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


def _follow(arms: Arms, estimate: Estimate, sequence: ConfidenceSequence) -> dict[str, Any]:
    """Judge an estimate by a confidence sequence, at any time."""
    standard_error = math.sqrt(sum(_squared_errors(arms)))
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
        "method": SEQUENCE,
    }


def _side(given: SpendingSide | UnsetType, *, otherwise: SpendingSide) -> Side:
    chosen = otherwise if given is UNSET else given
    return Side(chosen.alpha, SPENDING[chosen.spending])


def _pooled_error(control: Counts, treatment: Counts) -> float:
    """Return the standard error of the difference if both shares are the same."""
    n_c, n_t = control.customers, treatment.customers
    share = (control.converted + treatment.converted) / (n_c + n_t)
    return math.sqrt(share * (1 - share) * (1 / n_c + 1 / n_t))


def _squared_errors(arms: Arms) -> tuple[float, float]:
    """Return the squared standard errors of the control's and the treatment's mean."""
    control, treatment = (_variance_and_size(arm) for arm in arms)
    return control[0] / control[1], treatment[0] / treatment[1]


def _variance_and_size(arm: Counts | Moments) -> tuple[float, int]:
    if isinstance(arm, Moments):
        return arm.covariance[0][0], arm.n
    n, x = arm.customers, arm.converted
    return x * (n - x) / n / (n - 1), n


def _welch_df(arms: Arms) -> float:
    """Return the degrees of freedom that `compare_means` uses."""
    (_, n_c), (_, n_t) = (_variance_and_size(arm) for arm in arms)
    e_c, e_t = _squared_errors(arms)
    return welch_df(e_c, e_t, n_control=n_c, n_treatment=n_t)


def _to_student(boundary: Boundary, *, df: float) -> Boundary:
    """Replace each normal quantile by Student's with the same tail.

    So a small experiment's interval leaves out zero exactly where its p-value crosses.
    """
    return replace(
        boundary,
        upper=float(t.isf(norm.sf(boundary.upper), df)),
        lower=float(t.ppf(norm.cdf(boundary.lower), df)),
    )


def _side_of_zero(interval: Interval) -> Literal["benefit", "harm", "none"]:
    if 0 in interval:
        return "none"
    return "benefit" if interval.low > 0 else "harm"


def _finite(value: float) -> float | None:
    """Write a boundary that nothing can cross yet, or an open end, as null."""
    return value if math.isfinite(value) else None
