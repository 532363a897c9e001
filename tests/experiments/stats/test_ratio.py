"""Ratios of two totals: the delta method on raw rows, the jackknife, and simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from experiments.stats.estimate import Estimate, Inconclusive, Result
from experiments.stats.lift import compare_means
from experiments.stats.moments import Moments
from experiments.stats.ratio import compare_ratios, compare_ratios_poststratified

FloatArray = NDArray[np.float64]

few = settings(max_examples=25)
seeds = st.integers(0, 2**32 - 1)


def draw(rng: np.random.Generator, n: int, *, lift: float = 0.0) -> FloatArray:
    """Draw revenue, orders and earlier orders: customers differ in how often and how much."""
    taste = rng.gamma(4.0, 0.25, n)
    orders = 1.0 + rng.poisson(2.0 * taste)
    revenue = orders * rng.gamma(20.0 * taste, (1 + lift) / 4.0)
    return np.column_stack([revenue, orders, rng.poisson(4.0 * taste)])


def estimate(result: Result) -> Estimate:
    assert isinstance(result, Estimate)
    return result


def compare(control: FloatArray, treatment: FloatArray) -> Estimate:
    return estimate(compare_ratios(Moments.of(control), Moments.of(treatment)))


@few
@given(seeds, st.integers(30, 200))
def test_a_ratio_varies_like_its_customers_residuals(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    # Arms of one size: then neither borrows of the other.
    arms = draw(rng, n)[:, :2], draw(rng, n)[:, :2]
    ours = compare(*arms)
    ratios, errors, units = [], [], []
    for arm in arms:
        ratio = arm[:, 0].sum() / arm[:, 1].sum()
        residuals = (arm[:, 0] - ratio * arm[:, 1]) / arm[:, 1].mean()
        ratios.append(ratio)
        errors.append(residuals.std(ddof=1) / math.sqrt(len(arm)))
        x, e = arm[:, 1].mean(), arm[:, 1].var(ddof=1) / n
        units.append(1 / (1 / n + e / x**2))
    assert (ours.control_mean, ours.treatment_mean) == pytest.approx(tuple(ratios))
    shares = np.square(errors) / np.square(errors).sum()
    df = 1 / (shares**2 / (np.array(units) - 1)).sum()
    half = stats.t.isf(0.025, df) * math.hypot(*errors)
    interval = ours.difference_interval
    assert (interval.high - interval.low) / 2 == pytest.approx(half)
    assert ours.difference == pytest.approx(ratios[1] - ratios[0])
    p_value = 2 * stats.t.sf(abs(ours.difference) / math.hypot(*errors), df)
    assert ours.p_value == pytest.approx(p_value)


def test_its_error_is_that_of_the_jackknife() -> None:
    rows = draw(np.random.default_rng(1), 2000)[:, :2]
    y, x = rows.T
    without = (y.sum() - y) / (x.sum() - x)
    jackknife = math.sqrt(1999 / 2000 * ((without - without.mean()) ** 2).sum())
    interval = compare(rows, rows).control_interval
    assert (interval.high - interval.low) / 2 / stats.t.isf(0.025, 1999) == pytest.approx(
        jackknife, rel=0.01
    )


@few
@given(seeds, st.floats(0.5, 9.0))
def test_over_a_constant_it_is_a_mean(seed: int, constant: float) -> None:
    rng = np.random.default_rng(seed)
    arms = [draw(rng, 60)[:, [0, 1, 2]] for _ in range(2)]
    for arm in arms:
        arm[:, 1] = constant
    ours = compare(*arms)
    means = estimate(compare_means(*(Moments.of(arm[:, [0, 2]] / [constant, 1.0]) for arm in arms)))
    assert ours.difference == pytest.approx(means.difference)
    # Degrees of freedom are counted in another way.
    assert ours.ln_p_value == pytest.approx(means.ln_p_value, rel=0.03)
    assert ours.relative_interval is not None
    assert means.relative_interval is not None
    assert ours.relative_interval.low == pytest.approx(means.relative_interval.low, abs=0.02)


def test_a_covariate_sharpens_it_by_what_it_explains_of_the_residuals() -> None:
    rng = np.random.default_rng(2)
    rows = draw(rng, 4000)
    plain, sharp = compare(rows[:, :2], rows[:, :2]), compare(rows, rows)
    ratio = rows[:, 0].sum() / rows[:, 1].sum()
    r = np.corrcoef(rows[:, 0] - ratio * rows[:, 1], rows[:, 2])[0, 1]
    widths = [e.difference_interval.high - e.difference_interval.low for e in (plain, sharp)]
    # The arms are the same, so only the residual variance changes.
    assert (widths[1] / widths[0]) ** 2 == pytest.approx(1 - r**2, rel=0.01)
    assert "Regression adjustment by 1 covariate" in sharp.method


@pytest.mark.parametrize(
    ("below", "reason"),
    [
        ([0.0] * 20, "nothing to divide by in the treatment"),
        ([0.0] * 15 + [1.0] * 5, "too little to divide by"),
        ([-1.0] * 20, "nothing to divide by in the treatment"),
    ],
)
def test_too_little_below_says_so(below: list[float], reason: str) -> None:
    rows = draw(np.random.default_rng(3), 20)[:, :2]
    thin = np.column_stack([rows[:, 0], below])
    result = compare_ratios(Moments.of(rows), Moments.of(thin))
    assert isinstance(result, Inconclusive)
    assert reason in result.reason


@pytest.mark.parametrize(
    ("n", "reason"), [(0, "No customers"), (1, "Only one customer"), (20, "no variation")]
)
def test_what_cannot_be_estimated_says_why(n: int, reason: str) -> None:
    certain = Moments.of(np.ones((20, 2)))
    result = compare_ratios(certain, Moments.of(np.ones((n, 2))))
    assert isinstance(result, Inconclusive)
    assert reason in result.reason


def test_a_ratio_needs_two_columns() -> None:
    one = Moments.of(np.ones((20, 1)))
    with pytest.raises(ValueError, match="2 at least"):
        compare_ratios(one, one)


@pytest.mark.slow
@pytest.mark.parametrize(("n_c", "n_t"), [(400, 400), (1800, 300)])
@pytest.mark.parametrize("columns", [2, 3])
def test_ratios_keep_their_promises(n_c: int, n_t: int, columns: int) -> None:
    rng = np.random.default_rng(20260703)
    runs = 4000
    true = 5.0 * _ratio_of_tastes()
    results = [
        compare(draw(rng, n_c)[:, :columns], draw(rng, n_t, lift=0.05)[:, :columns])
        for _ in range(runs)
    ]
    tolerance = 3 * math.sqrt(0.05 * 0.95 / runs)
    covered = np.mean([0.05 * true in each.difference_interval for each in results])
    assert covered == pytest.approx(0.95, abs=tolerance)
    lifts = [e.relative_interval is not None and 0.05 in e.relative_interval for e in results]
    assert np.mean(lifts) == pytest.approx(0.95, abs=tolerance)


def _ratio_of_tastes() -> float:
    """Return E[orders taste] / E[orders], taste being gamma of mean 1 and variance 1/4."""
    return (1 + 2 * 1.25) / (1 + 2)


@pytest.mark.parametrize("strata", [1, 2])
def test_a_ratio_that_is_the_same_for_everybody_does_not_vary_but_for_rounding(strata: int) -> None:
    rng = np.random.default_rng(3)

    def sold(n: int, price: float) -> Moments:
        pieces = rng.poisson(1.2, n).astype(float)
        return Moments.of(np.column_stack([price * pieces, pieces]))

    for _ in range(20):
        pairs = [(sold(200, 10.1), sold(190, 12.3)) for _ in range(strata)]
        result = compare_ratios_poststratified(pairs)
        assert isinstance(result, Inconclusive)
        assert result.reason.startswith("Every customer within an arm has the same value")
