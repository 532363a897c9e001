"""Judging effects at looks."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.looks import (
    LEAST_STEP,
    Look,
    find_information,
    judge,
    make_grow,
    take_look,
    widen,
    z_of,
)
from experiments.plan import Monitoring
from experiments.stats.confidence_sequence import ConfidenceSequence
from experiments.stats.estimate import Estimate, Inconclusive, Interval
from experiments.stats.lift import compare_means
from experiments.stats.moments import Moments
from experiments.stats.proportions import compare_proportions
from experiments.stats.sequential import (
    Boundary,
    Side,
    find_boundaries,
    spend_pocock,
    spend_power,
)


def estimate(z: float, *, ln_p: float | None = None) -> Estimate:
    """Make an estimate with a difference of z standard errors of 1."""
    interval = Interval(z - 1.96, z + 1.96)
    ln_p_value = math.log(2) + float(stats.norm.logsf(abs(z))) if ln_p is None else ln_p
    return Estimate(
        control_mean=10.0,
        treatment_mean=10.0 + z,
        n_control=100,
        n_treatment=100,
        control_interval=Interval(9, 11),
        treatment_interval=Interval(9, 11),
        difference=z,
        difference_interval=interval,
        relative=None,
        relative_interval=None,
        p_value=math.exp(ln_p_value),
        ln_p_value=ln_p_value,
        confidence=0.95,
        method="made up",
    )


def look(fraction: float = 1.0, *earlier: float, comparisons: int = 1) -> Look:
    taken = take_look(fraction, earlier, comparisons=comparisons, confidence=0.95)
    assert taken is not None
    return taken


@given(st.floats(-30, 30))
def test_the_deviate_comes_back_from_the_p_value(z: float) -> None:
    assert z_of(estimate(z)) == pytest.approx(z, rel=1e-9, abs=1e-9)


def test_a_p_value_that_underflows_keeps_its_deviate() -> None:
    assert z_of(estimate(-100.0)) == pytest.approx(-100.0, rel=1e-9)


@given(st.floats(-5, 5), st.integers(1, 4))
def test_a_single_look_at_the_end_is_the_ordinary_test(z: float, comparisons: int) -> None:
    side = judge(estimate(z), look(comparisons=comparisons), higher_is_better=True)
    assert (side != "unclear") == estimate(z).is_significant_among(comparisons)


def test_where_less_is_better_the_boundaries_change_sides() -> None:
    early = look(0.3)
    assert -early.boundary.lower < 2.9 < early.boundary.upper
    assert judge(estimate(2.9), early, higher_is_better=True) == "unclear"
    assert judge(estimate(2.9), early, higher_is_better=False) == "worse"
    assert judge(estimate(-9.0), early, higher_is_better=False) == "better"


@pytest.mark.parametrize(
    ("fraction", "earlier", "is_taken"),
    [
        (0.0, [], False),
        (LEAST_STEP / 2, [], False),
        (LEAST_STEP, [], True),
        (0.505, [0.5], False),
        (0.53, [0.5], True),
        (1.0, [0.995], True),
        (1.3, [0.5, 1.0], True),
    ],
)
def test_looks_are_so_far_apart_and_the_end_is_always_one(
    fraction: float, earlier: list[float], is_taken: bool
) -> None:
    taken = take_look(fraction, earlier, comparisons=1, confidence=0.95)
    assert (taken is not None) is is_taken


def test_boundaries_remember_the_looks_before() -> None:
    late = look(1.0, 0.3, 0.6)
    assert late.number == 3
    planned = find_boundaries([0.3, 0.6, 1.0])[-1]
    assert late.boundary.upper == pytest.approx(planned.upper)
    assert late.boundary.lower == pytest.approx(planned.lower)
    assert not late.is_early
    assert look(0.6).is_early


@pytest.mark.parametrize("higher_is_better", [True, False])
@pytest.mark.parametrize("z", [-4.0, -2.0, 0.5, 2.0, 4.0])
def test_the_widened_interval_leaves_out_zero_exactly_when_a_boundary_is_crossed(
    z: float, higher_is_better: bool
) -> None:
    now = look(0.6, 0.3)
    wide = widen(
        estimate(z).difference_interval,
        now,
        confidence=0.95,
        is_lift=False,
        higher_is_better=higher_is_better,
    )
    crossed = judge(estimate(z), now, higher_is_better=higher_is_better) != "unclear"
    assert (0 not in wide) == crossed


def test_a_lift_is_widened_on_its_own_scale() -> None:
    one = Interval(math.expm1(0.2 - 1.96 * 0.1), math.expm1(0.2 + 1.96 * 0.1))
    two = Look(0.5, Boundary(0.5, 3.0, -3.0, 0.0, 0.0), 2, is_early=True)
    wide = widen(one, two, confidence=0.95, is_lift=True, higher_is_better=True)
    assert wide.low == pytest.approx(math.expm1(0.2 - 3.0 * 0.1), abs=1e-5)
    assert wide.high == pytest.approx(math.expm1(0.2 + 3.0 * 0.1), abs=1e-5)


def test_a_lift_never_falls_below_everything_even_where_nothing_may_be_spent() -> None:
    nothing_yet = Look(0.02, Boundary(0.02, math.inf, -math.inf, 0.0, 0.0), 1, is_early=True)
    wide = widen(
        Interval(-0.9, 5.0), nothing_yet, confidence=0.95, is_lift=True, higher_is_better=True
    )
    assert -1.0 <= wide.low < -0.9


@pytest.mark.slow
def test_looking_at_every_step_finds_no_more_false_winners_than_planned() -> None:
    """2,000 A/A experiments of 2 × 2,000 customers, judged at 20 looks each."""
    runs, n = 2000, 2000
    rng = np.random.default_rng(11)
    sizes = np.linspace(n / 20, n, 20).astype(int)
    looks = [look(size / n, *(s / n for s in sizes[:i])) for i, size in enumerate(sizes)]
    false = 0
    for _ in range(runs):
        rows = rng.exponential(size=(2, n, 1))
        for size, now in zip(sizes, looks, strict=True):
            result = compare_means(Moments.of(rows[0, :size]), Moments.of(rows[1, :size]))
            assert isinstance(result, Estimate)
            if judge(result, now, higher_is_better=True) != "unclear":
                false += 1
                break
    assert false / runs < 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_a_fixed_plan_has_one_look_at_its_end() -> None:
    fixed = Monitoring("fixed")
    early = take_look(0.9, [], comparisons=1, confidence=0.95, monitoring=fixed)
    last = take_look(1.0, [0.5], comparisons=1, confidence=0.95, monitoring=fixed)
    assert early is None
    assert last is not None
    assert last.boundary.upper == pytest.approx(stats.norm.isf(0.025))
    assert (last.number, last.is_early) == (1, False)


@pytest.mark.parametrize("fraction", [0.3, 1.0, 4.0])
def test_a_confidence_sequence_may_be_looked_at_for_ever(fraction: float) -> None:
    taken = take_look(
        fraction,
        [0.1],
        comparisons=2,
        confidence=0.95,
        monitoring=Monitoring("confidence_sequence"),
    )
    assert taken is not None
    reach = ConfidenceSequence(0.025, tuned_to=1000).multiplier(fraction * 1000)
    assert (taken.boundary.upper, taken.boundary.lower) == pytest.approx((reach, -reach))
    assert taken.is_early


def test_a_stopped_confidence_sequence_has_its_last_look() -> None:
    taken = take_look(
        0.3,
        [0.3],
        comparisons=1,
        confidence=0.95,
        monitoring=Monitoring("confidence_sequence"),
        is_running=False,
    )
    assert taken is not None
    assert not taken.is_early


def test_spending_is_as_the_plan_says() -> None:
    eager = Monitoring(benefit="pocock", harm="power")
    taken = take_look(0.5, [], comparisons=1, confidence=0.95, monitoring=eager)
    (boundary,) = find_boundaries(
        [0.5], upper=Side(0.025, spend_pocock), lower=Side(0.025, spend_power)
    )
    assert taken is not None
    assert taken.boundary.upper == pytest.approx(boundary.upper)
    assert taken.boundary.lower == pytest.approx(boundary.lower)


def test_a_lift_that_ends_at_minus_everything_is_widened_evenly() -> None:
    one = Interval(-1.0, -0.2)
    two = Look(0.5, Boundary(0.5, 3.0, -3.0, 0.0, 0.0), 2, is_early=True)
    wider = widen(one, two, confidence=0.95, is_lift=True, higher_is_better=True)
    assert wider.low == -1.0
    assert wider.high > -0.2


def test_looks_for_harm_alone_leave_all_of_the_error_for_a_winner() -> None:
    early = take_look(0.3, [], comparisons=1, confidence=0.95, is_for_harm=True)
    last = take_look(1.0, [0.3, 0.6], comparisons=1, confidence=0.95, harm_looks=2)
    assert early is not None
    assert last is not None
    assert early.boundary.upper == math.inf
    assert early.boundary.lower > -3.0
    assert last.boundary.upper == pytest.approx(1.959964, abs=5e-3)
    assert last.boundary.upper_spent == pytest.approx(0.025, rel=1e-6)


def test_a_fixed_plan_does_not_look_for_harm_alone() -> None:
    fixed = Monitoring("fixed")
    assert (
        take_look(1.2, [], comparisons=1, confidence=0.95, monitoring=fixed, is_for_harm=True)
        is None
    )


def test_information_is_of_every_look_or_of_none() -> None:
    with pytest.raises(ValueError, match="2 looks and this one, but information of 1"):
        take_look(0.6, [0.2, 0.4], comparisons=1, confidence=0.95, information=[1.0])


def test_what_is_known_grows_from_look_to_look_even_where_estimates_waver() -> None:
    assert make_grow([1.0, 2.0, 1.5, 4.0]) == pytest.approx([1.0, 2.0, 2.02, 4.0])
    assert make_grow([1.0, None, 3.0]) is None
    assert make_grow([]) is None


def test_what_is_known_is_one_over_the_squared_error_of_the_lift() -> None:
    half, whole = (
        compare_proportions(x_c=n // 10, n_c=n, x_t=n // 10, n_t=n) for n in (10_000, 20_000)
    )
    few, many = find_information([half]), find_information([whole])
    assert few is not None
    assert many == pytest.approx(2 * few)
    assert find_information([half, whole, Inconclusive("none")]) == pytest.approx(1.5 * few)
    assert find_information([Inconclusive("none")]) is None
