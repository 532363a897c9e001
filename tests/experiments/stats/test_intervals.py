"""The rule for tests, differences and lifts: its equations, and what it keeps of its promises.

For shares all samples that can come are weighed by their probability, so nothing is left to chance;
for means samples are drawn.
"""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from experiments.stats.comparisons import Comparisons, Lift, Reason
from experiments.stats.intervals import judge_means, judge_shares
from experiments.stats.joint import Pair
from experiments.stats.many import compare_means_many, compare_shares_many

FloatArray = NDArray[np.float64]

few = settings(max_examples=50)


@dataclass(frozen=True)
class Misses:
    """How often an interval lies above the truth, or below it, where there is one."""

    above: float
    below: float

    @property
    def coverage(self) -> float:
        return 1 - self.above - self.below


def count_misses(low: FloatArray, high: FloatArray, truth: float, weight: FloatArray) -> Misses:
    known = np.where(np.isnan(low), 0.0, weight)
    # Some intervals have an end at the truth itself, but for rounding.
    margin = 1e-12 * max(abs(truth), 1.0)
    above, below = known @ (low > truth + margin), known @ (high < truth - margin)
    return Misses(above / known.sum(), below / known.sum())


@dataclass(frozen=True)
class Sampled:
    """Comparisons of all samples, with their probabilities, and what is true."""

    compared: Comparisons
    weight: FloatArray
    difference: float
    lift: float

    @property
    def differences(self) -> Misses:
        low, high = self.compared.difference_low, self.compared.difference_high
        return count_misses(low, high, self.difference, self.weight)

    @property
    def lifts(self) -> Misses:
        low, high = self.compared.relative_low, self.compared.relative_high
        return count_misses(low, high, self.lift, self.weight)

    def share_of(self, where: NDArray[np.bool_]) -> float:
        return float(self.weight @ where / self.weight.sum())

    def found(self, direction: int) -> float:
        """How often the test finds an effect in a direction, among the answers."""
        is_known = self.compared.reason == Reason.NONE
        found = is_known & (self.compared.p_value < 0.05)
        found &= np.sign(self.compared.difference) == direction
        return self.share_of(found) / self.share_of(is_known)


def all_shares(n: tuple[int, int], p: tuple[float, float]) -> Sampled:
    """Compare every pair of counts that is not as good as impossible."""
    counts, chances = [], []
    for size, share in zip(n, p, strict=True):
        least, most = (int(stats.binom.ppf(q, size, share)) for q in (1e-9, 1 - 1e-9))
        counts.append(np.arange(least, most + 1))
        chances.append(stats.binom.pmf(counts[-1], size, share))
    x_c, x_t = (grid.ravel() for grid in np.meshgrid(*counts, indexing="ij"))
    weight = np.outer(*chances).ravel()
    sizes = np.broadcast_to(np.array(n)[:, None], (2, len(x_c)))
    compared = compare_shares_many(sizes, np.stack([x_c, x_t]))
    return Sampled(compared, weight, p[1] - p[0], p[1] / p[0] - 1)


SIZES = [(2000, 2000), (18_000, 2000), (2000, 18_000)]


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("lift", [1.0, 1.3, 0.7])
def test_shares_are_covered_on_both_sides_from_ten_conversions(
    n: tuple[int, int], lift: float
) -> None:
    # Ten conversions expected in the smaller arm, or as many as are left of them. Discreteness
    # alone moves a miss by up to a percent.
    sampled = all_shares(n, (0.005 / min(lift, 1), 0.005 * lift / min(lift, 1)))
    for misses in (sampled.differences, sampled.lifts):
        assert 0.935 < misses.coverage < 0.97
        assert min(misses.above, misses.below) > 0.009


@pytest.mark.parametrize("n", [*SIZES, (60, 60)])
def test_the_test_of_shares_keeps_its_size(n: tuple[int, int]) -> None:
    sampled = all_shares(n, (0.005, 0.005) if n[0] > 60 else (0.5, 0.5))
    assert 0.035 < sampled.found(1) + sampled.found(-1) < 0.06
    assert min(sampled.found(1), sampled.found(-1)) > 0.009


def test_answers_only_for_lucky_counts_would_not_cover() -> None:
    # Why what is expected decides, and not what each arm happened to have.
    sampled = all_shares((2000, 2000), (0.005, 0.005))
    x = sampled.compared.means * 2000
    lucky = np.where((x >= 9.5).all(axis=0), sampled.weight, 0.0)
    low, high = sampled.compared.difference_low, sampled.compared.difference_high
    assert count_misses(low, high, 0.0, lucky).coverage > 0.998
    assert sampled.differences.coverage < 0.96


def test_a_share_is_answered_when_ten_conversions_are_expected() -> None:
    sampled = all_shares((2000, 2000), (0.0075, 0.0075))
    assert sampled.share_of(sampled.compared.reason == Reason.NONE) > 0.97
    # Three in each arm are as good as never enough.
    rare = all_shares((2000, 2000), (0.0015, 0.0015))
    assert rare.share_of(rare.compared.reason == Reason.FEW_CONVERTED) > 0.99


RUNS = 20_000
TOLERANCE = 3 * math.sqrt(0.025 * 0.975 / RUNS)


def draw_spend(
    rng: np.random.Generator, n: int, buyers: float, *, sigma: float, times: float = 1.0
) -> tuple[FloatArray, FloatArray]:
    """Draw the mean and variance of what n customers spend, of whom few buy, RUNS times."""
    bought = rng.binomial(n, buyers / n, RUNS)
    amounts = times * np.exp(sigma * rng.normal(size=bought.sum()) - sigma**2 / 2)
    which = np.repeat(np.arange(RUNS), bought)
    mean = np.bincount(which, amounts, RUNS) / n
    variance = (np.bincount(which, amounts**2, RUNS) - n * mean**2) / (n - 1)
    return mean, variance


def sample_spend(
    n: tuple[int, int], buyers: tuple[float, float], *, sigma: float, times: float = 1.0
) -> Sampled:
    rng = np.random.default_rng(20260706)
    control = draw_spend(rng, n[0], buyers[0], sigma=sigma)
    treatment = draw_spend(rng, n[1], buyers[1], sigma=sigma, times=times)
    sizes = np.broadcast_to(np.array(n)[:, None], (2, RUNS))
    compared = compare_means_many(
        sizes, np.stack([control[0], treatment[0]]), np.stack([control[1], treatment[1]])
    )
    m_c, m_t = buyers[0] / n[0], times * buyers[1] / n[1]
    return Sampled(compared, np.full(RUNS, 1 / RUNS), m_t - m_c, m_t / m_c - 1)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("buyers", [10, 20])
@pytest.mark.parametrize(("lift", "times"), [(1.0, 1.0), (1.3, 1.0), (0.7, 1.0), (1.0, 1.3)])
def test_spend_is_covered_on_both_sides_from_ten_buyers(
    n: tuple[int, int], buyers: int, lift: float, times: float
) -> None:
    # Ten buyers expected in the smaller arm without a lift, seven with -30%.
    expected = buyers * n[0] / 2000, buyers * lift * n[1] / 2000
    sampled = sample_spend(n, expected, sigma=0.6, times=times)
    differences, lifts = sampled.differences, sampled.lifts
    # An effect on what buyers spend is not the one that errors are thought to follow.
    slack = 0.01 if times != 1.0 else 0.0
    assert 0.94 - slack - TOLERANCE < differences.coverage < 0.96 + slack + TOLERANCE
    assert min(differences.above, differences.below) > (0.01 if slack else 0.015)
    assert 0.935 < lifts.coverage < 0.965
    assert min(lifts.above, lifts.below) > 0.01


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("sigma", [0.0, 0.6])
def test_the_test_of_spend_keeps_its_size(n: tuple[int, int], sigma: float) -> None:
    sampled = sample_spend(n, (n[0] / 200, n[1] / 200), sigma=sigma)
    found = sampled.found(1), sampled.found(-1)
    assert 0.035 < sum(found) < 0.0625
    assert min(found) > 0.008


def test_welchs_test_would_not_keep_its_size_there() -> None:
    n = np.array([18_000.0, 2000.0])
    rng = np.random.default_rng(20260706)
    (m_c, v_c), (m_t, v_t) = (draw_spend(rng, int(size), size / 200, sigma=0.6) for size in n)
    errors = np.stack([v_c / n[0], v_t / n[1]])
    shares = errors / errors.sum(axis=0)
    df = 1 / (shares**2 / (n[:, None] - 1)).sum(axis=0)
    p_value = 2 * stats.t.sf(abs(m_t - m_c) / np.sqrt(errors.sum(axis=0)), df)
    assert np.mean(p_value < 0.05) > 0.08


counts = st.integers(0, 200)


def errors_of(
    n: FloatArray, mean: FloatArray, e: FloatArray
) -> tuple[FloatArray, FloatArray, float]:
    """Work out a + b m for each arm, and the common mean: a third its own, the rest of both."""
    both = (n**2 * e).sum() / n.sum()
    common = float((n * mean).sum() / n.sum())
    return e / 3, 2 / 3 * both / n / common, common


@few
@given(counts, counts, st.floats(0.01, 100), st.floats(0.5, 0.99))
def test_pooled_limits_are_as_far_as_their_own_errors_say(
    x_c: int, x_t: int, amount: float, confidence: float
) -> None:
    # Each limit m of a mean solves (mean - m)^2 = q^2 (a + b m), and the difference joins them.
    n, x = np.array([20_000.0, 2000.0]), np.array([x_c, x_t], dtype=float)
    mean = amount * x / n
    variance = (amount**2 * x - n * mean**2) / (n - 1)
    compared = compare_means_many(n, mean, variance, confidence=confidence)
    if not compared.is_pooled:
        return
    fixed, slope, _ = errors_of(n, mean, variance / n)
    squared = float(stats.t.isf((1 - confidence) / 2, compared.test_df)) ** 2
    low, high = np.array(
        [
            np.sort(np.roots([1, -2 * m - squared * b, m * m - squared * a]).real)
            for m, a, b in zip(mean, fixed, slope, strict=True)
        ]
    ).T
    down, up = mean - np.maximum(low, 0.0), high - mean
    assert compared.difference_low == pytest.approx(
        mean[1] - mean[0] - math.hypot(down[1], up[0]), rel=1e-6
    )
    assert compared.difference_high == pytest.approx(
        mean[1] - mean[0] + math.hypot(up[1], down[0]), rel=1e-6
    )


@few
@given(counts, counts)
def test_a_pooled_test_takes_both_errors_at_the_common_mean(x_c: int, x_t: int) -> None:
    n, x = np.array([2e8, 2e7]), np.array([x_c, x_t], dtype=float)
    mean = x / n
    compared = compare_means_many(n, mean, mean)
    if not compared.is_pooled:
        return
    fixed, slope, common = errors_of(n, mean, mean / n)
    expected = math.sqrt((fixed + slope * common).sum())
    assert compared.test_error == pytest.approx(expected, rel=1e-6)


@few
@given(st.floats(0.0, 0.1), st.integers(12, 80))
def test_what_arms_share_cancels_in_a_pooled_difference(correlation: float, x_t: int) -> None:
    mean = np.array([0.01, x_t / 2000])
    errors = mean / [20_000, 2000]
    off = correlation * math.sqrt(errors.prod())
    whole = np.array([[errors[0], off], [off, errors[1]]])
    pair = Pair(mean, whole[None], np.array([1e9]), np.array([20_000.0, 2000.0]))
    ours = judge_means(pair, confidence=0.95)
    apart = judge_means(
        Pair.of_independent(mean, errors - off, df=np.full(2, 1e9), n=pair.n), confidence=0.95
    )
    assert bool(ours.is_pooled)
    for name in ("test_error", "difference_low", "difference_high"):
        assert getattr(ours, name) == pytest.approx(getattr(apart, name))
    alone = judge_means(
        Pair.of_independent(mean, errors, df=np.full(2, 1e9), n=pair.n), confidence=0.95
    )
    assert ours.means_low == pytest.approx(alone.means_low)
    assert ours.test_error <= alone.test_error


@few
@given(st.integers(11, 500), st.integers(11, 500), st.floats(-0.5, 0.5))
def test_the_lift_is_even_in_the_logarithm(k_c: int, k_t: int, correlation: float) -> None:
    errors = np.array([1 / k_c, 1 / k_t])
    off = correlation * math.sqrt(errors.prod())
    pair = Pair(
        np.ones(2),
        np.array([[[errors[0], off], [off, errors[1]]]]),
        np.array([1e9]),
        np.array([1e9, 1e9]),
    )
    ours = judge_means(pair, confidence=0.95)
    low, high = math.log1p(float(ours.relative_low)), math.log1p(float(ours.relative_high))
    assert low == pytest.approx(-high)
    shares = errors / errors.sum()
    df = 1 / (shares**2 / (2 / errors)).sum()
    expected = stats.t.isf(0.025, df) * math.sqrt(errors.sum() - 2 * off)
    assert high == pytest.approx(expected, rel=1e-6)


def test_shares_of_more_certain_arms_are_those_of_more_customers() -> None:
    # Half the variance: the test, and all intervals, of twice as many customers.
    shares = np.array([0.1, 0.12])
    half = Pair.of_independent(
        shares,
        shares * (1 - shares) / 4000,
        df=np.full(2, np.inf),
        n=np.full(2, 2000.0),
    )
    ours = judge_shares(half, shares * 2000, confidence=0.95)
    double = compare_shares_many([4000, 4000], shares * 4000)
    for name in ("difference_low", "relative_high", "means_low", "ln_p_value", "test_error"):
        np.testing.assert_allclose(getattr(ours, name), getattr(double, name))


def test_numbers_that_are_no_means_of_rare_outcomes_are_never_pooled() -> None:
    pair = Pair.of_independent(
        np.array([1.0, 1.1]),
        np.array([0.001, 0.08]),
        df=np.full(2, 1e6),
        n=np.array([1e6, 1e4]),
    )
    assert bool(judge_means(pair, confidence=0.95).is_pooled)
    free = judge_means(pair, confidence=0.95, can_be_rare=False)
    assert not free.is_pooled
    half = 1.959964 * math.sqrt(0.081)
    assert free.difference_high == pytest.approx(0.1 + half, rel=1e-4)
    assert free.lift == Lift.LOG_RATIO
