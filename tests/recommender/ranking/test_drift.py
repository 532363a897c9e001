"""Drift is found where there is some, and not where there is none."""

import numpy as np
import pytest
from scipy import stats

from recommender.ranking.drift import CHANCE, Sketch, compare_counts, compare_numbers


def test_the_index_is_what_its_formula_says() -> None:
    found = compare_counts({"a": 700, "b": 300}, {"a": 400, "b": 600})
    assert found is not None
    # By hand, of 0.7 and 0.3 against 0.4 and 0.6.
    expected = 0.3 * np.log(0.7 / 0.4) - 0.3 * np.log(0.3 / 0.6)
    assert found.psi == pytest.approx(expected, rel=0.01)
    assert found.is_large
    assert found.ks is None


def test_without_drift_alarms_are_as_rare_as_promised() -> None:
    rng = np.random.default_rng(2)
    before = Sketch.of(rng.normal(size=2_000))
    p_values = []
    for _ in range(400):
        found = compare_numbers(before, rng.normal(size=500))
        assert found is not None
        assert not found.is_large
        p_values.append(found.p_value)
    # One sketch is all runs' own, so this is no binomial count; a tenth of them may seem unusual.
    assert np.mean(np.array(p_values) < 0.05) < 0.15


def test_few_numbers_raise_no_alarm_whatever_they_are() -> None:
    before = Sketch.of(np.arange(1000.0))
    found = compare_numbers(before, np.array([990.0, 995.0]))
    assert found is not None
    assert found.psi > 0.25
    assert found.p_value > CHANCE
    assert not found.is_large


def test_a_shift_is_found_by_both_measures() -> None:
    rng = np.random.default_rng(5)
    before, now = rng.normal(size=5_000), rng.normal(0.8, 1, size=3_000)
    found = compare_numbers(Sketch.of(before), now)
    assert found is not None
    assert found.is_large
    oracle = stats.ks_2samp(before, now)
    assert found.ks == pytest.approx(oracle.statistic, abs=0.015)
    assert found.ks_p_value is not None
    assert found.ks_p_value < 1e-10


def test_numbers_with_ties_are_compared_by_what_there_is_of_each() -> None:
    before = np.repeat([1.0, 2.0, 3.0], [800, 150, 50])
    same = compare_numbers(Sketch.of(before), before)
    assert same is not None
    assert same.psi < 0.01
    constant = compare_numbers(Sketch.of(np.ones(500)), np.ones(300))
    assert constant is not None
    assert (constant.psi, constant.p_value, constant.ks) == (0.0, 1.0, 0.0)


def test_of_nothing_nothing_can_be_told() -> None:
    nothing = np.array([np.nan])
    assert Sketch.of(nothing).n == 0
    assert compare_numbers(Sketch.of(nothing), np.ones(3)) is None
    assert compare_numbers(Sketch.of(np.ones(3)), nothing) is None
    assert compare_counts({}, {"a": 1}) is None
