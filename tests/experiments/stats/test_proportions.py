"""Shares of two arms: textbook formulas, scipy, and small cases by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.stats.estimate import Estimate, Inconclusive
from experiments.stats.moments import Moments
from experiments.stats.proportions import compare_proportions, compare_shares

counts = st.integers(2, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
two_counts = st.tuples(counts, counts).filter(
    lambda pair: 0 < pair[0][0] + pair[1][0] < pair[0][1] + pair[1][1]
)
Counts = tuple[tuple[int, int], tuple[int, int]]


def estimate(pair: Counts, confidence: float = 0.95) -> Estimate:
    (x_c, n_c), (x_t, n_t) = pair
    result = compare_proportions(x_c=x_c, n_c=n_c, x_t=x_t, n_t=n_t, confidence=confidence)
    assert isinstance(result, Estimate)
    return result


def wilson(x: int, n: int, z: float) -> tuple[float, float]:
    """Wilson 1927, as in textbooks."""
    p = x / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    width = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return middle - width, middle + width


@given(two_counts)
def test_test_is_pearsons_chi_square(pair: Counts) -> None:
    # For two arms the squared pooled z is Pearson's statistic on the 2 x 2 table.
    (x_c, n_c), (x_t, n_t) = pair
    oracle = stats.chi2_contingency([[x_c, n_c - x_c], [x_t, n_t - x_t]], correction=False)
    ours = estimate(pair)
    assert ours.p_value == pytest.approx(oracle.pvalue, rel=1e-6)
    assert ours.ln_p_value == pytest.approx(
        math.log(2) + stats.norm.logsf(math.sqrt(oracle.statistic)), rel=1e-6, abs=1e-6
    )


@given(two_counts, st.floats(0.5, 0.999))
def test_intervals_are_wilsons_and_newcombes(pair: Counts, confidence: float) -> None:
    (x_c, n_c), (x_t, n_t) = pair
    ours = estimate(pair, confidence)
    z = stats.norm.isf((1 - confidence) / 2)
    low_c, high_c = wilson(x_c, n_c, z)
    low_t, high_t = wilson(x_t, n_t, z)
    p_c, p_t = x_c / n_c, x_t / n_t
    low = p_t - p_c - math.hypot(p_t - low_t, high_c - p_c)
    high = p_t - p_c + math.hypot(p_c - low_c, high_t - p_t)
    assert (ours.control_interval.low, ours.control_interval.high) == pytest.approx(
        (low_c, high_c), abs=1e-12
    )
    assert (ours.treatment_interval.low, ours.treatment_interval.high) == pytest.approx(
        (low_t, high_t), abs=1e-12
    )
    assert (ours.difference_interval.low, ours.difference_interval.high) == pytest.approx(
        (low, high), abs=1e-12
    )


@given(two_counts, st.floats(0.5, 0.999))
def test_lift_is_katzs_interval_or_unknown(pair: Counts, confidence: float) -> None:
    (x_c, n_c), (x_t, n_t) = pair
    ours = estimate(pair, confidence)
    if x_c == 0 or x_t == 0:
        assert ours.relative is None
        assert ours.relative_interval is None
        return
    z = stats.norm.isf((1 - confidence) / 2)
    error = math.sqrt(1 / x_t - 1 / n_t + 1 / x_c - 1 / n_c)
    ratio = (x_t / n_t) / (x_c / n_c)
    assert ours.relative == pytest.approx(ratio - 1, abs=1e-12)
    assert ours.relative_interval is not None
    assert ours.relative_interval.low == pytest.approx(ratio * math.exp(-z * error) - 1, abs=1e-9)
    assert ours.relative_interval.high == pytest.approx(ratio * math.exp(z * error) - 1)
    assert ours.relative_interval.low >= -1


@given(two_counts)
def test_swapping_the_arms_mirrors_the_difference(pair: Counts) -> None:
    there, back = estimate(pair), estimate((pair[1], pair[0]))
    assert there.difference == -back.difference
    assert there.difference_interval.low == pytest.approx(-back.difference_interval.high)
    assert there.ln_p_value == pytest.approx(back.ln_p_value)


def test_strong_evidence_keeps_its_logarithm() -> None:
    ours = estimate(((100_000, 1_000_000), (200_000, 1_000_000)))
    assert ours.p_value == 0
    z = 0.1 / math.sqrt(0.15 * 0.85 * 2e-6)
    assert ours.ln_p_value == pytest.approx(math.log(2) + stats.norm.logsf(z), rel=1e-12)


@given(st.lists(st.booleans(), min_size=2), st.lists(st.booleans(), min_size=2))
def test_moments_of_zeros_and_ones_are_counts(control: list[bool], treatment: list[bool]) -> None:
    c, t = (np.array(arm, dtype=float).reshape(-1, 1) for arm in (control, treatment))
    assert compare_shares(Moments.of(c), Moments.of(t)) == compare_proportions(
        x_c=sum(control), n_c=len(control), x_t=sum(treatment), n_t=len(treatment)
    )


@pytest.mark.parametrize(
    "rows",
    [[0.0, 0.5], [2.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0]],
    ids=["no whole count", "counts twice", "negative"],
)
def test_moments_of_anything_else_are_refused(rows: list[float]) -> None:
    other = Moments.of(np.array(rows).reshape(-1, 1))
    share = Moments.of(np.array([[0.0], [1.0]]))
    with pytest.raises(ValueError, match="zeros and ones"):
        compare_shares(share, other)


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        (((0, 0), (1, 2)), "No customers have been counted in the control"),
        (((1, 2), (0, 0)), "No customers have been counted in the treatment"),
        (((1, 1), (1, 2)), "Only one customer has been counted in the control"),
        (((0, 9), (0, 9)), "No customer in either arm has converted"),
        (((9, 9), (8, 8)), "Every customer in both arms has converted"),
    ],
)
def test_what_cannot_be_estimated_says_why(counts: Counts, reason: str) -> None:
    (x_c, n_c), (x_t, n_t) = counts
    result = compare_proportions(x_c=x_c, n_c=n_c, x_t=x_t, n_t=n_t)
    assert isinstance(result, Inconclusive)
    assert reason in result.reason


@pytest.mark.parametrize("counts", [((3, 2), (1, 2)), ((1, 2), (-1, 2))])
def test_impossible_counts_are_refused(counts: Counts) -> None:
    (x_c, n_c), (x_t, n_t) = counts
    with pytest.raises(ValueError, match="0 <= x <= n"):
        compare_proportions(x_c=x_c, n_c=n_c, x_t=x_t, n_t=n_t)


def test_no_arm_at_all_is_inconclusive_in_moments_too() -> None:
    nobody, one = Moments.of(np.empty((0, 1))), Moments.of(np.ones((1, 1)))
    assert isinstance(compare_shares(nobody, one), Inconclusive)
