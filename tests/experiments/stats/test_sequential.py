"""Group-sequential boundaries, against published tables, brute force and simulation."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from experiments.stats.sequential import (
    BENEFIT,
    HARM,
    SPENDING,
    Boundary,
    Side,
    Spending,
    crossing_probabilities,
    find_boundaries,
    repeated_interval,
    spend_obrien_fleming,
    spend_pocock,
    spend_power,
)

NONE = Side(0.0, spend_pocock)
DAILY = [k / 28 for k in range(1, 29)]
looks = st.lists(st.floats(0.01, 0.4), min_size=1, max_size=6).map(
    lambda steps: list(np.cumsum(steps))
)


# Reboussin, DeMets, Kim & Lan (2000), the program ld98; R's ldbounds prints the same.
@pytest.mark.parametrize(
    ("spending", "published"),
    [
        (spend_obrien_fleming, [4.8769, 3.3570, 2.6803, 2.2898, 2.0310]),
        (spend_pocock, [2.4380, 2.4268, 2.4101, 2.3966, 2.3859]),
    ],
)
def test_five_equal_looks_agree_with_the_published_boundaries(
    spending: Spending, published: list[float]
) -> None:
    side = Side(0.025, spending)
    boundaries = find_boundaries([0.2, 0.4, 0.6, 0.8, 1.0], upper=side, lower=side)
    assert [b.upper for b in boundaries] == pytest.approx(published, abs=2e-4)
    assert [b.lower for b in boundaries] == pytest.approx([-z for z in published], abs=2e-4)


@pytest.mark.parametrize("alpha", [0.01, 0.025, 0.05])
def test_a_single_look_at_the_end_is_the_ordinary_test(alpha: float) -> None:
    (boundary,) = find_boundaries([1.0], upper=Side(alpha, spend_pocock), lower=NONE)
    assert boundary.upper == pytest.approx(stats.norm.isf(alpha), abs=1e-10)
    assert boundary.lower == -math.inf


def test_three_uneven_looks_agree_with_the_multivariate_normal() -> None:
    fractions = [0.3, 0.45, 1.0]
    boundaries = find_boundaries(fractions)
    root = np.sqrt(fractions)
    correlation = np.minimum.outer(fractions, fractions) / np.outer(root, root)
    inside = stats.multivariate_normal.cdf(
        [b.upper for b in boundaries],
        cov=correlation,
        lower_limit=np.array([max(b.lower, -12.0) for b in boundaries]),
        abseps=1e-9,
        releps=1e-9,
    )
    assert inside == pytest.approx(0.95, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(looks, st.booleans())
def test_what_is_spent_is_what_may_be_spent(fractions: list[float], is_final: bool) -> None:
    boundaries = find_boundaries(fractions, is_final=is_final)
    for index, boundary in enumerate(boundaries):
        ends = boundary.fraction >= 1 or (is_final and index == len(boundaries) - 1)
        # What is too little to place a boundary by waits for the next look.
        for side, spent in ((BENEFIT, boundary.upper_spent), (HARM, boundary.lower_spent)):
            may = side.alpha if ends else side.spent_by(boundary.fraction)
            assert spent == pytest.approx(may, abs=1e-10)


@settings(max_examples=25, deadline=None)
@given(looks)
def test_without_an_effect_the_crossings_are_the_error_spent(fractions: list[float]) -> None:
    boundaries = find_boundaries(fractions)
    up, down = crossing_probabilities(boundaries, drift=0.0)
    assert up.sum() == pytest.approx(boundaries[-1].upper_spent, abs=1e-9)
    assert down.sum() == pytest.approx(boundaries[-1].lower_spent, abs=1e-9)


@pytest.mark.parametrize("spending", SPENDING.values(), ids=SPENDING)
def test_spending_begins_at_nothing_grows_and_ends_at_all(spending: Spending) -> None:
    spent = [spending(t, 0.05) for t in np.linspace(0, 1, 50)]
    assert spent[0] == 0
    assert spent[-1] == pytest.approx(0.05)
    assert all(later >= earlier for earlier, later in pairwise(spent))


def test_a_power_of_three_spends_later_than_a_power_of_two() -> None:
    assert spend_power(0.5, 0.05, exponent=3.0) == pytest.approx(0.05 / 8)
    assert spend_power(0.5, 0.05) == pytest.approx(0.05 / 4)


def test_past_the_planned_size_nothing_more_is_spent() -> None:
    boundaries = find_boundaries([0.5, 1.2, 1.5])
    assert boundaries[1].upper_spent == pytest.approx(BENEFIT.alpha, abs=1e-12)
    assert boundaries[2].upper == math.inf
    assert boundaries[2].lower == -math.inf


def test_stopping_early_for_good_spends_what_is_left() -> None:
    early = find_boundaries([0.3, 0.6], is_final=True)[-1]
    going_on = find_boundaries([0.3, 0.6])[-1]
    assert early.upper < going_on.upper
    assert early.upper_spent == pytest.approx(BENEFIT.alpha, abs=1e-12)


def test_harm_is_seen_earlier_than_benefit() -> None:
    first = find_boundaries([0.1, 1.0])[0]
    assert -first.lower < first.upper


def test_the_default_rule_finds_an_effect_nearly_as_often_as_one_final_test() -> None:
    """The bar: with daily looks, at most .055 false positives and at least .75 power."""
    drift = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    boundaries = find_boundaries(DAILY)
    up, down = crossing_probabilities(boundaries, drift=0.0)
    assert up.sum() + down.sum() <= 0.055
    assert crossing_probabilities(boundaries, drift=drift)[0].sum() >= 0.75


@pytest.mark.parametrize(("z", "decides"), [(3.0, True), (-3.0, True), (1.0, False)])
def test_the_repeated_interval_leaves_out_zero_exactly_when_a_boundary_is_crossed(
    z: float, decides: bool
) -> None:
    boundary = find_boundaries([0.5, 1.0])[1]
    low, high = repeated_interval(z * 0.2, 0.2, boundary)
    assert (not low <= 0 <= high) is decides


def test_before_anything_may_be_spent_the_interval_has_no_end() -> None:
    boundary = Boundary(0.01, math.inf, -math.inf, 0.0, 0.0)
    assert repeated_interval(1.0, 0.1, boundary) == (-math.inf, math.inf)


@pytest.mark.parametrize("fractions", [[0.0], [0.5, 0.5], [0.5, 0.4], [math.nan]])
def test_information_that_does_not_increase_is_refused(fractions: list[float]) -> None:
    with pytest.raises(ValueError, match="must increase"):
        find_boundaries(fractions)


@pytest.mark.parametrize("information", [[1.0, 10.0], [0.09, 0.1], [300.0, 400.0]])
def test_looks_hang_together_by_what_was_known_not_by_what_was_spent(
    information: list[float],
) -> None:
    first, second = find_boundaries([0.5, 1.0], information=information)
    correlation = math.sqrt(information[0] / information[1])
    both = stats.multivariate_normal([0.0, 0.0], [[1.0, correlation], [correlation, 1.0]])
    stays = both.cdf([first.upper, second.upper], lower_limit=[first.lower, second.lower])
    assert stays == pytest.approx(0.95, abs=1e-6)
    assert first.upper == pytest.approx(find_boundaries([0.5])[0].upper)


def test_an_error_of_a_half_is_refused() -> None:
    with pytest.raises(ValueError, match="must lie in"):
        find_boundaries([1.0], upper=Side(0.5, spend_pocock))


@pytest.mark.slow
@pytest.mark.parametrize("drift", [0.0, 2.8016])
def test_simulated_paths_cross_as_often_as_computed(drift: float) -> None:
    """200,000 Gaussian paths with 28 daily looks; within three standard errors."""
    n = 200_000
    rng = np.random.default_rng(28)
    boundaries = find_boundaries(DAILY)
    score, alive, crossed = np.zeros(n), np.ones(n, dtype=bool), np.zeros(2)
    for boundary in boundaries:
        score += rng.normal(drift / 28, math.sqrt(1 / 28), n)
        z = score / math.sqrt(boundary.fraction)
        ups, downs = alive & (z >= boundary.upper), alive & (z <= boundary.lower)
        crossed += ups.sum(), downs.sum()
        alive &= ~(ups | downs)
    for simulated, computed in zip(
        crossed / n, crossing_probabilities(boundaries, drift=drift), strict=True
    ):
        p = computed.sum()
        assert abs(simulated - p) < 3 * math.sqrt(p * (1 - p) / n)
