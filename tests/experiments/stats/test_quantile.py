"""Quantiles of clustered values: raw values, the textbook's case of one each, and simulation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from experiments.stats.estimate import Estimate, Inconclusive, Result
from experiments.stats.moments import Moments
from experiments.stats.quantile import compare_quantiles, quantile_levels

FloatArray = NDArray[np.float64]

few = settings(max_examples=20)
seeds = st.integers(0, 2**32 - 1)


@dataclass(frozen=True)
class Values:
    """The values of an arm, whose they are, and what was known of each customer before."""

    customers: int
    whose: NDArray[np.int64]
    values: FloatArray
    before: FloatArray

    def moments(self, thresholds: Sequence[float], *, adjusted: bool = False) -> Moments:
        counts = [np.bincount(self.whose, minlength=self.customers)]
        for threshold in thresholds:
            is_below = (self.values <= threshold).astype(float)
            counts.append(np.bincount(self.whose, is_below, minlength=self.customers))
        columns = [*counts, self.before] if adjusted else counts
        return Moments.of(np.column_stack(columns))


def draw(
    rng: np.random.Generator, n: int, *, scale: float = 1.0, each: int | None = None
) -> Values:
    """Draw lognormal values; a customer's hang together, and follow what was known before."""
    counts = rng.poisson(rng.gamma(1.0, 3.0, n)) if each is None else np.full(n, each)
    taste = rng.normal(size=n) * math.sqrt(0.5)
    whose = np.repeat(np.arange(n), counts)
    noise = rng.normal(size=counts.sum()) * math.sqrt(0.5)
    before = taste + 0.5 * rng.normal(size=n)
    return Values(n, whose, scale * np.exp(taste[whose] + noise), before)


def thresholds_for(level: float, *arms: Values) -> list[float]:
    pooled = np.concatenate([arm.values for arm in arms])
    levels = quantile_levels(level, len(pooled))
    return [float(t) for t in np.quantile(pooled, levels, method="inverted_cdf")]


def compare(
    control: Values, treatment: Values, *, level: float = 0.5, adjusted: bool = False
) -> Result:
    thresholds = thresholds_for(level, control, treatment)
    return compare_quantiles(
        control.moments(thresholds, adjusted=adjusted),
        treatment.moments(thresholds, adjusted=adjusted),
        thresholds=thresholds,
        level=level,
    )


def estimate(result: Result) -> Estimate:
    assert isinstance(result, Estimate)
    return result


@few
@given(seeds, st.sampled_from([0.1, 0.5, 0.9]))
def test_quantiles_are_those_of_the_values(seed: int, level: float) -> None:
    rng = np.random.default_rng(seed)
    arms = draw(rng, 2000), draw(rng, 500, scale=1.1)
    ours = estimate(compare(*arms, level=level))
    for arm, ours_of_arm in zip(arms, (ours.control_mean, ours.treatment_mean), strict=True):
        # What interpolation between thresholds can be wrong by is far below the error.
        standard_error = math.sqrt(level * (1 - level) / len(arm.values))
        around = np.quantile(arm.values, [level - standard_error, level + standard_error])
        assert around[0] < ours_of_arm < around[1]


@few
@given(seeds, st.sampled_from([0.25, 0.5, 0.9]))
def test_with_one_value_each_the_interval_is_woodruffs(seed: int, level: float) -> None:
    # Order statistics at the level -+ z sqrt(level (1 - level) / n), as in textbooks.
    arm = draw(np.random.default_rng(seed), 4000, each=1)
    ours = estimate(compare(arm, arm, level=level)).control_interval
    reach = 1.96 * math.sqrt(level * (1 - level) / 4000)
    low, high = np.quantile(arm.values, [level - reach, level + reach])
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.2 * (high - low))


def test_customers_are_clusters() -> None:
    # Every customer has the same value eight times: no more is known than from one each.
    rng = np.random.default_rng(1)
    once = draw(rng, 1000, each=1)
    often = Values(1000, np.repeat(once.whose, 8), np.repeat(once.values, 8), once.before)
    thresholds = thresholds_for(0.5, once, once)
    one, eight = (
        estimate(
            compare_quantiles(
                arm.moments(thresholds),
                arm.moments(thresholds),
                thresholds=thresholds,
                level=0.5,
            )
        )
        for arm in (once, often)
    )
    assert eight.control_interval.low == pytest.approx(one.control_interval.low)
    assert eight.difference_interval.high == pytest.approx(one.difference_interval.high)


def test_an_effect_is_found_with_its_size_and_lift() -> None:
    rng = np.random.default_rng(2)
    ours = estimate(compare(draw(rng, 6000), draw(rng, 6000, scale=1.25), level=0.9))
    true = math.exp(stats.norm.ppf(0.9))
    assert ours.p_value < 1e-6
    assert 0.25 * true in ours.difference_interval
    assert ours.relative_interval is not None
    assert 0.25 in ours.relative_interval
    assert "customers as clusters" in ours.method


def test_the_test_agrees_with_the_interval() -> None:
    rng = np.random.default_rng(3)
    for scale in np.linspace(0.7, 1.4, 15):
        ours = estimate(compare(draw(rng, 300), draw(rng, 100, scale=scale), level=0.9))
        assert (0 in ours.difference_interval) == (ours.p_value >= 0.05)
        assert ours.difference in ours.difference_interval


@few
@given(seeds)
def test_swapping_the_arms_mirrors_the_difference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    arms = draw(rng, 300), draw(rng, 150)
    there, back = estimate(compare(*arms)), estimate(compare(arms[1], arms[0]))
    assert there.difference == pytest.approx(-back.difference)
    assert there.difference_interval.low == pytest.approx(-back.difference_interval.high)
    assert there.ln_p_value == pytest.approx(back.ln_p_value)


def test_a_covariate_shortens_the_interval() -> None:
    rng = np.random.default_rng(4)
    arms = draw(rng, 3000), draw(rng, 3000)
    plain, sharp = estimate(compare(*arms)), estimate(compare(*arms, adjusted=True))
    widths = [e.difference_interval.high - e.difference_interval.low for e in (plain, sharp)]
    assert widths[1] < 0.95 * widths[0]
    assert "Regression adjustment by 1 covariate" in sharp.method


def test_a_small_arms_quantile_is_tested_by_the_shares_below_that_of_both_arms() -> None:
    rng = np.random.default_rng(11)
    control, treatment = rng.lognormal(size=180), rng.lognormal(0.4, size=20)
    # At the 100th of 200 values both arms together are at the level.
    there = np.sort(np.concatenate([control, treatment]))[99]
    thresholds = [*(there * np.geomspace(0.05, 0.8, 8)), there, *(there * np.geomspace(1.2, 20, 8))]
    arms = [
        Moments.of(np.column_stack([np.ones(len(arm)), *(arm <= t for t in thresholds)]))
        for arm in (control, treatment)
    ]
    ours = estimate(compare_quantiles(*arms, thresholds=thresholds, level=0.5))
    n = np.array([180.0, 20.0])
    below = np.array([(arm <= there).mean() for arm in (control, treatment)])
    e = below * (1 - below) / (n - 1)
    squared = (e / 3 + 2 / 3 * (n**2 * e).sum() / n.sum() / n).sum()
    df = 1 / ((e / e.sum()) ** 2 / (n - 1)).sum()
    p_value = 2 * stats.t.sf(abs(below[0] - below[1]) / math.sqrt(squared), df)
    assert ours.p_value == pytest.approx(p_value, rel=1e-6)


def test_equal_thresholds_count_once() -> None:
    rng = np.random.default_rng(5)
    arm = draw(rng, 400)
    single = [0.5, 0.8, 1.0, 1.3, 2.0]
    double = [0.5, 0.8, 1.0, 1.0, 1.3, 1.3, 2.0]
    results = [
        estimate(compare_quantiles(arm.moments(t), arm.moments(t), thresholds=t, level=0.5))
        for t in (single, double)
    ]
    assert results[1].control_interval.low == pytest.approx(results[0].control_interval.low)
    assert results[1].control_mean == pytest.approx(results[0].control_mean)


@pytest.mark.parametrize(
    ("thresholds", "reason"),
    [
        ([0.01, 0.02], "quantile of the control lies outside the thresholds"),
        ([20.0, 30.0], "quantile of the control lies outside the thresholds"),
        ([0.95, 1.05], "interval of the control's quantile reaches beyond the thresholds"),
    ],
)
def test_thresholds_that_miss_the_quantile_say_so(thresholds: list[float], reason: str) -> None:
    arm = draw(np.random.default_rng(6), 200)
    result = compare_quantiles(
        arm.moments(thresholds), arm.moments(thresholds), thresholds=thresholds, level=0.5
    )
    assert isinstance(result, Inconclusive)
    assert reason in result.reason


def test_too_few_values_say_so() -> None:
    rng = np.random.default_rng(7)
    many, none = draw(rng, 100), draw(rng, 100, each=0)
    thresholds = thresholds_for(0.5, many)
    for arms, reason in (
        ((many, none), "nothing to divide by in the treatment"),
        ((draw(rng, 1, each=5), many), "Only one customer has been counted in the control"),
    ):
        result = compare_quantiles(
            *(arm.moments(thresholds) for arm in arms), thresholds=thresholds, level=0.5
        )
        assert isinstance(result, Inconclusive)
        assert reason in result.reason


def test_customers_who_are_all_alike_leave_no_variation() -> None:
    # Everybody has one value below the first threshold and one between the two.
    alike = Moments.of(np.tile([2.0, 1.0, 2.0], (30, 1)))
    result = compare_quantiles(alike, alike, thresholds=[1.0, 2.0], level=0.5)
    assert isinstance(result, Inconclusive)
    assert "no variation" in result.reason


@pytest.mark.parametrize(
    ("thresholds", "level", "message"),
    [
        ([1.0], 0.5, "two or more"),
        ([2.0, 1.0], 0.5, "not decrease"),
        ([1.0, math.nan], 0.5, "not decrease"),
        ([1.0, math.inf], 0.5, "not decrease"),
        ([1.0, 2.0], 1.0, "level"),
        ([1.0, 2.0, 3.0], 0.5, "4 at least"),
    ],
)
def test_what_was_settled_must_make_sense(
    thresholds: list[float], level: float, message: str
) -> None:
    moments = draw(np.random.default_rng(8), 50).moments([1.0, 2.0])
    with pytest.raises(ValueError, match=message):
        compare_quantiles(moments, moments, thresholds=thresholds, level=level)


@given(st.floats(0.001, 0.999), st.integers(1, 10**9))
def test_levels_increase_around_the_one_wanted(level: float, n: int) -> None:
    levels = quantile_levels(level, n)
    assert level in levels
    assert len(levels) <= 13
    assert all(0 < before < after < 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("level", [0.1, 0.5, 0.99])
def test_levels_reach_as_far_as_a_small_arm_with_clusters_needs(level: float) -> None:
    # A tenth of the customers and ten times the variance: ten standard errors, twice.
    n = 200_000
    levels = quantile_levels(level, n)
    error = math.sqrt(level * (1 - level) / n)
    assert levels[0] < level - 20 * error
    assert levels[-1] > min(level + 20 * error, 1 - 1 / n)
    # And near it they are as fine as its own error.
    near = sorted(levels, key=lambda each: abs(each - level))
    assert abs(near[1] - level) < 1.1 * error


def test_levels_need_a_level_and_values() -> None:
    for level, n in ((0.0, 10), (1.0, 10), (0.5, 0)):
        with pytest.raises(ValueError, match="0 < level < 1"):
            quantile_levels(level, n)


@pytest.mark.slow
@pytest.mark.parametrize(("n_c", "n_t"), [(500, 500), (1800, 200)])
@pytest.mark.parametrize("level", [0.5, 0.9])
@pytest.mark.parametrize("adjusted", [False, True])
def test_quantiles_keep_their_promises(n_c: int, n_t: int, level: float, adjusted: bool) -> None:
    rng = np.random.default_rng(20260705)
    runs = 1000
    true = math.exp(stats.norm.ppf(level))
    results = [
        compare(draw(rng, n_c), draw(rng, n_t, scale=1.2), level=level, adjusted=adjusted)
        for _ in range(runs)
    ]
    found = [each for each in results if isinstance(each, Estimate)]
    assert len(found) > 0.98 * runs
    # Three standard errors, and one percent for what is only true of large arms.
    tolerance = 3 * math.sqrt(0.05 * 0.95 / runs) + 0.01
    covered = np.mean([0.2 * true in each.difference_interval for each in found])
    assert covered == pytest.approx(0.95, abs=tolerance)
    lifts = [e.relative_interval is not None and 0.2 in e.relative_interval for e in found]
    assert np.mean(lifts) == pytest.approx(0.95, abs=tolerance)
    own = np.mean([1.2 * true in each.treatment_interval for each in found])
    assert own == pytest.approx(0.95, abs=tolerance)


def slanted(share: float, shift: float) -> tuple[FloatArray, FloatArray]:
    """Make 4,000 values, a share of them large, and a covariate that follows them, shifted."""
    is_large = np.arange(4000) < share * 4000
    noise = np.random.default_rng(17).normal(0.0, 0.2, 4000)
    return np.where(is_large, 10.0 + noise, noise), is_large + noise[::-1] + shift


def test_a_quantile_that_adjustment_moves_beyond_the_thresholds_has_no_estimate() -> None:
    thresholds = np.linspace(9.0, 11.0, 9).tolist()
    control, treatment = (
        Moments.of(np.column_stack([np.ones(4000), *(values <= t for t in thresholds), before]))
        for values, before in (slanted(0.6, 0.0), slanted(0.6, 0.5))
    )
    own = range(1 + len(thresholds))
    plain = compare_quantiles(
        control.select(*own), treatment.select(*own), thresholds=thresholds, level=0.5
    )
    assert isinstance(plain, Estimate)
    adjusted = compare_quantiles(control, treatment, thresholds=thresholds, level=0.5)
    assert isinstance(adjusted, Inconclusive)


def test_where_nothing_can_be_borrowed_each_arm_keeps_its_own_errors() -> None:
    # Many values of each customer make the small arm surer than the large one's values would.
    rng = np.random.default_rng(1)
    large, busy = draw(rng, 4000, each=1), draw(rng, 40, each=20, scale=1.6)
    narrow = [0.85, 1.0, 1.3, 1.7, 2.0, 2.6]
    apart, together = (
        estimate(compare_quantiles(large.moments(at), busy.moments(at), thresholds=at, level=0.5))
        # What would be borrowed lies below 0.85, but the arms' own intervals do not.
        for at in (narrow, [0.5, 0.7, *narrow])
    )
    assert apart.method == together.method
    assert "t-test of the shares of values" in apart.method
    assert apart.treatment_interval.low == pytest.approx(together.treatment_interval.low)
    assert apart.difference == pytest.approx(together.difference)
    assert apart.difference_interval.low > together.difference_interval.low + 0.05
    assert apart.difference_interval.high < together.difference_interval.high - 0.05
