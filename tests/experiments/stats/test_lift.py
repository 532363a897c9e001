"""Means of two arms: scipy on raw rows, the rule for rare outcomes, and small cases by hand."""

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
from experiments.stats.proportions import compare_proportions

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


def is_rare(values: FloatArray) -> bool:
    """Whether the mean is skewed by more than 0.1, if the outcome is some value or nothing."""
    mean, squared_error = values.mean(), values.var(ddof=1) / len(values)
    count = mean**2 / squared_error if mean > 0 else 0.0
    return 1 - 1e-6 < count < len(values) and (1 - count / len(values)) / math.sqrt(count) > 0.0999


# scipy warns of lost precision where an arm does not vary at all, so those are left out.
@given(varied, varied, st.floats(0.5, 0.999))
def test_difference_is_welchs_test_on_raw_rows(
    control: FloatArray, treatment: FloatArray, confidence: float
) -> None:
    assume(not (is_rare(control) or is_rare(treatment)))
    ours = estimate(control, treatment, confidence)
    oracle = stats.ttest_ind(treatment, control, equal_var=False)
    interval = oracle.confidence_interval(confidence)
    scale = ours.difference_interval.high - ours.difference_interval.low
    assert ours.difference == pytest.approx(treatment.mean() - control.mean(), abs=1e-9)
    assert ours.p_value == pytest.approx(oracle.pvalue, rel=1e-6, abs=1e-12)
    assert ours.difference_interval.low == pytest.approx(interval.low, abs=1e-9 * scale + 1e-9)
    assert ours.difference_interval.high == pytest.approx(interval.high, abs=1e-9 * scale + 1e-9)
    assert ours.method.startswith("Welch")


@given(varied)
def test_an_arms_own_interval_is_students(values: FloatArray) -> None:
    assume(not is_rare(values))
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


def spend(buyers: int, n: int, *, amount: float = 1.0) -> Moments:
    """Return the moments of n customers, of whom some spent one and the same amount."""
    return moments(np.repeat([amount, 0.0], [buyers, n - buyers]))


def compare_spend(control: Moments, treatment: Moments) -> Estimate:
    result = compare_means(control, treatment)
    assert isinstance(result, Estimate)
    return result


@given(st.integers(1, 60), st.integers(0, 60), st.integers(61, 900), st.integers(61, 900))
def test_lift_never_goes_below_minus_100_percent(x_c: int, x_t: int, n_c: int, n_t: int) -> None:
    ours = compare_spend(spend(x_c, n_c), spend(x_t, n_t))
    if ours.relative is None:
        assert ours.no_lift
        return
    assert ours.relative_interval is not None
    assert -1 <= ours.relative_interval.low <= ours.relative <= ours.relative_interval.high


@given(st.integers(0, 60), st.integers(0, 60), st.floats(0.01, 1000))
def test_the_unit_of_the_outcome_does_not_matter(x_c: int, x_t: int, amount: float) -> None:
    assume(x_c + x_t > 0)
    one = compare_spend(spend(x_c, 900), spend(x_t, 100))
    scaled = compare_spend(spend(x_c, 900, amount=amount), spend(x_t, 100, amount=amount))
    assert scaled.ln_p_value == pytest.approx(one.ln_p_value, rel=1e-6)
    assert scaled.relative_interval == one.relative_interval or (
        scaled.relative_interval is not None
        and one.relative_interval is not None
        and scaled.relative_interval.high == pytest.approx(one.relative_interval.high, rel=1e-6)
    )
    assert scaled.difference_interval.low == pytest.approx(
        amount * one.difference_interval.low, rel=1e-6
    )


@pytest.mark.parametrize("x_t", [15, 30, 60])
def test_a_rare_outcome_in_unequal_arms_is_judged_nearly_like_a_share(x_t: int) -> None:
    # Only that the error of a share is known, so that its quantiles are normal, not Student's.
    ours = compare_spend(spend(400, 90_000), spend(x_t, 10_000))
    share = compare_proportions(x_c=400, n_c=90_000, x_t=x_t, n_t=10_000)
    assert isinstance(share, Estimate)
    assert ours.method.startswith("Score t-test")
    for name in ("difference_interval", "relative_interval", "treatment_interval"):
        mine, theirs = getattr(ours, name), getattr(share, name)
        width = theirs.high - theirs.low
        assert mine.low == pytest.approx(theirs.low, abs=0.2 * width)
        assert mine.high == pytest.approx(theirs.high, abs=0.2 * width)
        assert mine.high - mine.low > 0.97 * width


def test_harm_is_seen_where_the_treatment_sells_nothing() -> None:
    ours = compare_spend(spend(40, 5000), spend(0, 5000))
    assert ours.p_value < 1e-6
    assert ours.relative == -1
    assert ours.relative_interval is not None
    assert ours.relative_interval.low == -1
    assert -0.95 < ours.relative_interval.high < -0.85
    assert ours.treatment_interval.low == 0
    assert 0 < ours.treatment_interval.high < 0.002


def test_a_control_that_sells_nothing_has_a_difference_but_no_lift() -> None:
    ours = compare_spend(spend(0, 5000), spend(40, 5000))
    assert ours.p_value < 1e-6
    assert 0 < ours.difference_interval.low < 0.008 < ours.difference_interval.high
    assert ours.relative is None
    assert "control" in ours.no_lift


@pytest.mark.parametrize("control", [[0.0, 0.0], [-1.0, 0.5], [-5.0, 5.0]])
def test_lift_is_unknown_without_a_positive_control(control: list[float]) -> None:
    ours = estimate(control, [1.0, 2.0])
    assert ours.relative is None
    assert ours.relative_interval is None
    assert "control" in ours.no_lift


def test_a_margin_that_hovers_around_zero_is_no_base_for_a_lift() -> None:
    # Mean 1, standard error 13: a log-ratio interval would reach up to 10^11.
    assert estimate([-29.0, 31.0, -9.0, 11.0], [10.0, 20.0]).relative is None


def test_a_treatment_near_zero_has_fiellers_interval() -> None:
    # Margins around 5 and around 0: what r lets a t-test of treatment - r control pass?
    control, treatment = np.arange(-4.0, 15.0), np.arange(-10.0, 11.0)
    ours = estimate(control, treatment)
    assert ours.relative == -1
    assert ours.relative_interval is not None
    assert ours.relative_interval.low == -1
    assert "Fieller" in ours.method

    def squared_t(r: float) -> float:
        squared_error = treatment.var(ddof=1) / 21 + r**2 * control.var(ddof=1) / 19
        return float((treatment.mean() - r * control.mean()) ** 2 / squared_error)

    q = stats.t.isf(0.025, 20)  # of the treatment alone, where r is zero
    assert squared_t(ours.relative_interval.high + 1) == pytest.approx(q**2)


def test_a_clear_loss_has_no_lift() -> None:
    ours = estimate(np.arange(-4.0, 15.0), np.arange(-30.0, 0.0))
    assert ours.relative is None
    assert "below zero" in ours.no_lift


def test_one_buyer_is_too_little_for_a_lift() -> None:
    ours = estimate([0.0] * 99 + [0.1], [0.0] * 48 + [0.3])
    assert ours.relative is None
    assert "Too little" in ours.no_lift


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


def test_both_arms_have_the_same_columns() -> None:
    two, one = Moments.of(np.ones((3, 2))), Moments.of(np.ones((3, 1)))
    for pair in ((two, one), (one, two)):
        with pytest.raises(ValueError, match="the same columns"):
            compare_means(*pair)


@pytest.mark.parametrize("confidence", [0.0, 1.0, -1.0, 95.0])
def test_confidence_lies_between_zero_and_one(confidence: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        estimate([1.0, 2.0], [1.0, 3.0], confidence)
