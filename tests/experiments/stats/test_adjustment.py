"""Adjusted means: least squares on raw rows, algebraic laws, Hillstrom's e-mails, simulation."""

import csv
import gzip
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from experiments.stats.adjustment import apply_cuped, variance_removed
from experiments.stats.estimate import Estimate, Inconclusive
from experiments.stats.lift import compare_means
from experiments.stats.moments import Moments

FloatArray = NDArray[np.float64]
Pair = tuple[FloatArray, FloatArray]

# Drawing rows takes most of the time, and a seed has no structure to search.
few = settings(max_examples=25)
seeds = st.integers(0, 2**32 - 1)
covariate_counts = st.integers(1, 4)


def draw_pair(seed: int, k: int, *, n_c: int = 40, n_t: int = 25, base: float = 20.0) -> Pair:
    """Draw rows of an outcome and k correlated covariates; slopes and noise differ by arm."""
    rng = np.random.default_rng(seed)
    mix = np.eye(k) + 0.5 * rng.normal(size=(k, k)) / k
    arms = []
    for n in (n_c, n_t):
        x = rng.gamma(2.0, size=(n, k)) @ mix
        y = base + x @ rng.normal(1, 1, k) + rng.normal(size=n) * rng.uniform(0.5, 2)
        arms.append(np.column_stack([y, x]))
    return arms[0], arms[1]


def estimate(pair: Pair, confidence: float = 0.95) -> Estimate:
    control, treatment = pair
    result = compare_means(Moments.of(control), Moments.of(treatment), confidence=confidence)
    assert isinstance(result, Estimate)
    return result


def moments_of(pair: Pair) -> tuple[Moments, Moments]:
    return Moments.of(pair[0]), Moments.of(pair[1])


def regress_arms(pair: Pair) -> list[Any]:
    """Regress each arm's outcome on covariates centred at the mean of both."""
    centre = np.vstack(pair)[:, 1:].mean(axis=0)
    return [sm.OLS(arm[:, 0], sm.add_constant(arm[:, 1:] - centre)) for arm in pair]


def is_like(expected: Any) -> Any:
    return pytest.approx(expected, rel=1e-9, abs=1e-12)


def numbers_of(result: Estimate) -> list[float]:
    intervals = (result.control_interval, result.treatment_interval, result.difference_interval)
    assert result.relative is not None
    assert result.relative_interval is not None
    return [
        result.control_mean,
        result.treatment_mean,
        result.difference,
        result.relative,
        result.ln_p_value,
        *(end for each in (*intervals, result.relative_interval) for end in (each.low, each.high)),
    ]


@few
@given(seeds, covariate_counts)
def test_the_difference_is_that_of_a_fully_interacted_regression(seed: int, k: int) -> None:
    pair = draw_pair(seed, k)
    rows = np.vstack(pair)
    is_treated = np.repeat([0.0, 1.0], [len(arm) for arm in pair])[:, None]
    centred = rows[:, 1:] - rows[:, 1:].mean(axis=0)
    design = np.column_stack([np.ones(len(rows)), is_treated, centred, centred * is_treated])
    fitted = sm.OLS(rows[:, 0], design).fit()
    ours = estimate(pair)
    assert ours.difference == is_like(fitted.params[1])
    assert ours.control_mean == is_like(fitted.params[0])


@few
@given(seeds, covariate_counts)
def test_errors_are_least_squares_plus_that_of_the_common_mean(seed: int, k: int) -> None:
    # The closed form on raw rows: statsmodels' own error of each arm's prediction, and g'Sg / N.
    pair = draw_pair(seed, k)
    n_c, n_t = map(len, pair)
    fits = [model.fit() for model in regress_arms(pair)]
    own = [fit.bse[0] ** 2 for fit in fits]
    covariances = [np.cov(arm[:, 1:], rowvar=False).reshape(k, k) for arm in pair]
    spread = (n_c * covariances[0] + n_t * covariances[1]) / (n_c + n_t) ** 2
    m_c, m_t = (fit.params[0] for fit in fits)
    ours = estimate(pair)

    def expected(w_c: float, w_t: float, middle: float) -> tuple[float, float]:
        slopes = w_c * fits[0].params[1:] + w_t * fits[1].params[1:]
        parts = np.array([w_c**2 * own[0], w_t**2 * own[1], slopes @ spread @ slopes])
        df = parts.sum() ** 2 / (parts**2 / [n_c - k - 1, n_t - k - 1, n_c + n_t - 2]).sum()
        return tuple(stats.t.interval(0.95, df, middle, math.sqrt(parts.sum())))

    difference = ours.difference_interval
    assert (difference.low, difference.high) == is_like(expected(-1, 1, m_t - m_c))
    assert (ours.control_interval.low, ours.control_interval.high) == is_like(expected(1, 0, m_c))
    treatment = ours.treatment_interval
    assert (treatment.low, treatment.high) == is_like(expected(0, 1, m_t))
    lift = ours.relative_interval
    assert lift is not None
    logs = (math.log1p(lift.low), math.log1p(lift.high))
    assert logs == is_like(expected(-1 / m_c, 1 / m_t, math.log(m_t / m_c)))


@few
@given(seeds, st.integers(1, 3))
def test_where_arms_balance_the_error_is_whites_hc1(seed: int, k: int) -> None:
    # One arm is the other, one unit higher: means and slopes agree, and HC1 is all that is left.
    control, _ = draw_pair(seed, k)
    pair = (control, control + np.eye(k + 1)[0])
    own = [model.fit(cov_type="HC1").bse[0] for model in regress_arms(pair)]
    ours = estimate(pair)
    df = 2 * (len(control) - k - 1)
    half = stats.t.isf(0.025, df) * math.hypot(*own)
    assert ours.difference == is_like(1.0)
    assert ours.difference_interval.high == is_like(1.0 + half)


@few
@given(seeds)
def test_where_slopes_agree_the_error_nears_the_interacted_regressions_hc1(seed: int) -> None:
    # They differ by moments of e^2 x times the imbalance: relatively in order 1 / sqrt(n).
    pair = draw_pair(seed, 2, n_c=4000, n_t=4000)
    own = [model.fit(cov_type="HC1").bse[0] for model in regress_arms(pair)]
    centre = [model.fit().params[1:] for model in regress_arms(pair)]
    spread = np.cov(np.vstack(pair)[:, 1:], rowvar=False) / 8000
    step = centre[1] - centre[0]
    half = stats.norm.isf(0.025) * math.sqrt(own[0] ** 2 + own[1] ** 2 + step @ spread @ step)
    interval = estimate(pair).difference_interval
    assert (interval.high - interval.low) / 2 == pytest.approx(half, rel=5 / math.sqrt(4000))


@few
@given(seeds, covariate_counts, st.floats(0.001, 1000), st.floats(-1000, 1000))
def test_units_and_origins_of_covariates_do_not_matter(
    seed: int, k: int, scale: float, shift: float
) -> None:
    pair = draw_pair(seed, k)
    change = np.diag([1.0, *np.geomspace(scale, 1 / scale, k)])
    offset = np.array([0.0, *np.full(k, shift)])
    changed = (pair[0] @ change + offset, pair[1] @ change + offset)
    assert numbers_of(estimate(changed)) == pytest.approx(numbers_of(estimate(pair)), rel=1e-6)


@few
@given(seeds, st.integers(2, 4))
def test_any_mixture_of_the_covariates_adjusts_alike(seed: int, k: int) -> None:
    pair = draw_pair(seed, k)
    rotation = np.eye(k + 1)
    rotation[1:, 1:] = np.linalg.qr(np.random.default_rng(seed).normal(size=(k, k)))[0]
    changed = (pair[0] @ rotation, pair[1] @ rotation)
    assert numbers_of(estimate(changed)) == pytest.approx(numbers_of(estimate(pair)), rel=1e-9)


@few
@given(seeds, covariate_counts, st.integers(1, 24))
def test_merging_two_halves_changes_nothing(seed: int, k: int, cut: int) -> None:
    pair = draw_pair(seed, k)
    merged = [Moments.of(arm[:cut]) + Moments.of(arm[cut:]) for arm in pair]
    ours = compare_means(*merged)
    assert isinstance(ours, Estimate)
    assert numbers_of(ours) == pytest.approx(numbers_of(estimate(pair)), rel=1e-9)


@few
@given(seeds, covariate_counts)
def test_swapping_the_arms_mirrors_the_difference(seed: int, k: int) -> None:
    pair = draw_pair(seed, k)
    there, back = estimate(pair), estimate(pair[::-1])
    assert there.difference == is_like(-back.difference)
    assert there.difference_interval.low == is_like(-back.difference_interval.high)
    assert there.ln_p_value == is_like(back.ln_p_value)


@few
@given(seeds, st.floats(0.5, 0.999))
def test_without_covariates_it_is_welchs_test(seed: int, confidence: float) -> None:
    control, treatment = draw_pair(seed, 1, n_c=5, n_t=3)
    ours = estimate((control[:, :1], treatment[:, :1]), confidence)
    oracle = stats.ttest_ind(treatment[:, 0], control[:, 0], equal_var=False)
    low, high = oracle.confidence_interval(confidence)
    assert (ours.difference_interval.low, ours.difference_interval.high) == is_like((low, high))
    assert variance_removed(Moments.of(control[:, :1]), Moments.of(treatment[:, :1])) == 0


def test_covariates_that_never_vary_leave_the_plain_comparison() -> None:
    constant = [np.column_stack([arm, np.full(len(arm), 0.1)]) for arm in draw_pair(1, 1)]
    flat = [Moments.of(arm[:, [0, 2]]) for arm in constant]
    ours, plain = compare_means(*flat), compare_means(*(arm.select(0) for arm in flat))
    assert isinstance(ours, Estimate)
    assert isinstance(plain, Estimate)
    assert numbers_of(ours) == numbers_of(plain)
    assert ours.method.endswith(
        "; covariate column 1 dropped (constant, or determined by the others)"
    )


def test_covariates_that_say_nothing_new_are_dropped_and_named() -> None:
    pair = draw_pair(3, 2)
    # Columns: outcome, x1, 3 - 2 x1, x2, x1 + x2, a constant.
    widened = tuple(
        np.column_stack([a[:, :2], 3 - 2 * a[:, 1], a[:, 2], a[:, 1] + a[:, 2], a[:, 0] * 0 + 7])
        for a in pair
    )
    ours = estimate((widened[0], widened[1]))
    assert numbers_of(ours) == pytest.approx(numbers_of(estimate(pair)), rel=1e-9)
    assert "by 2 covariates" in ours.method
    assert "covariate columns 2, 4, 5 dropped" in ours.method


def test_a_covariate_unknown_to_one_arm_is_dropped() -> None:
    control, treatment = draw_pair(4, 2)
    treatment[:, 2] = 1.0
    ours = estimate((control, treatment))
    assert numbers_of(ours) == pytest.approx(
        numbers_of(estimate((control[:, :2], treatment[:, :2]))), rel=1e-9
    )


def test_the_variance_removed_is_the_share_explained() -> None:
    # Arms that balance, with a correlation of 0.8 or so: 1 - r^2 is left, but for the divisors.
    rng = np.random.default_rng(5)
    x = rng.normal(size=(400, 1))
    rows = np.column_stack([4 * x[:, 0] + 3 * rng.normal(size=400), x])
    pair = (rows, rows.copy())
    r = float(np.asarray(np.corrcoef(rows.T))[0, 1])
    expected = 1 - (1 - r**2) * 399 / 398
    assert variance_removed(*moments_of(pair)) == is_like(expected)
    assert f"by 1 covariate with slopes of each arm (Lin), {expected:.1%} of the variance" in (
        estimate(pair).method
    )


def test_useless_covariates_cost_a_little() -> None:
    rng = np.random.default_rng(6)
    removed = variance_removed(*moments_of((rng.normal(size=(30, 6)), rng.normal(size=(30, 6)))))
    assert removed is not None
    assert removed < 0


def test_adjustment_removes_a_chance_imbalance() -> None:
    # The treatment happens to hold bigger spenders, and changes nothing.
    past = np.arange(60.0)
    noise = np.tile([-1.0, 1.0, 1.0, -1.0], 15)  # uncorrelated with what was bought before
    pair = tuple(np.column_stack([x + noise, x]) for x in (past, past + 30))
    plain = compare_means(*(Moments.of(arm[:, :1]) for arm in pair))
    assert isinstance(plain, Estimate)
    assert plain.is_significant
    ours = estimate((pair[0], pair[1]))
    assert ours.difference == pytest.approx(0, abs=1e-9)
    assert not ours.is_significant


def test_the_lift_knows_that_both_arms_share_the_covariates_mean() -> None:
    # Slopes in proportion to the means: the common mean moves both alike, and the ratio not at all.
    pair = draw_pair(7, 1, n_c=400, n_t=400)
    control = np.column_stack([10 * pair[0][:, 1] + 0.001 * pair[0][:, 0], pair[0][:, 1]])
    treatment = np.column_stack([11 * pair[1][:, 1] + 0.001 * pair[1][:, 0], pair[1][:, 1]])
    ours = estimate((control, treatment))
    assert ours.relative_interval is not None
    assert ours.relative_interval.high - ours.relative_interval.low < 1e-3
    assert ours.difference_interval.high - ours.difference_interval.low > 0.1


@pytest.mark.parametrize("base", [(-50.0, 20.0), (20.0, -50.0), (0.0, 20.0)])
def test_lift_is_unknown_where_a_mean_is_no_base(base: tuple[float, float]) -> None:
    pair = draw_pair(8, 1)
    for arm, mean in zip(pair, base, strict=True):
        arm[:, 0] += mean - arm[:, 0].mean()
    pair[0][:, 1] -= pair[0][:, 1].mean() - pair[1][:, 1].mean()  # so that means stay put
    ours = estimate(pair)
    assert ours.relative is None
    assert ours.relative_interval is None


def test_an_arm_without_any_outcome_has_no_lift_to_offer() -> None:
    control, treatment = draw_pair(9, 1)
    control[:, 0] = 0.0
    ours = estimate((control, treatment))
    assert ours.control_mean == 0
    assert ours.relative is None


def test_strong_evidence_keeps_its_logarithm() -> None:
    control, _ = draw_pair(10, 1, n_c=4000)
    ours = estimate((control, control + np.array([50.0, 0.0])))
    assert ours.p_value == 0
    assert -math.inf < ours.ln_p_value < -1000


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (draw_pair(1, 1, n_c=0), "No customers have been counted in the control"),
        (draw_pair(1, 1, n_t=1), "Only one customer has been counted in the treatment"),
        ((np.eye(30)[:, :2] * [0, 1], np.eye(30)[:, :2] * [0, 1]), "no variation to judge by"),
    ],
)
def test_what_cannot_be_estimated_says_why(pair: Pair, reason: str) -> None:
    result = compare_means(*moments_of(pair))
    assert isinstance(result, Inconclusive)
    assert reason in result.reason
    assert variance_removed(*moments_of(pair)) is None


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (draw_pair(1, 1, n_c=19), "not adjusted, as covariates need 20 customers in each arm"),
        (draw_pair(1, 1, n_t=19), "not adjusted, as covariates need 20 customers in each arm"),
        (draw_pair(1, 5, n_t=24), "not adjusted, as covariates need 25 customers in each arm"),
        ((np.eye(30)[:, [1, 1]], np.eye(30)[:, [1, 1]]), "explain every customer's outcome"),
    ],
)
def test_what_cannot_be_adjusted_is_compared_as_measured(pair: Pair, reason: str) -> None:
    ours = estimate(pair)
    plain = compare_means(*(arm.select(0) for arm in moments_of(pair)))
    assert isinstance(plain, Estimate)
    assert replace(ours, method=plain.method) == plain
    assert reason in ours.method
    assert variance_removed(*moments_of(pair)) == 0


def test_five_customers_a_covariate_are_enough() -> None:
    assert isinstance(estimate(draw_pair(1, 5, n_c=25, n_t=25)), Estimate)


def test_both_arms_have_the_same_columns() -> None:
    with pytest.raises(ValueError, match="not 2 and 3 columns"):
        compare_means(Moments.of(np.ones((30, 2))), Moments.of(np.ones((30, 3))))


@few
@given(seeds)
def test_cuped_is_welchs_test_of_the_corrected_outcome(seed: int) -> None:
    pair = draw_pair(seed, 1)
    y, x = np.vstack(pair).T
    theta = np.cov(y, x)[0, 1] / x.var(ddof=1)
    corrected = [arm[:, 0] - theta * (arm[:, 1] - x.mean()) for arm in pair]
    oracle = stats.ttest_ind(corrected[1], corrected[0], equal_var=False)
    ours = compare_means(*apply_cuped(*moments_of(pair)))
    assert isinstance(ours, Estimate)
    assert ours.control_mean == is_like(corrected[0].mean())
    assert ours.p_value == is_like(oracle.pvalue)


@few
@given(seeds)
def test_cuped_and_lin_agree_where_arms_have_one_size_and_slope(seed: int) -> None:
    control, _ = draw_pair(seed, 1)
    moments = moments_of((control, control + np.array([1.0, 0.0])))
    lin, cuped = compare_means(*moments), compare_means(*apply_cuped(*moments))
    assert isinstance(lin, Estimate)
    assert isinstance(cuped, Estimate)
    assert lin.difference == is_like(cuped.difference)
    # One degree of freedom a slope apart: s^2 by n - 2 or n - 1.
    widths = [e.difference_interval.high - e.difference_interval.low for e in (lin, cuped)]
    n = len(control)
    quantiles = [float(stats.t.isf(0.025, df)) for df in (2 * (n - 2), 2 * (n - 1))]
    ratio = quantiles[0] / quantiles[1] * math.sqrt((n - 1) / (n - 2))
    assert widths[0] / widths[1] == is_like(ratio)


def test_cuped_takes_one_covariate_that_varies() -> None:
    for wrong in ((1, 2), (2, 3)):
        with pytest.raises(ValueError, match="one covariate"):
            apply_cuped(*(Moments.of(np.ones((30, k))) for k in wrong))
    flat = Moments.of(np.full((30, 2), 0.1))
    with pytest.raises(ValueError, match="varies"):
        apply_cuped(flat, flat)


def test_cuped_survives_a_covariate_that_is_the_outcome() -> None:
    same = Moments.of(np.random.default_rng(1).normal(size=(40, 1)) @ np.ones((1, 2)))
    assert apply_cuped(same, same)[0].covariance[0][0] == pytest.approx(0, abs=1e-12)


HILLSTROM = {
    "Mens E-Mail vs No E-Mail": ("No E-Mail", "Mens E-Mail"),
    "Womens E-Mail vs No E-Mail": ("No E-Mail", "Womens E-Mail"),
}


@pytest.fixture(scope="module")
def hillstrom_history(shared_file: Callable[[str], Path]) -> dict[str, FloatArray]:
    """Visit, spend, and earlier spend, recency, newness and goods of every customer, by arm."""
    rows: dict[str, list[list[float]]] = {}
    with gzip.open(shared_file("data/hillstrom.csv.gz"), "rt", newline="") as file:
        for row in csv.DictReader(file):
            columns = ("visit", "spend", "history", "recency", "newbie", "mens", "womens")
            rows.setdefault(row["segment"], []).append([float(row[name]) for name in columns])
    return {arm: np.array(values) for arm, values in rows.items()}


@pytest.mark.parametrize("pair", HILLSTROM)
@pytest.mark.parametrize(("metric", "column"), [("visit", 0), ("spend", 1)])
def test_cuped_agrees_with_the_reference_numbers(
    hillstrom_history: dict[str, FloatArray],
    references: dict[str, Any],
    pair: str,
    metric: str,
    column: int,
) -> None:
    # The file's lift is a delta interval of independent arms, which apply_cuped does not claim.
    known = references["hillstrom"][pair][f"{metric}_cuped_history"]
    arms = [Moments.of(hillstrom_history[arm][:, [column, 2]]) for arm in HILLSTROM[pair]]
    corrected = apply_cuped(*arms)
    ours = compare_means(*corrected)
    assert isinstance(ours, Estimate)
    assert (ours.control_mean, ours.treatment_mean) == is_like((known["meanC"], known["meanT"]))
    deviations = [math.sqrt(arm.covariance[0][0]) for arm in corrected]
    assert deviations == is_like([known["sdC"], known["sdT"]])
    assert (ours.difference, ours.p_value) == is_like((known["diff"], known["p_value"]))
    interval = ours.difference_interval
    assert [interval.low, interval.high] == is_like(known["ci95_diff"])


@pytest.mark.parametrize("pair", HILLSTROM)
@pytest.mark.parametrize("column", [0, 1])
def test_many_covariates_shorten_hillstroms_intervals_at_least_as_much_as_one(
    hillstrom_history: dict[str, FloatArray], pair: str, column: int
) -> None:
    rows = [hillstrom_history[arm] for arm in HILLSTROM[pair]]
    one = variance_removed(*(Moments.of(arm[:, [column, 2]]) for arm in rows))
    many = variance_removed(*(Moments.of(arm[:, [column, 2, 3, 4, 5, 6]]) for arm in rows))
    assert one is not None
    assert many is not None
    # A slope costs about 1 / n of the variance, and there are four more of them.
    assert many > one - 4 / 21000


RUNS = 4000
ALPHA = 0.05
TOLERANCE = 3 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS)

Draw = Callable[[np.random.Generator, float], Pair]


def draw_spend(rng: np.random.Generator, lift: float) -> Pair:
    """One customer in three buys for a lognormal amount that follows lognormal earlier spend."""

    def draw(n: int, factor: float) -> FloatArray:
        past = rng.lognormal(0.0, 0.8, size=(n, 2))
        amount = (1 + 2 * past[:, 0] + past[:, 1]) * rng.lognormal(0.0, 0.6, n)
        return np.column_stack([factor * amount * rng.binomial(1, 1 / 3, n), past])

    return draw(4000, 1.0), draw(1500, 1 + lift)


def draw_small(rng: np.random.Generator, lift: float) -> Pair:
    """As few customers as are let through, for covariates that explain much."""

    def draw(n: int, factor: float) -> FloatArray:
        x = rng.normal(size=(n, 4))
        return np.column_stack([factor * (20 + x @ [2, 1, 0, 0] + rng.normal(size=n)), x])

    return draw(20, 1.0), draw(60, 1 + lift)


def draw_steep(rng: np.random.Generator, lift: float) -> Pair:
    """The treatment works in proportion to earlier spend, which says nearly everything."""

    def draw(n: int, factor: float) -> FloatArray:
        x = rng.gamma(4.0, size=(n, 1))
        return np.column_stack([factor * (5 * x[:, 0]) + rng.normal(size=n), x])

    return draw(300, 1.0), draw(100, 1 + lift)


DRAWS = pytest.mark.parametrize(
    ("draw", "mean"),
    [
        (draw_spend, (1 + 3 * math.exp(0.32)) * math.exp(0.18) / 3),
        (draw_small, 20.0),
        (draw_steep, 20.0),
    ],
)


@pytest.mark.slow
@DRAWS
def test_adjusted_tests_and_intervals_keep_their_promises(draw: Draw, mean: float) -> None:
    rng = np.random.default_rng(20260702)
    false_positives = [estimate(draw(rng, 0.0)).is_significant for _ in range(RUNS)]
    assert np.mean(false_positives) == pytest.approx(ALPHA, abs=TOLERANCE)
    worked = [estimate(draw(rng, 0.3)) for _ in range(RUNS)]
    covered = [0.3 * mean in each.difference_interval for each in worked]
    assert np.mean(covered) == pytest.approx(1 - ALPHA, abs=TOLERANCE)
    lifts = [e.relative_interval is not None and 0.3 in e.relative_interval for e in worked]
    assert np.mean(lifts) == pytest.approx(1 - ALPHA, abs=TOLERANCE)
