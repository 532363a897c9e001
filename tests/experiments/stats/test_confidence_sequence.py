"""Confidence sequences, against their defining equation and simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from experiments.stats.confidence_sequence import ConfidenceSequence

SEQUENCE = ConfidenceSequence(alpha=0.05, tuned_to=10_000)


@given(st.floats(-8, 8), st.floats(10, 1e7))
def test_the_p_value_falls_below_alpha_exactly_when_the_interval_leaves_out_zero(
    z: float, n: float
) -> None:
    low, high = SEQUENCE.interval(z, 1.0, n=n)
    is_out = low > 0 or high < 0
    assert is_out == (SEQUENCE.ln_p_value(z, n=n) < math.log(0.05))


def test_the_p_value_solves_the_mixture_martingale() -> None:
    """Robbins (1970): p is one over the likelihood ratio mixed over N(0, rho²), capped at 1."""
    n, z = 5000.0, 4.0
    rho = math.sqrt(SEQUENCE.mixture_variance)
    effect = np.linspace(-12 * rho, 12 * rho, 200_001)
    prior = np.exp(-0.5 * (effect / rho) ** 2) / (rho * math.sqrt(2 * math.pi))
    ratio = np.exp(effect * z * math.sqrt(n) - 0.5 * n * effect**2)
    mixed = np.trapezoid(prior * ratio, effect)
    assert SEQUENCE.ln_p_value(z, n=n) == pytest.approx(-math.log(mixed), rel=1e-9)


def test_no_other_tuning_is_much_shorter_at_the_size_it_is_tuned_to() -> None:
    best = minimize_scalar(
        lambda log_size: ConfidenceSequence(0.05, math.exp(log_size)).multiplier(10_000),
        bounds=(math.log(100), math.log(1e6)),
        method="bounded",
    )
    assert SEQUENCE.multiplier(10_000) <= 1.001 * best.fun


def test_an_estimate_near_zero_has_a_p_value_of_one() -> None:
    assert SEQUENCE.ln_p_value(0.1, n=1000) == 0.0


@pytest.mark.parametrize(("alpha", "size"), [(0.0, 100), (1.0, 100), (0.05, 0)])
def test_what_tunes_nothing_is_refused(alpha: float, size: float) -> None:
    with pytest.raises(ValueError, match=r"must lie|positive"):
        ConfidenceSequence(alpha, size)


@pytest.mark.slow
def test_it_rarely_ever_leaves_out_the_truth() -> None:
    """2,000 paths of 20,000 customers, looked at after each one from the 100th on."""
    runs, n = 2000, 20_000
    rng = np.random.default_rng(5)
    counts = np.arange(1, n + 1)
    reach = np.array([SEQUENCE.multiplier(float(k)) for k in counts])
    misses = 0
    for _ in range(runs):
        z = np.cumsum(rng.standard_normal(n)) / np.sqrt(counts)
        misses += bool((np.abs(z) > reach)[100:].any())
    assert misses / runs < 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
