"""Many comparisons at once: one by one, statsmodels, and what is left out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest

from experiments.stats.comparisons import Comparisons, Lift, Reason
from experiments.stats.estimate import Estimate, Inconclusive
from experiments.stats.lift import compare_means
from experiments.stats.many import compare_means_many, compare_shares_many
from experiments.stats.moments import Moments
from experiments.stats.proportions import compare_proportions

FloatArray = NDArray[np.float64]

few = settings(max_examples=20)
seeds = st.integers(0, 2**32 - 1)


def draw_means(seed: int, m: int = 40) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Draw sizes, means and variances of every kind: nobody, nothing, rare, common, negative."""
    rng = np.random.default_rng(seed)
    n = rng.choice([0, 1, 2, 3, 20, 500, 9000, 10**6], size=(2, m)).astype(float)
    mean = rng.choice([-1.0, 0.0, 0.001, 0.01, 1.0, 50.0], size=(2, m)) * (n > 0)
    cv = rng.choice([0.0, 0.3, 1.0, 5.0, 30.0], size=(2, m))
    variance = np.where(n > 1, (cv * np.maximum(np.abs(mean), 1e-9)) ** 2, 0.0)
    return n, mean, variance


@few
@given(seeds, st.floats(0.5, 0.9999))
def test_means_are_compared_as_one_by_one(seed: int, confidence: float) -> None:
    n, mean, variance = draw_means(seed)
    many = compare_means_many(n, mean, variance, confidence=confidence)
    for i in range(n.shape[1]):
        arms = [
            Moments(int(n[arm, i]), (mean[arm, i],), ((variance[arm, i],),)) for arm in range(2)
        ]
        assert many.result(i) == compare_means(*arms, confidence=confidence)


@few
@given(seeds, st.floats(0.5, 0.9999))
def test_shares_are_compared_as_one_by_one(seed: int, confidence: float) -> None:
    rng = np.random.default_rng(seed)
    n = rng.choice([0, 1, 2, 30, 500, 9000], size=(2, 40))
    converted = rng.binomial(n, rng.choice([0.0, 0.002, 0.1, 0.9, 1.0], size=40))
    many = compare_shares_many(n, converted, confidence=confidence)
    for i in range(40):
        (n_c, n_t), (x_c, x_t) = n[:, i].tolist(), converted[:, i].tolist()
        alone = compare_proportions(x_c=x_c, n_c=n_c, x_t=x_t, n_t=n_t, confidence=confidence)
        assert many.result(i) == alone


def test_every_kind_of_answer_was_among_them() -> None:
    kinds = [compare_means_many(*draw_means(seed)) for seed in range(60)]
    reasons = {Reason(int(code)) for many in kinds for code in many.reason}
    lifts = {Lift(int(lift)) for many in kinds for lift in many.lift[many.reason == 0]}
    assert reasons >= {Reason.NONE, Reason.NOBODY_IN_CONTROL, Reason.ONE_IN_TREATMENT}
    assert Reason.NO_VARIATION in reasons
    assert lifts == set(Lift)
    assert any(many.is_pooled.any() for many in kinds)
    assert any((~many.is_pooled).any() for many in kinds)


def test_shares_agree_with_statsmodels_calls_in_a_loop() -> None:
    rng = np.random.default_rng(1)
    n = rng.integers(500, 5000, size=(2, 25))
    x = rng.binomial(n, 0.1)
    many = compare_shares_many(n, x)
    for i in range(25):
        counts = (x[1, i], n[1, i], x[0, i], n[0, i])
        _, p_value = proportions_ztest(counts[::2], counts[1::2])
        difference = confint_proportions_2indep(*counts, method="newcomb", compare="diff")
        ratio = confint_proportions_2indep(*counts, method="log", compare="ratio")
        assert many.p_value[i] == pytest.approx(p_value)
        ends = (many.difference_low[i], many.difference_high[i])
        assert ends == pytest.approx(difference)
        assert (1 + many.relative_low[i], 1 + many.relative_high[i]) == pytest.approx(ratio)


def test_means_agree_with_scipy_calls_in_a_loop() -> None:
    rng = np.random.default_rng(2)
    n, mean = rng.integers(5, 500, size=(2, 25)), rng.uniform(10, 20, size=(2, 25))
    variance = rng.uniform(1, 30, size=(2, 25))
    many = compare_means_many(n, mean, variance)
    for i in range(25):
        oracle = stats.ttest_ind_from_stats(
            mean[1, i], variance[1, i] ** 0.5, n[1, i],
            mean[0, i], variance[0, i] ** 0.5, n[0, i],
            equal_var=False,
        )  # fmt: skip
        assert many.p_value[i] == pytest.approx(oracle.pvalue)
        half = stats.t.isf(0.025, many.test_df[i]) * (many.difference[i] / oracle.statistic)
        assert many.difference_high[i] - many.difference[i] == pytest.approx(abs(half))


def numbers(many: Comparisons) -> list[FloatArray]:
    return [
        many.difference_low, many.difference_high, many.p_value, many.ln_p_value, many.test_error,
        many.means_low[0], many.means_high[1], many.relative, many.relative_high,
    ]  # fmt: skip


def test_what_is_inconclusive_has_no_numbers() -> None:
    many = compare_means_many(
        [[0, 50, 50], [50, 50, 50]], [[0, 1, 1], [1, 1, 2]], [[0, 0, 1], [1, 0, 1]]
    )
    assert many.reason.tolist() == [Reason.NOBODY_IN_CONTROL, Reason.NO_VARIATION, Reason.NONE]
    for values in numbers(many):
        assert np.isnan(values).tolist() == [True, True, False]
    assert isinstance(many.result(1), Inconclusive)
    assert isinstance(many.result(2), Estimate)


def test_without_a_lift_only_the_lift_has_no_numbers() -> None:
    many = compare_shares_many([[5000, 5000], [5000, 5000]], [[0, 40], [40, 40]])
    assert np.isnan(many.relative_low).tolist() == [True, False]
    assert not np.isnan(many.difference_low).any()


def test_an_interval_of_a_lift_without_end_is_no_lift() -> None:
    result = compare_means_many([2, 2], [1.0, 2.0], [0.19, 0.0], confidence=0.9999).result()
    assert isinstance(result, Estimate)
    assert "Too little" in result.no_lift


def test_arrays_may_have_any_shape() -> None:
    rng = np.random.default_rng(3)
    n = rng.integers(100, 200, size=(2, 3, 4))
    many = compare_shares_many(n, n // 3)
    assert many.difference.shape == (3, 4)
    result = many.result((2, 1))
    assert isinstance(result, Estimate)
    assert result.n_treatment == n[1, 2, 1]


def test_strong_evidence_keeps_its_logarithm_among_others() -> None:
    many = compare_shares_many([[10**6, 1000], [10**6, 1000]], [[10**5, 100], [2 * 10**5, 100]])
    assert many.p_value[0] == 0
    assert -22_000 < many.ln_p_value[0] < -1000
    assert many.ln_p_value[1] == 0


@pytest.mark.parametrize(
    ("n", "mean", "variance", "message"),
    [
        ([1, 2], [1, 2], [[1], [2]], "same shape"),
        ([1, 2, 3], [1, 2, 3], [1, 2, 3], "control and treatment"),
        (5, 5, 5, "control and treatment"),
        ([-1, 2], [1, 2], [1, 2], "at least 0"),
        ([5, 2], [1, 2], [1, -2], "at least 0"),
        ([5, 2], [1, np.nan], [1, 2], "finite"),
    ],
)
def test_impossible_means_are_refused(
    n: object, mean: object, variance: object, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        compare_means_many(n, mean, variance)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    ("n", "converted", "message"),
    [
        ([1, 2], [[1], [2]], "same shape"),
        ([3, 3], [1, 4], "converted <= n"),
        ([3, 3], [-1, 2], "0 <= converted"),
    ],
)
def test_impossible_counts_are_refused(n: object, converted: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare_shares_many(n, converted)  # type: ignore[arg-type]  # wrong on purpose
