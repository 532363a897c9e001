"""Effects over segments: statsmodels, brute force, algebra, and coverage by simulation."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects

from experiments.stats.heterogeneity import (
    find_variance,
    judge_homogeneity,
    judge_interaction,
    shrink,
)

FloatArray = NDArray[np.float64]

# Hartung, Knapp & Sinha (2008), eight trials, as in the examples of statsmodels.
EFFECTS = [0.100, 0.162, -0.090, 0.240, 0.330, -0.110, 0.050, 0.400]
ERRORS = [0.010, 0.020, 0.015, 0.030, 0.040, 0.012, 0.025, 0.050]

segments = st.lists(
    st.tuples(st.floats(-2, 2), st.floats(0.001, 1.0)), min_size=3, max_size=12
).map(lambda pairs: (np.array([y for y, _ in pairs]), np.array([v for _, v in pairs])))


@settings(max_examples=30, deadline=None)
@given(segments)
def test_q_is_that_of_statsmodels(data: tuple[FloatArray, FloatArray]) -> None:
    effects, squared_errors = data
    weights = 1 / squared_errors
    assume(np.ptp(effects) > 1e-3)  # it divides by q
    oracle = combine_effects(effects, squared_errors)
    ours = judge_homogeneity(effects, squared_errors)
    assert ours.statistic == pytest.approx(oracle.q, rel=1e-9)
    assert ours.statistic == pytest.approx(weights @ (effects - oracle.mean_effect_fe) ** 2)
    assert ours.df == oracle.df
    assert math.exp(ours.ln_p_value) == pytest.approx(
        float(stats.chi2.sf(oracle.q, oracle.df)), rel=1e-6
    )


def test_the_variance_between_segments_is_that_of_statsmodels() -> None:
    oracle = combine_effects(np.array(EFFECTS), np.array(ERRORS), method_re="iterated", atol=1e-12)
    assert find_variance(EFFECTS, ERRORS) == pytest.approx(oracle.tau2, rel=1e-6)


@given(segments)
def test_the_variance_makes_the_sum_of_squares_what_is_expected(
    data: tuple[FloatArray, FloatArray],
) -> None:
    effects, squared_errors = data
    variance = find_variance(effects, squared_errors)
    q = judge_homogeneity(effects, squared_errors + variance).statistic
    if variance > 0:
        assert q == pytest.approx(len(effects) - 1, rel=1e-8)
    else:
        assert q <= len(effects) - 1


def test_guesses_are_those_of_brute_force() -> None:
    """Rubin's eight schools (1981), by plain sums over a grid of mean and spread."""
    effects = np.array([28.0, 8, -3, 7, -1, 1, 18, 12])
    errors = np.array([15.0, 10, 16, 11, 9, 11, 10, 18])
    mean, spread = np.meshgrid(np.linspace(-60, 80, 281), np.linspace(0.05, 100, 1000))
    variance = errors[:, None, None] ** 2 + spread**2  # (schools, spread, mean)
    ln_density = -((effects[:, None, None] - mean) ** 2 / variance + np.log(variance)).sum(0) / 2
    density = np.exp(ln_density - ln_density.max())
    density /= density.sum()
    kept = spread**2 / variance
    guesses = kept * effects[:, None, None] + (1 - kept) * mean
    expected = (density * guesses).sum((1, 2))
    second = (density * (kept * errors[:, None, None] ** 2 + guesses**2)).sum((1, 2))
    shrunk = shrink(effects, errors**2)
    assert shrunk.mean == pytest.approx((density * mean).sum(), abs=0.02)
    assert shrunk.effects == pytest.approx(expected, abs=0.02)
    assert shrunk.errors == pytest.approx(np.sqrt(second - expected**2), abs=0.02)


@given(segments, st.floats(-5, 5), st.floats(0.1, 10))
def test_guesses_move_with_the_origin_and_the_unit(
    data: tuple[FloatArray, FloatArray], shift: float, unit: float
) -> None:
    effects, squared_errors = data
    before = shrink(effects, squared_errors)
    after = shrink(unit * (effects + shift), unit**2 * squared_errors)
    assert after.effects == pytest.approx(
        [unit * (effect + shift) for effect in before.effects], rel=1e-6, abs=1e-6
    )
    assert after.errors == pytest.approx([unit * error for error in before.errors], rel=1e-6)


@given(segments)
def test_a_guess_lies_between_the_segments_own_effect_and_the_others(
    data: tuple[FloatArray, FloatArray],
) -> None:
    effects, squared_errors = data
    guesses = shrink(effects, squared_errors).effects
    assert min(effects) - 1e-9 <= min(guesses)
    assert max(guesses) <= max(effects) + 1e-9


def test_a_known_mean_costs_no_degree_of_freedom() -> None:
    # With equal errors the estimate is explicit: the mean square around 0, less the error.
    effects = np.array([0.3, -0.2, 0.1, 0.4])
    variance = find_variance(effects, [0.01] * 4, mean=0.0)
    assert variance == pytest.approx(float((effects**2).mean()) - 0.01, rel=1e-9)
    assert find_variance([0.05], [0.01], mean=0.0) == 0.0


@given(
    st.integers(2, 4),
    st.integers(2, 4),
    st.integers(0, 10_000),
)
def test_an_interaction_is_the_wald_test_of_its_contrasts(
    rows: int, columns: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(rows, columns))
    errors = rng.uniform(0.1, 2.0, (rows, columns))
    # Brute force: all double differences from the first cell, with their full covariance.
    contrasts = np.array(
        [
            np.outer(np.eye(rows)[i] - np.eye(rows)[0], np.eye(columns)[j] - np.eye(columns)[0])
            for i in range(1, rows)
            for j in range(1, columns)
        ]
    ).reshape(-1, rows * columns)
    gaps = contrasts @ means.ravel()
    wald = gaps @ np.linalg.solve(contrasts @ np.diag(errors.ravel()) @ contrasts.T, gaps)
    ours = judge_interaction(means, errors)
    assert ours.statistic == pytest.approx(wald, rel=1e-8)
    assert ours.df == (rows - 1) * (columns - 1)


def test_with_two_rows_an_interaction_is_cochrans_q_of_the_differences() -> None:
    means = np.array([[1.0, 2.0, 3.0], [1.5, 2.1, 4.0]])
    errors = np.array([[0.1, 0.2, 0.3], [0.2, 0.1, 0.4]])
    assert judge_interaction(means, errors).ln_p_value == pytest.approx(
        judge_homogeneity(means[1] - means[0], errors.sum(axis=0)).ln_p_value
    )


def test_rows_and_columns_that_only_add_up_do_not_interact() -> None:
    means = np.add.outer([0.0, 0.3], [1.0, 5.0, -2.0])
    assert judge_interaction(means, np.full((2, 3), 0.01)).ln_p_value == pytest.approx(0.0)


@pytest.mark.parametrize("df", [1, 2, 3, 8])
def test_a_p_value_that_underflows_still_has_a_logarithm(df: int) -> None:
    """Continued from where scipy's logarithm is still finite, by the asymptotic ratio of tails."""
    squared = np.full(df + 1, 1.0)

    def ln_p(q: float) -> float:
        effects = np.zeros(df + 1)
        effects[0] = math.sqrt(q * (df + 1) / df)
        return judge_homogeneity(effects, squared).ln_p_value

    assert ln_p(1200.0) == pytest.approx(float(stats.chi2.logsf(1200.0, df)), rel=1e-9)
    slope = (ln_p(2000.0) - ln_p(1990.0)) / 10
    assert slope == pytest.approx(-0.5 + (df / 2 - 1) / 1995, abs=1e-5)
    assert ln_p(2000.0) < ln_p(1340.0) < ln_p(1330.0)


@pytest.mark.parametrize(
    ("effects", "errors"),
    [([0.1], [0.1]), ([0.1, 0.2], [0.1]), ([0.1, math.nan], [0.1, 0.1]), ([0.1, 0.2], [0.1, 0.0])],
)
def test_effects_without_errors_are_refused(effects: list[float], errors: list[float]) -> None:
    with pytest.raises(ValueError, match="effects"):
        judge_homogeneity(effects, errors)


def test_a_single_row_does_not_interact_with_anything() -> None:
    with pytest.raises(ValueError, match="two rows and two columns"):
        judge_interaction([[1.0, 2.0]], [[0.1, 0.1]])


@pytest.mark.parametrize("k", [3, 10])
@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0, 4.0])
def test_intervals_of_segments_cover_on_average(k: int, spread: float) -> None:
    """Errors differ fourfold; `spread` is in units of a typical one.

    The intervals are Bayesian: they cover on average over spreads, and not to a digit at each. The
    lowest coverage of the runs recorded was .937; three standard errors of it are .016.
    """
    rng = np.random.default_rng(5)
    runs, v = 2000, np.geomspace(0.5, 2.0, k) ** 2
    covered = 0
    for _ in range(runs):
        theta = rng.normal(0.3, spread, k)
        shrunk = shrink(rng.normal(theta, np.sqrt(v)), v)
        covered += int(
            (np.abs(np.array(shrunk.effects) - theta) <= 1.96 * np.array(shrunk.errors)).sum()
        )
    assert covered / (k * runs) > 0.937 - 0.016


def test_shrunken_effects_err_less_than_raw_ones() -> None:
    """The bar: at least 30% less squared error where segments differ as much as their errors."""
    rng = np.random.default_rng(6)
    v = np.geomspace(0.5, 2.0, 10) ** 2
    raw = drawn = 0.0
    for _ in range(1000):
        theta = rng.normal(0.3, 1.0, 10)
        y = rng.normal(theta, np.sqrt(v))
        raw += float(((y - theta) ** 2).sum())
        drawn += float(((np.array(shrink(y, v).effects) - theta) ** 2).sum())
    assert drawn < 0.7 * raw
