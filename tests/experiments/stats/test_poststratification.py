"""Strata put together: regression on indicators of strata, formulas on raw rows, simulation."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from experiments.stats.estimate import Estimate, Inconclusive, Result
from experiments.stats.lift import compare_means, compare_means_poststratified
from experiments.stats.moments import Moments
from experiments.stats.poststratification import Stratum, join
from experiments.stats.proportions import compare_shares, compare_shares_poststratified
from experiments.stats.ratio import compare_ratios, compare_ratios_poststratified

FloatArray = NDArray[np.float64]
# Outcomes and covariates, and which stratum each row is in.
Arm = tuple[FloatArray, NDArray[np.int64]]

few = settings(max_examples=25)
seeds = st.integers(0, 2**32 - 1)


def draw(rng: np.random.Generator, n: int, *, effect: float = 0.0) -> Arm:
    """Draw an outcome and a covariate; strata differ in level, and are of unequal size."""
    stratum = rng.choice(3, n, p=[0.6, 0.3, 0.1])
    x = rng.normal(size=n)
    y = 5.0 + 3.0 * stratum + x + rng.normal(size=n) + effect
    return np.column_stack([y, x]), stratum


def split(control: Arm, treatment: Arm, columns: Sequence[int]) -> list[Stratum]:
    def moments(arm: Arm, stratum: int) -> Moments:
        rows, strata = arm
        return Moments.of(rows[strata == stratum][:, columns])

    return [(moments(control, k), moments(treatment, k)) for k in range(3)]


def estimate(result: Result) -> Estimate:
    assert isinstance(result, Estimate)
    return result


def with_indicators(arm: Arm) -> Moments:
    rows, strata = arm
    return Moments.of(np.column_stack([rows[:, 0], strata == 1, strata == 2]))


@few
@given(seeds, st.integers(600, 900), st.integers(600, 900))
def test_the_means_are_those_of_regression_on_indicators(seed: int, n_c: int, n_t: int) -> None:
    # Lin's regression with a slope per arm for every stratum but one is saturated.
    rng = np.random.default_rng(seed)
    arms = draw(rng, n_c), draw(rng, n_t, effect=0.5)
    ours = estimate(compare_means_poststratified(split(*arms, [0])))
    regression = estimate(compare_means(*map(with_indicators, arms)))
    assert ours.control_mean == pytest.approx(regression.control_mean)
    assert ours.treatment_mean == pytest.approx(regression.treatment_mean)
    # Its variance is one for all strata, ours each stratum's own.
    widths = [e.difference_interval.high - e.difference_interval.low for e in (ours, regression)]
    assert widths[0] == pytest.approx(widths[1], rel=0.1)


@few
@given(seeds)
def test_errors_follow_the_formula_on_raw_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    arms = draw(rng, 700), draw(rng, 600)
    everyone = np.concatenate([strata for _, strata in arms])
    weights = np.bincount(everyone) / 1300
    means = np.array([[rows[strata == k, 0].mean() for k in range(3)] for rows, strata in arms])
    variances = np.array(
        [[rows[strata == k, 0].var(ddof=1) for k in range(3)] for rows, strata in arms]
    )
    sizes = np.array([np.bincount(strata) for _, strata in arms])
    effects = means[1] - means[0]
    difference = weights @ effects
    squared_error = (weights**2 * (variances / sizes).sum(axis=0)).sum() + (
        weights @ (effects - difference) ** 2 / 1300
    )
    ours = estimate(compare_means_poststratified(split(*arms, [0])))
    assert ours.difference == pytest.approx(difference)
    half = (ours.difference_interval.high - ours.difference_interval.low) / 2
    # Several hundred degrees of freedom: all but normal.
    assert half == pytest.approx(1.96 * math.sqrt(squared_error), rel=0.02)


Compare = Callable[[Moments, Moments], Result]
CompareStrata = Callable[[Sequence[Stratum]], Result]


@pytest.mark.parametrize(
    ("compare", "compare_strata", "columns"),
    [
        (compare_means, compare_means_poststratified, [0, 1]),
        (compare_shares, compare_shares_poststratified, [2, 1]),
        (compare_ratios, compare_ratios_poststratified, [2, 0, 1]),
    ],
)
def test_one_stratum_is_everybody(
    compare: Compare, compare_strata: CompareStrata, columns: list[int]
) -> None:
    rng = np.random.default_rng(1)
    control, treatment = (
        Moments.of(np.column_stack([rows, rows[:, 0] > 6])[:, columns])
        for rows, _ in (draw(rng, 200), draw(rng, 150))
    )
    assert compare_strata([(control, treatment)]) == compare(control, treatment)


def test_strata_and_covariates_each_take_their_part_of_the_variance() -> None:
    rng = np.random.default_rng(2)
    arms = draw(rng, 3000), draw(rng, 3000)
    plain, strata, covariate, both = (
        estimate(result).difference_interval
        for result in (
            compare_means(*(Moments.of(rows[:, :1]) for rows, _ in arms)),
            compare_means_poststratified(split(*arms, [0])),
            compare_means(*(Moments.of(rows) for rows, _ in arms)),
            compare_means_poststratified(split(*arms, [0, 1])),
        )
    )
    between = 9 * (0.3 + 0.1 * 4 - 0.5**2)
    for interval, left in ((plain, 2 + between), (strata, 2), (covariate, 1 + between), (both, 1)):
        half = (interval.high - interval.low) / 2
        assert half == pytest.approx(1.96 * math.sqrt(left * 2 / 3000), rel=0.05)


SHARES = np.array([0.1, 0.4, 0.9])


def draw_share(rng: np.random.Generator, n: int) -> Arm:
    _, strata = draw(rng, n)
    return (rng.random(n) < SHARES[strata]).astype(float)[:, None], strata


def test_a_share_is_judged_like_that_of_more_customers() -> None:
    rng = np.random.default_rng(3)
    arms = draw_share(rng, 3000), draw_share(rng, 3000)
    plain = estimate(compare_shares(*(Moments.of(rows) for rows, _ in arms)))
    ours = estimate(compare_shares_poststratified(split(*arms, [0])))
    weights = np.array([0.6, 0.3, 0.1])
    share = weights @ SHARES
    within = weights @ (SHARES * (1 - SHARES))
    widths = [e.difference_interval.high - e.difference_interval.low for e in (ours, plain)]
    assert (widths[0] / widths[1]) ** 2 == pytest.approx(within / (share * (1 - share)), rel=0.03)
    removed = 1 - (widths[0] / widths[1]) ** 2
    said = float(ours.method.split("strata, ")[1].split("%")[0]) / 100
    assert said == pytest.approx(removed, abs=0.01)


def test_small_strata_are_merged_and_said_to_be() -> None:
    rng = np.random.default_rng(4)
    big, small = ([Moments.of(rng.normal(size=(n, 1))) for _ in range(2)] for n in (50, 8))
    strata = [(big[0], big[1]), (small[0], small[1]), (small[1], small[0]), (small[0], small[0])]
    merged = small[0] + small[1] + small[0], small[1] + small[0] + small[0]
    ours = estimate(compare_means_poststratified(strata))
    expected = estimate(compare_means_poststratified([(big[0], big[1]), merged]))
    assert ours.difference == pytest.approx(expected.difference)
    assert ours.difference_interval.low == pytest.approx(expected.difference_interval.low)
    assert "by 2 strata (3 small ones merged)" in ours.method


def test_strata_too_small_even_together_join_the_smallest_large_one() -> None:
    rng = np.random.default_rng(5)
    sizes = (50, 90, 8)
    strata = [
        (Moments.of(rng.normal(size=(n, 1))), Moments.of(rng.normal(size=(n, 1)))) for n in sizes
    ]
    joined = strata[0][0] + strata[2][0], strata[0][1] + strata[2][1]
    ours = estimate(compare_means_poststratified(strata))
    expected = estimate(compare_means_poststratified([joined, strata[1]]))
    assert ours.difference == pytest.approx(expected.difference)
    assert "by 2 strata (1 small one merged)" in ours.method


def test_where_every_stratum_is_small_all_are_compared_together() -> None:
    rng = np.random.default_rng(6)
    strata = [(Moments.of(rng.normal(size=(6, 1))), Moments.of(rng.normal(size=(5, 1))))] * 3
    together = compare_means(
        strata[0][0] + strata[1][0] + strata[2][0], strata[0][1] + strata[1][1] + strata[2][1]
    )
    ours = estimate(compare_means_poststratified(strata))
    assert ours.difference == pytest.approx(estimate(together).difference)
    assert ours.method == estimate(together).method


def test_a_stratum_without_conversions_does_no_harm() -> None:
    rng = np.random.default_rng(7)
    some, none = ((rng.random((400, 1)) < 0.1).astype(float), np.zeros((100, 1)))
    strata = [(Moments.of(some), Moments.of(some)), (Moments.of(none), Moments.of(none))]
    ours = estimate(compare_shares_poststratified(strata))
    assert ours.difference == 0
    assert ours.p_value == 1


def test_what_cannot_be_compared_says_why() -> None:
    nobody, two = Moments.of(np.empty((0, 1))), Moments.of(np.eye(2)[:, :1])
    result = compare_means_poststratified([(nobody, two), (nobody, two)])
    assert isinstance(result, Inconclusive)
    assert "No customers have been counted in the control" in result.reason
    with pytest.raises(ValueError, match="no stratum"):
        compare_means_poststratified([])


@pytest.mark.slow
@pytest.mark.parametrize("columns", [[0], [0, 1]])
def test_poststratified_intervals_keep_their_promises(columns: list[int]) -> None:
    rng = np.random.default_rng(20260704)
    runs = 4000
    tolerance = 3 * math.sqrt(0.05 * 0.95 / runs)
    results = [
        estimate(
            compare_means_poststratified(split(draw(rng, 900), draw(rng, 300, effect=1.3), columns))
        )
        for _ in range(runs)
    ]
    mean = 5 + 3 * (0.3 + 0.2)
    covered = np.mean([1.3 in each.difference_interval for each in results])
    assert covered == pytest.approx(0.95, abs=tolerance)
    own = np.mean([mean in each.control_interval for each in results])
    assert own == pytest.approx(0.95, abs=tolerance)
    lifts = [e.relative_interval is not None and 0.2 in e.relative_interval for e in results]
    assert np.mean(lifts) == pytest.approx(0.95, abs=tolerance)


def test_errors_are_inflated_by_what_arms_lack_in_balance() -> None:
    """Each stratum counts as everybody's share of it, whatever an arm has of it."""
    rng = np.random.default_rng(3)

    def inflation(sizes: list[tuple[int, int]], *, covariates: int = 0) -> FloatArray:
        strata = [
            (Moments.of(rng.normal(size=(a, 1 + covariates))),
             Moments.of(rng.normal(size=(b, 1 + covariates))))
            for a, b in sizes
        ]  # fmt: skip
        joined = join(strata, outcomes=1)
        assert not isinstance(joined, Inconclusive)
        return np.asarray(joined.joint.inflation) * np.ones(2)

    assert inflation([(400, 200), (200, 100)]) == pytest.approx(1.0)
    # 300 of 600 in each stratum, but the control has 400 and 100 of them.
    sizes = np.array([[400.0, 100.0], [100.0, 400.0]])
    weights = np.array([0.5, 0.5])
    expected = sizes.sum(axis=1) * (weights**2 / sizes).sum(axis=1)
    assert inflation([(400, 100), (100, 400)]) == pytest.approx(expected)
    # Covariates whose means differ by chance cost about one customer each.
    small = inflation([(60, 60)], covariates=5)
    assert (small > 1.0).all()
    assert (small < 1.3).all()
