"""Errors that follow means: roots of their equations, raw rows that are pooled, and simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from experiments.stats.errors import Variance, blend, blend_multiplied
from experiments.stats.intervals import judge_means
from experiments.stats.joint import Pair

FloatArray = NDArray[np.float64]

few = settings(max_examples=50)
positive = st.floats(0.001, 1.0)
seeds = st.integers(0, 2**32 - 1)


def draw_arms(seed: int) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    return rng.gamma(0.5, 2.0, 90), rng.gamma(0.5, 2.0, 12)


def read(arms: tuple[FloatArray, FloatArray]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return both arms' sizes, means and squared errors, with the divisor n."""
    n = np.array([float(len(arm)) for arm in arms])
    return n, np.array([a.mean() for a in arms]), np.array([a.var() for a in arms]) / n


@few
@given(positive, positive, positive, st.floats(0.0, 0.1), st.floats(0.5, 2.2))
def test_limits_are_the_roots_of_their_equation(
    m: float, a: float, b: float, c: float, q: float
) -> None:
    variance = Variance(
        np.array([a, a]), np.array([b, b]), np.array([c, c]), floor=np.array(-np.inf)
    )
    low, high = variance.find_limits(np.array([m, m]), np.array(q))
    # m^2 (1 - q^2 c) - (2 mean + q^2 b) m + mean^2 - q^2 a.
    roots = np.roots([1 - q * q * c, -2 * m - q * q * b, m * m - q * q * a])
    assert [low[0], high[0]] == pytest.approx(np.sort(roots.real).tolist())


def test_limits_stay_finite_where_errors_grow_faster_than_means() -> None:
    variance = Variance(curve=np.array([2.0, 2.0]))
    low, high = variance.find_limits(np.ones(2), np.array(3.0))
    assert low.tolist() == [0.0, 0.0]
    assert np.isfinite(high).all()


@few
@given(seeds)
def test_two_thirds_of_an_error_come_from_the_values_of_both_arms(seed: int) -> None:
    n, m, e = read(draw_arms(seed))
    variance, common, alike = blend(m, e, n, is_countable=np.array(True), is_multiplied=False)
    rows = np.concatenate([arm - arm.mean() for arm in draw_arms(seed)])
    assert common == pytest.approx(np.concatenate(draw_arms(seed)).mean())
    assert alike == pytest.approx((rows**2).mean() / n)
    assert variance.at(common) == pytest.approx(e / 3 + alike * 2 / 3)


@few
@given(seeds, st.booleans())
def test_what_is_borrowed_follows_the_mean_as_effects_do(
    seed: int,
    is_multiplied: bool,
) -> None:
    n, m, e = read(draw_arms(seed))
    variance, common, alike = blend(
        m, e, n, is_countable=np.array(True), is_multiplied=is_multiplied
    )
    times = 4.0 if is_multiplied else 2.0
    assert variance.at(2 * common) == pytest.approx(e / 3 + alike * 2 / 3 * times)


def test_where_values_can_be_negative_nothing_follows_the_mean() -> None:
    n, m, e = read(draw_arms(1))
    variance, common, _ = blend(m - 5.0, e, n, is_countable=np.array(False), is_multiplied=False)
    assert variance.at(common) == pytest.approx(variance.at(common + 7.0))


@few
@given(seeds, st.floats(0.2, 5.0))
def test_a_ratio_is_judged_as_if_the_treatment_were_divided_by_it(seed: int, ratio: float) -> None:
    control, treatment = draw_arms(seed)
    n, _, e = read((control, treatment))
    b, a = blend_multiplied(e, n)
    # Alike, the treatment's values over the ratio and the control's are pooled, and scaled back.
    _, _, alike = blend(
        np.ones(2),
        np.array([e[0], e[1] / ratio**2]),
        n,
        is_countable=np.array(True),
        is_multiplied=True,
    )
    expected = (e[0] + e[1] / ratio**2) / 3 + alike.sum() * 2 / 3
    assert a + b * ratio**2 == pytest.approx(ratio**2 * expected)


def test_the_lift_of_a_small_arms_ratio_ends_where_it_is_q_errors_off() -> None:
    values, e, units = np.array([2.0, 2.5]), np.array([0.004, 0.05]), np.array([200.0, 20.0])
    pair = Pair.of_independent(values, e, df=np.full(2, 1e6), n=np.array([900.0, 100.0]))
    ours = judge_means(pair, confidence=0.95, units=units)
    assert bool(ours.is_pooled)
    q = stats.t.isf(0.025, 218)
    b, a = blend_multiplied(e, units)
    for end in (1 + float(ours.relative_low), 1 + float(ours.relative_high)):
        assert abs(values[1] - end * values[0]) == pytest.approx(q * math.sqrt(a + b * end**2))


def test_a_small_skewed_arm_errs_to_both_sides_alike() -> None:
    """Arms of 360 and 40 exponential values; three standard errors, and one for what is left."""
    runs = 20_000
    rng = np.random.default_rng(20260708)
    n = np.array([360.0, 40.0])
    arms = [rng.exponential(size=(runs, int(size))) for size in n]
    means = np.stack([arm.mean(axis=1) for arm in arms])
    e = np.stack([arm.var(axis=1, ddof=1) for arm in arms]) / n[:, None]
    sizes = np.broadcast_to(n[:, None], (2, runs))
    variance, common, _ = blend(
        means, e, sizes, is_countable=np.ones(runs, dtype=bool), is_multiplied=False
    )
    shares: dict[str, tuple[float, float]] = {}
    for name, squared in (("ours", variance.at(common).sum(axis=0)), ("Welch", e.sum(axis=0))):
        z = (means[1] - means[0]) / np.sqrt(squared)
        shares[name] = float((z < -1.96).mean()), float((z > 1.96).mean())
    tolerance = 4 * math.sqrt(0.025 * 0.975 / runs)
    assert shares["ours"] == pytest.approx((0.025, 0.025), abs=tolerance)
    assert shares["Welch"][0] > 0.025 + 2 * tolerance
