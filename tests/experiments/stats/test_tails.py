"""Logarithms of p-values: scipy where it still has digits, mpmath where it has none."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.stats.tails import ln_p_normal, ln_p_student, t_quantile


@given(st.floats(-37, 37))
def test_normal_tail_agrees_with_scipy(z: float) -> None:
    assert ln_p_normal(z) == pytest.approx(math.log(2 * stats.norm.sf(abs(z))), rel=1e-12)


@given(st.floats(-30, 30), st.floats(1, 1e6))
def test_student_tail_agrees_with_scipy(statistic: float, df: float) -> None:
    expected = math.log(2 * stats.t.sf(abs(statistic), df))
    assert ln_p_student(statistic, df) == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_normal_tail_has_no_floor() -> None:
    # Asymptotic series: ln p = -z^2/2 - ln z + ln(2/pi)/2 + ln(1 - 1/z^2 + 3/z^4 - ...).
    z = 500.0
    expected = -(z**2) / 2 - math.log(z) + math.log(2 / math.pi) / 2 + math.log1p(-1 / z**2)
    assert ln_p_normal(z) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("statistic", "df"),
    [
        (37.5, 4e4),
        (60, 4e4),
        (-60, 4e4),
        (250, 1e6),
        (1000, 5e3),
        (1e90, 7.5),
        (1e200, 3),
        (40, 1e9),
    ],
)
def test_student_tail_has_no_floor(statistic: float, df: float) -> None:
    mpmath = pytest.importorskip("mpmath")  # comes with torch
    with mpmath.workdps(40):
        start, nu = mpmath.mpf(abs(statistic)), mpmath.mpf(df)

        def log_shape(t: Any) -> Any:
            return -(nu + 1) / 2 * mpmath.log1p(t * t / nu)

        # The density integrated outwards, on the scale on which it falls off.
        scale = (nu + start * start) / ((nu + 1) * start)
        area = scale * mpmath.quad(
            lambda v: mpmath.exp(log_shape(start + v * scale) - log_shape(start)),
            [0, 1, 10, 100, mpmath.inf],
        )
        constant = -mpmath.log(nu) / 2 - mpmath.log(mpmath.beta(nu / 2, mpmath.mpf(1) / 2))
        expected = float(mpmath.log(2 * area) + log_shape(start) + constant)
    assert ln_p_student(statistic, df) == pytest.approx(expected, rel=1e-12, abs=1e-9)


def test_student_tail_does_not_jump_where_the_formula_changes() -> None:
    df = 4e4
    logs = [ln_p_student(36.5 + step / 100, df) for step in range(60)]
    steps = [after - before for before, after in pairwise(logs)]
    assert all(-0.40 < step < -0.34 for step in steps)
    assert all(later < earlier for earlier, later in pairwise(steps))


def test_no_difference_is_no_evidence() -> None:
    assert ln_p_normal(0) == 0
    assert ln_p_student(0, 10) == 0


def test_many_tails_at_once_are_each_alone() -> None:
    statistics = np.array([0.0, -2.0, 60.0, 1e200, 45.0])
    degrees = np.array([3.0, 7.5, 4e4, 3.0, math.inf])
    together = ln_p_student(statistics, degrees)
    alone = [ln_p_student(float(t), float(df)) for t, df in zip(statistics, degrees, strict=True)]
    assert together.tolist() == alone
    assert np.array_equal(ln_p_student(statistics, math.inf), ln_p_normal(statistics))


@given(st.floats(1, 1e6), st.floats(0.01, 0.9999999))
def test_quantile_agrees_with_scipy(df: float, confidence: float) -> None:
    tail = (1 - confidence) / 2
    expected = [stats.t.isf(tail, df), stats.norm.isf(tail), stats.t.isf(tail, 7.5)]
    found = t_quantile([df, math.inf, 7.5], confidence=confidence)
    assert found == pytest.approx(expected, rel=1e-12)
    assert t_quantile(df, confidence=confidence) == found[0]
    assert t_quantile(math.inf, confidence=confidence) == found[1]
