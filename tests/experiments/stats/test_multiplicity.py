"""Many comparisons: statsmodels, published examples, brute force, and error rates by simulation."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtri
from statsmodels.stats.multitest import multipletests

from experiments.stats.estimate import Estimate, Interval
from experiments.stats.lift import compare_means
from experiments.stats.moments import Moments
from experiments.stats.multiplicity import (
    Effect,
    Family,
    adjust_benjamini_hochberg,
    adjust_holm,
    decide_benjamini_hochberg,
    decide_holm,
    gatekeep,
)
from experiments.stats.tails import ln_p_normal

METHODS = [(adjust_holm, "holm"), (adjust_benjamini_hochberg, "fdr_bh")]
DECIDE = pytest.mark.parametrize("decide", [decide_holm, decide_benjamini_hochberg])

z_values = st.lists(st.floats(-6, 6), min_size=1, max_size=8)
alphas = st.sampled_from([0.01, 0.05, 0.1, 0.3])

# Neuhaus et al. (1992), fifteen endpoints of a trial: the example of Benjamini & Hochberg (1995).
THROMBOLYSIS = [
    *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344),
    *(0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000),
]


def logs(values: Sequence[float]) -> list[float]:
    return [math.log(value) for value in values]


def effect(z: float) -> Effect:
    """An estimate with standard error 1."""

    def interval_at(confidence: float) -> Interval:
        half = -float(ndtri((1 - confidence) / 2))
        return Interval(z - half, z + half)

    return Effect(difference=z, ln_p_value=ln_p_normal(z), interval_at=interval_at)


def effects(z: Sequence[float] | NDArray[np.float64]) -> list[Effect]:
    return [effect(float(value)) for value in z]


@pytest.mark.parametrize(("adjust", "name"), METHODS)
@settings(max_examples=6)  # statsmodels collects garbage each time, a tenth of a second
@given(st.lists(st.floats(1e-12, 1.0), min_size=2, max_size=12))
def test_adjusted_p_values_are_those_of_statsmodels(
    adjust: Any, name: str, values: list[float]
) -> None:
    oracle = multipletests(values, method=name)[1]
    assert [math.exp(value) for value in adjust(logs(values))] == pytest.approx(oracle, rel=1e-9)


def test_adjusted_p_values_agree_with_the_reference_numbers(references: dict[str, Any]) -> None:
    known = references["hillstrom"]["multiple_testing_6"]
    for adjust, name in ((adjust_holm, "holm"), (adjust_benjamini_hochberg, "bh")):
        ours = [math.exp(value) for value in adjust(logs(known["p"]))]
        assert ours == pytest.approx(known[name], rel=1e-9)


@pytest.mark.parametrize(("adjust", "findings"), [(adjust_holm, 3), (adjust_benjamini_hochberg, 4)])
def test_the_published_example_gives_the_published_findings(adjust: Any, findings: int) -> None:
    adjusted = adjust(logs(THROMBOLYSIS))
    assert sum(value < math.log(0.05) for value in adjusted) == findings


@pytest.mark.parametrize(("adjust", "name"), METHODS)
def test_p_values_too_small_for_a_float_are_adjusted(adjust: Any, name: str) -> None:
    assert adjust([-921.0, -2000.0])[1] == pytest.approx(-2000 + math.log(2))
    assert adjust([-math.inf, 0.0]) == [-math.inf, 0.0]


@pytest.mark.parametrize(("adjust", "name"), METHODS)
@given(st.permutations([0.01, 0.02, 0.02, 0.4, 1.0]))
def test_the_order_of_comparisons_does_not_matter(
    adjust: Any, name: str, values: list[float]
) -> None:
    known = dict(
        zip([0.01, 0.02, 0.02, 0.4, 1.0], adjust(logs([0.01, 0.02, 0.02, 0.4, 1])), strict=True)
    )
    assert adjust(logs(values)) == pytest.approx([known[value] for value in values])


@pytest.mark.parametrize(("adjust", "name"), METHODS)
def test_nothing_to_adjust_is_fine_and_one_stays_itself(adjust: Any, name: str) -> None:
    assert adjust([]) == []
    assert adjust([-3.0]) == [-3.0]


@pytest.mark.parametrize(("adjust", "name"), METHODS)
@pytest.mark.parametrize("wrong", [0.1, math.nan])
def test_a_p_value_lies_between_0_and_1(adjust: Any, name: str, wrong: float) -> None:
    with pytest.raises(ValueError, match="at most 0"):
        adjust([-1.0, wrong])


@given(z_values.map(lambda z: [abs(value) for value in z]), alphas)
def test_effects_that_all_go_up_are_decided_as_by_holm(z: list[float], alpha: float) -> None:
    two_sided = adjust_holm([ln_p_normal(value) for value in z])
    ours = [decision.is_significant for decision in decide_holm(effects(z), alpha=alpha)]
    assert ours == [value < math.log(alpha) for value in two_sided]


@given(z_values, alphas)
def test_directions_are_decided_between_bonferroni_and_holm(z: list[float], alpha: float) -> None:
    ln_p = [ln_p_normal(value) for value in z]
    for decision, least, alone in zip(
        decide_holm(effects(z), alpha=alpha), adjust_holm(ln_p), ln_p, strict=True
    ):
        bonferroni = min(alone + math.log(len(z)), 0.0)
        assert least - 1e-9 <= decision.ln_adjusted <= bonferroni + 1e-9


@given(z_values.map(lambda z: z[:5]), alphas)
def test_holms_bounds_are_the_partition_tests_turned_around(z: list[float], alpha: float) -> None:
    # By brute force: theta <= 0 on the set J of effects is rejected when any in J is beyond
    # alpha / (2 |J|), and the parameters that survive are projected on each axis.
    m = len(z)

    def bound(value: float, size: int) -> float:
        return value + float(ndtri(alpha / 2 / size))

    lows = [math.inf] * m
    for size in range(m + 1):
        for at_most_zero in itertools.combinations(range(m), size):
            # Where none is at most zero, all m are tested together.
            limits = {i: bound(z[i], size or m) for i in at_most_zero or range(m)}
            if at_most_zero and max(limits.values()) >= 0:
                continue
            for i in range(m):
                inside = limits[i] if i in at_most_zero else max(limits.get(i, 0.0), 0.0)
                lows[i] = min(lows[i], inside)
    ours = [decision.interval.low for decision in decide_holm(effects(z), alpha=alpha)]
    assert ours == pytest.approx(lows, abs=1e-9)


@DECIDE
@given(z_values, alphas)
def test_an_interval_lies_on_one_side_of_zero_exactly_when_significant(
    decide: Any, z: list[float], alpha: float
) -> None:
    for value, decision in zip(z, decide(effects(z), alpha=alpha), strict=True):
        interval = decision.interval
        if decision.is_significant:
            assert interval.low >= 0 if value > 0 else interval.high <= 0
        else:
            assert 0 in interval
        assert decision.is_significant == (decision.ln_adjusted < math.log(alpha))


@DECIDE
@given(z_values, alphas)
def test_turning_every_effect_round_turns_the_intervals_round(
    decide: Any, z: list[float], alpha: float
) -> None:
    there = decide(effects(z), alpha=alpha)
    back = decide(effects([-value for value in z]), alpha=alpha)
    for one, other in zip(there, back, strict=True):
        assert one.ln_adjusted == other.ln_adjusted
        assert one.interval.low == pytest.approx(-other.interval.high, abs=1e-12)


def test_holm_spends_on_the_undecided_what_the_decided_no_longer_need() -> None:
    clear, open_one = decide_holm(effects([9.0, 1.0]), alpha=0.05)
    assert clear.is_significant
    assert not open_one.is_significant
    assert clear.interval.low == 0
    assert open_one.interval.low == pytest.approx(1 - stats.norm.isf(0.025))
    assert open_one.interval.high == pytest.approx(1 + stats.norm.isf(0.0125))


def test_when_all_is_decided_bounds_move_away_from_zero() -> None:
    first, second = decide_holm(effects([9.0, 2.0]), alpha=0.05)
    assert first.interval.low == pytest.approx(9 - stats.norm.isf(0.0125))
    assert second.is_significant
    assert second.interval.low == 0  # Bonferroni's bound is below zero, Holm's decision is not.


def test_findings_get_intervals_of_false_coverage_rate_alpha() -> None:
    found, second, other = decide_benjamini_hochberg(effects([9.0, -4.0, 0.5]), alpha=0.06)
    half = stats.norm.isf(0.02)  # 1 - 2 * 0.06 / 3 = 0.96 confidence
    assert found.interval.low == pytest.approx(9 - half)
    assert second.interval.high == pytest.approx(-4 + half)
    assert (other.interval.low, other.interval.high) == pytest.approx((0.5 - half, 0.5 + half))


@DECIDE
def test_an_interval_of_another_formula_yields_to_the_decision(decide: Any) -> None:
    across = Effect(3.0, ln_p_normal(3.0), lambda _: Interval(-0.1, 6.0))
    apart = Effect(-1.0, ln_p_normal(1.0), lambda _: Interval(-2.0, -0.1))
    first, second = decide([across, apart], alpha=0.05)
    assert first.is_significant
    assert first.interval.low == 0
    assert not second.is_significant
    assert second.interval.high == 0


@DECIDE
def test_real_estimates_can_be_judged_together(decide: Any) -> None:
    rng = np.random.default_rng(1)
    arms = [Moments.of(rng.normal(mean, 1, size=(200, 1))) for mean in (0.0, 1.0, 0.0)]

    def to_effect(control: Moments, treatment: Moments) -> Effect:
        def at(confidence: float) -> Estimate:
            result = compare_means(control, treatment, confidence=confidence)
            assert isinstance(result, Estimate)
            return result

        known = at(0.95)
        return Effect(known.difference, known.ln_p_value, lambda c: at(c).difference_interval)

    decisions = decide([to_effect(arms[0], arms[1]), to_effect(arms[0], arms[2])], alpha=0.05)
    assert [decision.is_significant for decision in decisions] == [True, False]


@DECIDE
def test_nothing_to_decide_is_fine_and_no_difference_is_no_finding(decide: Any) -> None:
    assert decide([], alpha=0.05) == []
    (still,) = decide(effects([0.0]), alpha=0.05)
    assert not still.is_significant
    assert still.ln_adjusted == 0


@DECIDE
@pytest.mark.parametrize("alpha", [0.0, 1.0, math.nan])
def test_alpha_lies_between_0_and_1(decide: Any, alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        decide(effects([1.0]), alpha=alpha)


@given(st.lists(st.lists(st.floats(1e-6, 0.2), max_size=3), max_size=4), alphas)
def test_a_family_counts_once_all_before_it_are_significant(
    families: list[list[float]], alpha: float
) -> None:
    # By the procedure itself: test family after family at alpha, and stop at the first failure.
    ours = gatekeep([Family(logs(values), adjust_holm) for values in families])
    is_open = True
    for values, adjusted in zip(families, ours, strict=True):
        alone = [value < math.log(alpha) for value in adjust_holm(logs(values))]
        assert [value < math.log(alpha) for value in adjusted] == [is_open and a for a in alone]
        is_open = is_open and all(alone)


def test_families_may_be_judged_differently() -> None:
    goal = Family([math.log(1e-9)], adjust_holm)
    segments = Family(logs(THROMBOLYSIS), adjust_benjamini_hochberg)
    _, adjusted = gatekeep([goal, segments])
    assert sum(value < math.log(0.05) for value in adjusted) == 4


RUNS = 4000
ALPHA = 0.1
TOLERANCE = 3 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS)
TRUTHS = np.array([0.0, 0.0, 0.0, 0.0, 0.3, -0.3, 3.0, 5.0])


def draw_correlated(rng: np.random.Generator) -> NDArray[np.float64]:
    """Estimates with standard error 1 and correlation 1/2, as arms share their control."""
    return TRUTHS + math.sqrt(0.5) * (rng.normal(size=len(TRUTHS)) + rng.normal())


@pytest.mark.slow
@pytest.mark.parametrize("is_correlated", [False, True])
def test_holms_intervals_all_hold_at_once(is_correlated: bool) -> None:
    rng = np.random.default_rng(20260703)
    failures = 0
    for _ in range(RUNS):
        z = draw_correlated(rng) if is_correlated else TRUTHS + rng.normal(size=len(TRUTHS))
        failures += not all(
            truth in d.interval and not (truth == 0 and d.is_significant)
            for truth, d in zip(TRUTHS, decide_holm(effects(z), alpha=ALPHA), strict=True)
        )
    assert failures / RUNS <= ALPHA + TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("is_correlated", [False, True])
def test_false_discoveries_and_false_coverage_stay_below_alpha(is_correlated: bool) -> None:
    rng = np.random.default_rng(20260704)
    false, missed = np.zeros(RUNS), np.zeros(RUNS)
    for run in range(RUNS):
        z = draw_correlated(rng) if is_correlated else TRUTHS + rng.normal(size=len(TRUTHS))
        decisions = decide_benjamini_hochberg(effects(z), alpha=ALPHA)
        found = [(t, d) for t, d in zip(TRUTHS, decisions, strict=True) if d.is_significant]
        false[run] = sum(truth == 0 for truth, _ in found) / max(len(found), 1)
        missed[run] = sum(truth not in d.interval for truth, d in found) / max(len(found), 1)
    # Shares lie in [0, 1], so they vary at most as much as a yes or no with the same mean.
    assert false.mean() <= ALPHA * 4 / 8 + TOLERANCE
    assert missed.mean() <= ALPHA + TOLERANCE


@pytest.mark.slow
def test_false_findings_behind_gates_stay_below_alpha() -> None:
    rng = np.random.default_rng(20260705)
    failures = 0
    for _ in range(RUNS):
        ln_p = [ln_p_normal(z) for z in draw_correlated(rng)]
        _, segments = gatekeep([Family(ln_p[7:], adjust_holm), Family(ln_p[:4], adjust_holm)])
        failures += min(segments) < math.log(ALPHA)
    assert failures / RUNS <= ALPHA + TOLERANCE
