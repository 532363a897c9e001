"""How unlikely is too unlikely at a look, and how likely a difference is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.health.base import HealthContext
from experiments.health.chance import effective_count, level_now, say_chance, welch_p
from experiments.stats.moments import Moments
from experiments.stats.sequential import Side, find_boundaries, spend_pocock
from tests.experiments.health.contexts import make_moments


def at(fraction: float | None, *earlier: float) -> HealthContext:
    return HealthContext((), 0, fraction=fraction, earlier=earlier)


def test_without_a_plan_the_level_is_shared_by_the_tests_alone() -> None:
    assert level_now(at(None), 0.01) == 0.01
    assert level_now(at(None), 0.01, tests=5) == 0.002


def test_a_single_look_at_the_end_has_the_whole_level() -> None:
    assert level_now(at(1.0), 0.01) == pytest.approx(0.01)
    assert level_now(at(1.3), 0.01, tests=2) == pytest.approx(0.005)


def test_a_look_has_the_level_of_its_boundary() -> None:
    side = Side(0.005, spend_pocock)
    boundary = find_boundaries([0.2, 0.5, 0.7], upper=side, lower=side)[-1]
    expected = 2 * stats.norm.sf(boundary.upper)
    assert level_now(at(0.7, 0.2, 0.5), 0.01) == pytest.approx(expected, rel=1e-9)


def test_a_look_that_comes_too_soon_takes_the_place_of_the_last() -> None:
    assert level_now(at(0.51, 0.2, 0.5), 0.01) == level_now(at(0.51, 0.2), 0.01)
    assert level_now(at(0.7, 0.2, 0.21, 0.5), 0.01) == level_now(at(0.7, 0.2, 0.5), 0.01)
    # Customers may have been erased since.
    assert level_now(at(0.4, 0.2, 0.5), 0.01) == level_now(at(0.4, 0.2), 0.01)


def test_looks_after_the_planned_end_share_one_level() -> None:
    assert level_now(at(1.2, 0.5, 1.0, 1.1), 0.01) == level_now(at(1.2, 0.5), 0.01) > 0


def test_before_anybody_came_nothing_is_a_finding() -> None:
    assert level_now(at(0.0), 0.01) == 0.0


@given(st.integers(0, 1000))
def test_a_p_value_is_welchs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0, 1, 20), rng.normal(0.5, 3, 30)
    ours = welch_p(Moments.of(a[:, None]), Moments.of(b[:, None]))
    assert ours == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue, rel=1e-9)


@pytest.mark.parametrize(
    ("control", "treatment"),
    [
        (make_moments(1, 5.0, 0.0), make_moments(100, 5.0, 1.0)),
        (make_moments(100, 5.0, 0.0), make_moments(100, 6.0, 0.0)),
    ],
    ids=["one customer", "no variation"],
)
def test_without_variation_there_is_no_p_value(control: Moments, treatment: Moments) -> None:
    assert welch_p(control, treatment) is None


def test_a_share_counts_its_conversions() -> None:
    assert effective_count(make_moments(1000, 0.05, 0.05 * 0.95)) == pytest.approx(50)
    assert effective_count(make_moments(1000, 0.0, 1.0)) == 0.0


def test_a_p_value_too_small_for_a_number_has_words() -> None:
    assert say_chance(0.0) == "p below 10⁻³⁰⁰"
    assert say_chance(0.031) == "p = 0.031"
