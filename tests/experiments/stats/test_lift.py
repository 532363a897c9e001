"""Means of two arms: scipy on raw rows, a generalised linear model, and small cases by hand."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import stats

from experiments.stats.estimate import Estimate, Inconclusive
from experiments.stats.lift import compare_means
from experiments.stats.moments import Moments

FloatArray = NDArray[np.float64]

groups = st.integers(2, 25).flatmap(
    lambda n: arrays(float, n, elements=st.floats(-1000, 1000).map(lambda x: round(x, 3)))
)

varied = groups.filter(lambda values: np.ptp(values) > 0.01)


def moments(values: FloatArray | list[float]) -> Moments:
    return Moments.of(np.array(values, dtype=float).reshape(-1, 1))


def estimate(
    control: FloatArray | list[float], treatment: FloatArray | list[float], confidence: float = 0.95
) -> Estimate:
    result = compare_means(moments(control), moments(treatment), confidence=confidence)
    assert isinstance(result, Estimate)
    return result


# scipy warns of lost precision where an arm does not vary at all, so those are left out.
@given(varied, varied, st.floats(0.5, 0.999))
def test_difference_is_welchs_test_on_raw_rows(
    control: FloatArray, treatment: FloatArray, confidence: float
) -> None:
    ours = estimate(control, treatment, confidence)
    oracle = stats.ttest_ind(treatment, control, equal_var=False)
    interval = oracle.confidence_interval(confidence)
    scale = ours.difference_interval.high - ours.difference_interval.low
    assert ours.difference == pytest.approx(treatment.mean() - control.mean(), abs=1e-9)
    assert ours.p_value == pytest.approx(oracle.pvalue, rel=1e-6, abs=1e-12)
    assert ours.difference_interval.low == pytest.approx(interval.low, abs=1e-9 * scale + 1e-9)
    assert ours.difference_interval.high == pytest.approx(interval.high, abs=1e-9 * scale + 1e-9)


@given(varied)
def test_an_arms_own_interval_is_students(values: FloatArray) -> None:
    ours = estimate(values, values).control_interval
    oracle = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((oracle.low, oracle.high), rel=1e-9, abs=1e-9)


@given(groups, groups)
def test_swapping_the_arms_mirrors_the_difference(
    control: FloatArray, treatment: FloatArray
) -> None:
    assume(np.ptp(control) + np.ptp(treatment) > 0.01)
    there, back = estimate(control, treatment), estimate(treatment, control)
    assert there.difference == -back.difference
    assert there.difference_interval.low == pytest.approx(-back.difference_interval.high)
    assert there.ln_p_value == pytest.approx(back.ln_p_value)


@given(st.integers(1, 999), st.integers(1, 999))
def test_lift_never_goes_below_minus_100_percent(low: int, high: int) -> None:
    ours = estimate([0, 0, 0, high], [0, 0, 0, 0, 0, low], 0.999)
    assert ours.relative_interval is not None
    assert ours.relative is not None
    assert -1 <= ours.relative_interval.low <= ours.relative <= ours.relative_interval.high


@pytest.mark.parametrize("control", [[0.0, 0.0], [-1.0, 0.5], [-5.0, 5.0]])
def test_lift_is_unknown_without_a_positive_control(control: list[float]) -> None:
    ours = estimate(control, [1.0, 2.0])
    assert ours.relative is None
    assert ours.relative_interval is None


def test_a_margin_that_hovers_around_zero_is_no_base_for_a_lift() -> None:
    # Mean 1, standard error 13: a log-ratio interval would reach up to 10^11.
    assert estimate([-29.0, 31.0, -9.0, 11.0], [10.0, 20.0]).relative is None


def test_one_buyer_is_a_base_for_a_lift() -> None:
    assert estimate([0.0] * 99 + [0.1], [0.0] * 48 + [0.3]).relative == pytest.approx(300 / 49 - 1)


def test_lift_is_unknown_when_the_treatment_has_nothing() -> None:
    assert estimate([1.0, 2.0], [0.0, 0.0]).relative is None


def test_tiny_variances_do_not_underflow() -> None:
    tiny = compare_means(
        Moments(50, (1e-90,), ((1e-180,),)), Moments(50, (2e-90,), ((1e-180,),)), confidence=0.95
    )
    assert isinstance(tiny, Estimate)
    assert tiny.p_value == pytest.approx(2 * stats.t.sf(5, 98))


def test_strong_evidence_keeps_its_logarithm() -> None:
    n = 2_000_000
    huge = compare_means(Moments(n, (1.0,), ((1.0,),)), Moments(n, (1.1,), ((1.0,),)))
    assert isinstance(huge, Estimate)
    assert huge.p_value == 0
    # With this many degrees of freedom t is normal but for O(t^4 / df) in the exponent.
    t = 0.1 / math.sqrt(2 / n)
    assert huge.ln_p_value == pytest.approx(
        math.log(2) + stats.norm.logsf(t), abs=t**4 / (4 * (2 * n - 2)) + 1
    )


@pytest.mark.parametrize(
    ("control", "treatment", "reason"),
    [
        ([], [1.0, 2.0], "No customers have been counted in the control"),
        ([1.0, 2.0], [], "No customers have been counted in the treatment"),
        ([1.0], [1.0, 2.0], "Only one customer has been counted in the control"),
        ([1.0, 2.0], [1.0], "Only one customer has been counted in the treatment"),
        ([1.0, 1.0], [2.0, 2.0], "no variation"),
    ],
)
def test_what_cannot_be_estimated_says_why(
    control: list[float], treatment: list[float], reason: str
) -> None:
    result = compare_means(moments(control), moments(treatment))
    assert isinstance(result, Inconclusive)
    assert reason in result.reason


def test_a_mean_is_one_column() -> None:
    two, one = Moments.of(np.ones((3, 2))), Moments.of(np.ones((3, 1)))
    for pair in ((two, one), (one, two)):
        with pytest.raises(ValueError, match="exactly one column"):
            compare_means(*pair)
