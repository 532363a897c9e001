"""Differences before exposure: scipy as the oracle, and how the error is shared."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from experiments.health.base import Covariate, HealthContext
from experiments.health.imbalance import check_imbalance
from experiments.stats.moments import Moments
from tests.experiments.health.contexts import make_context, make_moments


def measured(**means: float) -> HealthContext:
    """One covariate with variance 1 in arms of 1,000 customers: the error of a gap is .0447."""
    moments = {arm: make_moments(1000, mean, 1.0) for arm, mean in means.items()}
    return replace(make_context(), covariates=(Covariate("visits before", moments),))


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.floats(0.0, 1.0))
def test_a_single_covariate_is_welchs_test(seed: int, gap: float) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(5, 1, 60), rng.normal(5 + gap, 2, 80)
    oracle = stats.ttest_ind(a, b, equal_var=False).pvalue
    moments = {"A": Moments.of(a[:, None]), "B": Moments.of(b[:, None])}
    finding = check_imbalance(
        replace(make_context(), covariates=(Covariate("visits before", moments),))
    )
    if oracle >= 0.01:
        assert finding is None
    else:
        assert finding is not None
        assert finding.severity == ("blocking" if oracle < 0.001 else "warning")
        assert finding.evidence["p_value"] == pytest.approx(oracle, rel=1e-6)


def test_the_worst_arm_is_named() -> None:
    finding = check_imbalance(measured(A=5.0, B=5.05, C=5.20))
    assert finding is not None
    assert finding.severity == "blocking"
    assert finding.evidence["arm"] == "C"
    assert (
        "customers in C already differed from those in A: visits before was 5.20 against 5.00"
        in finding.detail
    )


def test_a_small_gap_is_chance_when_there_are_many_covariates() -> None:
    # z = 2.7, p = .007: a warning alone, nothing among ten.
    alone = measured(A=5.0, B=5.0 + 2.7 * 0.0447)
    found = check_imbalance(alone)
    assert found is not None
    assert found.severity == "warning"
    even = Covariate(
        "age", {"A": make_moments(1000, 40.0, 9.0), "B": make_moments(1000, 40.0, 9.0)}
    )
    assert check_imbalance(replace(alone, covariates=(*alone.covariates, *[even] * 9))) is None


def test_at_an_early_look_it_takes_more() -> None:
    context = measured(A=5.0, B=5.0 + 2.7 * 0.0447)
    assert check_imbalance(replace(context, fraction=0.2)) is None


@pytest.mark.parametrize(
    "unjudged",
    [
        measured(B=5.0, C=9.0),
        replace(measured(A=5.0, B=9.0), control=None),
        replace(
            make_context(),
            covariates=(Covariate("x", {"A": make_moments(1, 5, 0), "B": make_moments(1, 9, 0)}),),
        ),
    ],
    ids=["no control was measured", "there is no control", "one customer each"],
)
def test_without_a_control_or_variation_nothing_is_judged(unjudged: HealthContext) -> None:
    assert check_imbalance(unjudged) is None
