"""Shares of two arms: textbook formulas, scipy, statsmodels, and small cases by hand."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep

from experiments.stats.estimate import Estimate, Inconclusive
from experiments.stats.moments import Moments
from experiments.stats.proportions import compare_proportions, compare_shares

FloatArray = NDArray[np.float64]

counts = st.integers(20, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def are_enough(pair: tuple[tuple[int, int], tuple[int, int]]) -> bool:
    """Whether both arms expect ten with and ten without, at the share of both together."""
    (x_c, n_c), (x_t, n_t) = pair
    everyone, least = n_c + n_t, min(n_c, n_t)
    return least * min(x_c + x_t, everyone - x_c - x_t) >= 10 * everyone


two_counts = st.tuples(counts, counts).filter(are_enough)
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
def test_lift_is_katzs_interval_where_ten_have_converted(pair: Counts, confidence: float) -> None:
    (x_c, n_c), (x_t, n_t) = pair
    assume(min(x_c, x_t) >= 10)
    ours = estimate(pair, confidence)
    z = stats.norm.isf((1 - confidence) / 2)
    error = math.sqrt(1 / x_t - 1 / n_t + 1 / x_c - 1 / n_c)
    ratio = (x_t / n_t) / (x_c / n_c)
    assert ours.relative == pytest.approx(ratio - 1, abs=1e-12)
    assert ours.relative_interval is not None
    assert ours.relative_interval.low == pytest.approx(ratio * math.exp(-z * error) - 1, abs=1e-9)
    assert ours.relative_interval.high == pytest.approx(ratio * math.exp(z * error) - 1)
    assert ours.relative_interval.low >= -1


@given(st.integers(1, 9), st.integers(0, 60), st.sampled_from([(10**6, 10**6), (10**6, 10**5)]))
def test_lift_of_rarer_shares_is_koopmans_interval(
    x_c: int, x_t: int, sizes: tuple[int, int]
) -> None:
    # Koopman (1984), in statsmodels: the two agree as the shares go to zero.
    n_c, n_t = sizes
    pair = ((x_c, n_c), (x_t, n_t))
    assume(are_enough(pair))
    ours = estimate(pair).relative_interval
    low, high = confint_proportions_2indep(x_t, n_t, x_c, n_c, method="score", compare="ratio")
    assert ours is not None
    assert (1 + ours.low, 1 + ours.high) == pytest.approx((low, high), rel=1e-3, abs=1e-9)


@given(st.integers(1, 9), st.integers(0, 60))
def test_lift_of_rarer_shares_agrees_with_the_test(x_c: int, x_t: int) -> None:
    pair = ((x_c, 10**7), (x_t, 10**7))
    assume(are_enough(pair))
    ours = estimate(pair)
    assert ours.relative_interval is not None
    if abs(ours.p_value - 0.05) > 1e-6:
        assert (0 in ours.relative_interval) == (ours.p_value > 0.05)


def test_a_control_without_conversions_has_a_difference_but_no_lift() -> None:
    ours = estimate(((0, 5000), (40, 5000)))
    assert ours.p_value < 1e-9
    assert ours.relative is None
    assert "control" in ours.no_lift


def test_a_treatment_without_conversions_has_a_lift_with_an_upper_end() -> None:
    # Nobody of 5000: the ratio r at which (40 - 0) / sqrt(r (40 + 0)) reaches the quantile.
    ours = estimate(((40, 5000), (0, 5000)))
    assert ours.relative == -1
    assert ours.relative_interval is not None
    assert ours.relative_interval.low == -1
    assert 1 + ours.relative_interval.high == pytest.approx(1.96**2 / 40, rel=0.01)


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


many_booleans = st.lists(st.booleans(), min_size=20, max_size=60)


@given(many_booleans, many_booleans)
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
        (((19, 5000), (0, 5000)), "Too few customers have converted"),
        (((10, 2000), (20, 4000)), None),
        (((10, 2000), (20, 4001)), "Too few customers have converted"),
        (((9, 1000), (900, 100_000)), "Too few customers have converted"),
        (((5000, 5000), (4981, 5000)), "Nearly every customer has converted"),
        (((990, 1000), (990, 1000)), None),
        (((0, 9), (0, 9)), "No customer in either arm has converted"),
        (((9, 9), (8, 8)), "Every customer in both arms has converted"),
    ],
)
def test_what_is_too_little_says_why(counts: Counts, reason: str | None) -> None:
    (x_c, n_c), (x_t, n_t) = counts
    result = compare_proportions(x_c=x_c, n_c=n_c, x_t=x_t, n_t=n_t)
    assert isinstance(result, Inconclusive) == (reason is not None)
    if reason is not None:
        assert reason in getattr(result, "reason", "")


@pytest.mark.parametrize("counts", [((3, 2), (1, 2)), ((1, 2), (-1, 2))])
def test_impossible_counts_are_refused(counts: Counts) -> None:
    (x_c, n_c), (x_t, n_t) = counts
    with pytest.raises(ValueError, match="0 <= x <= n"):
        compare_proportions(x_c=x_c, n_c=n_c, x_t=x_t, n_t=n_t)


def test_no_arm_at_all_is_inconclusive_in_moments_too() -> None:
    nobody, one = Moments.of(np.empty((0, 1))), Moments.of(np.ones((1, 1)))
    assert isinstance(compare_shares(nobody, one), Inconclusive)


def draw_share(seed: int, n: int, *, shift: float = 0.0, share: float = 0.1) -> FloatArray:
    """Draw who did it, and what was known before: the higher, the likelier."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n) + shift
    return np.column_stack([x + 0.3 * rng.normal(size=n) > stats.norm.isf(share), x])


def test_covariates_sharpen_a_share() -> None:
    arms = [Moments.of(draw_share(seed, 2000, share=0.4)) for seed in (1, 2)]
    plain, sharp = (compare_shares(*pair) for pair in ([arm.select(0) for arm in arms], arms))
    assert isinstance(plain, Estimate)
    assert isinstance(sharp, Estimate)
    widths = [e.difference_interval.high - e.difference_interval.low for e in (sharp, plain)]
    # The correlation of x with who did it: phi(z) / sqrt(p (1 - p)), as x is nearly all there is.
    r = stats.norm.pdf(stats.norm.isf(0.4)) / math.sqrt(0.24) / math.hypot(1, 0.3)
    assert (widths[0] / widths[1]) ** 2 == pytest.approx(1 - r**2, abs=0.03)
    assert "Regression adjustment by 1 covariate" in sharp.method
    assert "Newcombe" in sharp.method


def test_a_covariate_that_says_nothing_changes_next_to_nothing() -> None:
    rng = np.random.default_rng(3)
    arms = [
        Moments.of(np.column_stack([rng.random(4000) < 0.01, rng.normal(size=4000)]))
        for _ in range(2)
    ]
    plain, useless = (compare_shares(*pair) for pair in ([arm.select(0) for arm in arms], arms))
    assert isinstance(plain, Estimate)
    assert isinstance(useless, Estimate)
    for name in ("control_interval", "difference_interval", "relative_interval"):
        assert getattr(useless, name).high == pytest.approx(getattr(plain, name).high, rel=0.05)


def test_a_share_that_adjustment_drives_out_of_range_is_compared_as_measured() -> None:
    # The treatment's customers were three deviations lower to begin with.
    rows = draw_share(4, 400), draw_share(5, 400, shift=-3.0, share=0.0005)
    arms = [Moments.of(arm) for arm in rows]
    result, plain = compare_shares(*arms), compare_shares(*(arm.select(0) for arm in arms))
    assert isinstance(result, Estimate)
    assert isinstance(plain, Estimate)
    assert result.difference == plain.difference
    assert (
        result.method
        == f"{plain.method}; not adjusted, as an adjusted share would leave the range from 0 to 1"
    )
