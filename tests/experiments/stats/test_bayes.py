"""Bayesian readings: numerical integration, algebra, and their error by brute force."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad

from experiments.stats.bayes import (
    LEAST_SD,
    WEAK,
    Prior,
    find_log_ratio,
    find_stopping_error,
    fit_prior,
    read_effect,
)
from experiments.stats.estimate import Estimate
from experiments.stats.lift import compare_means
from experiments.stats.moments import Moments

FLAT = Prior(math.inf, "flat")

effects = st.floats(-0.5, 0.5)
errors = st.floats(0.005, 0.3)
priors = st.floats(0.01, 0.5).map(lambda sd: Prior(sd, "given"))


def daily(looks: int, *, last: float = 0.02) -> list[float]:
    """Standard errors at equally spaced looks."""
    return [last * math.sqrt(looks / k) for k in range(1, looks + 1)]


@given(effects, errors, priors)
def test_a_reading_is_what_numerical_integration_gives(
    effect: float, error: float, prior: Prior
) -> None:
    reading = read_effect(effect, error, prior=prior, confidence=0.9)
    grid = np.linspace(-8, 8, 4001) * min(error, prior.sd)
    grid += effect * prior.sd**2 / (prior.sd**2 + error**2)
    ln_density = stats.norm.logpdf(effect, grid, error) + stats.norm.logpdf(grid, 0, prior.sd)
    density = np.exp(ln_density - ln_density.max())
    density /= density.sum()
    mean = float(density @ grid)
    sd = math.sqrt(float(density @ (grid - mean) ** 2))
    assert math.log1p(reading.lift) == pytest.approx(mean, abs=1e-9)
    assert math.log1p(reading.interval.high) == pytest.approx(mean + 1.6448536 * sd, abs=1e-7)
    assert math.log1p(reading.interval.low) == pytest.approx(mean - 1.6448536 * sd, abs=1e-7)


@pytest.mark.parametrize(("effect", "error"), [(0.1, 0.05), (-0.02, 0.01), (0.3, 0.2), (0.0, 0.1)])
def test_losses_and_chance_are_integrals_over_what_is_believed(effect: float, error: float) -> None:
    reading = read_effect(effect, error, prior=WEAK)
    weight = 0.01 / (0.01 + error**2)
    belief = stats.norm(weight * effect, math.sqrt(weight) * error)
    lost, _ = quad(lambda x: -math.expm1(x) * belief.pdf(x), -2, 0, points=[-0.1])
    gained, _ = quad(lambda x: math.expm1(x) * belief.pdf(x), 0, 2, points=[0.1])
    assert reading.chance_to_beat == pytest.approx(belief.sf(0), rel=1e-9)
    assert reading.loss_of_shipping == pytest.approx(lost, rel=1e-6)
    assert reading.loss_of_keeping == pytest.approx(gained, rel=1e-6)


@given(effects, errors, priors)
def test_the_two_losses_differ_by_the_expected_lift(
    effect: float, error: float, prior: Prior
) -> None:
    reading = read_effect(effect, error, prior=prior)
    weight = prior.sd**2 / (prior.sd**2 + error**2)
    expected = math.expm1(weight * effect + weight * error**2 / 2)
    assert reading.loss_of_keeping - reading.loss_of_shipping == pytest.approx(expected, abs=1e-12)
    assert reading.loss_of_shipping >= 0 <= reading.loss_of_keeping


@given(effects, errors, priors)
def test_where_lower_is_better_everything_is_turned_round(
    effect: float, error: float, prior: Prior
) -> None:
    high = read_effect(effect, error, prior=prior)
    low = read_effect(effect, error, prior=prior, higher_is_better=False)
    assert low.chance_to_beat == pytest.approx(1 - high.chance_to_beat)
    assert low.loss_of_shipping == high.loss_of_keeping
    assert low.loss_of_keeping == high.loss_of_shipping
    assert low.lift == high.lift


def test_a_flat_prior_believes_the_estimate() -> None:
    reading = read_effect(0.05, 0.02, prior=FLAT)
    assert reading.lift == pytest.approx(math.expm1(0.05))
    assert reading.chance_to_beat == pytest.approx(stats.norm.cdf(2.5))


@given(effects, errors, priors)
def test_a_proper_prior_draws_the_lift_towards_nothing(
    effect: float, error: float, prior: Prior
) -> None:
    lift = read_effect(effect, error, prior=prior).lift
    assert abs(math.log1p(lift)) <= abs(effect) + 1e-12


def test_a_log_ratio_is_read_back_from_a_lift() -> None:
    estimate = compare_means(
        Moments(1000, (2.0,), ((4.0,),)), Moments(1000, (2.2,), ((5.0,),)), confidence=0.9
    )
    assert isinstance(estimate, Estimate)
    expected = math.log(1.1), math.sqrt(4 / 1000 / 2**2 + 5 / 1000 / 2.2**2)
    # By Student's quantile with 2,000 degrees of freedom, larger by less than a thousandth.
    assert find_log_ratio(estimate) == pytest.approx(expected, rel=1e-3)


def test_without_a_lift_there_is_no_log_ratio() -> None:
    # A margin that hovers around zero is no base for a ratio.
    estimate = compare_means(Moments(1000, (0.01,), ((4.0,),)), Moments(1000, (0.2,), ((5.0,),)))
    assert isinstance(estimate, Estimate)
    assert estimate.relative is None
    assert find_log_ratio(estimate) is None


def test_few_past_experiments_leave_the_weak_prior() -> None:
    assert fit_prior([0.5] * 9, [0.01] * 9) is WEAK
    assert 2 * stats.norm.cdf(-0.2 / WEAK.sd) == pytest.approx(0.0455, abs=1e-4)


def test_the_prior_has_the_spread_of_past_effects_without_their_errors() -> None:
    # Of equal errors: the mean square of the effects, less the squared error.
    past = [0.03, -0.05, 0.02, 0.0, 0.06, -0.01, -0.04, 0.01, 0.02, -0.03]
    prior = fit_prior(past, [0.02] * 10)
    expected = math.sqrt(sum(effect**2 for effect in past) / 10 - 0.02**2)
    assert prior.sd == pytest.approx(expected, rel=1e-9)
    assert prior.source.startswith("fitted to 10 past experiments")


def test_a_history_of_nothing_still_allows_small_effects() -> None:
    assert fit_prior([0.001, -0.001] * 5, [0.02] * 10).sd == LEAST_SD


# Simulated before with 200,000 paths: 46%, 38% and 10% of experiments without an effect stopped.
@pytest.mark.parametrize(("looks", "known"), [(28, 0.46), (14, 0.38), (1, 0.10)])
def test_peeking_at_a_flat_prior_errs_as_often_as_simulated(looks: int, known: float) -> None:
    error = find_stopping_error(0.95, daily(looks), prior=FLAT)
    assert error.total == pytest.approx(known, abs=0.005)
    assert error.better == pytest.approx(error.worse)


def test_a_narrower_prior_errs_less() -> None:
    totals = [
        find_stopping_error(0.95, daily(28), prior=Prior(sd, "given")).total
        for sd in (0.01, 0.05, 0.2, math.inf)
    ]
    assert totals == sorted(totals)
    assert totals[0] < 0.05 < totals[-1]


def test_an_effect_is_called_better_more_often_than_none() -> None:
    none = find_stopping_error(0.95, daily(7), prior=WEAK)
    some = find_stopping_error(0.95, daily(7), prior=WEAK, effect=0.04)
    assert some.better > 0.5 > none.better
    assert some.worse < none.worse


@pytest.mark.parametrize("sd", [0.0, -1.0, math.nan])
def test_a_prior_without_width_is_refused(sd: float) -> None:
    with pytest.raises(ValueError, match="positive standard deviation"):
        Prior(sd, "broken")


def test_an_estimate_without_error_is_refused() -> None:
    with pytest.raises(ValueError, match="must be positive"):
        read_effect(0.1, 0.0, prior=WEAK)


@pytest.mark.parametrize("chance", [0.5, 1.0])
def test_a_chance_that_stops_nothing_or_at_once_is_refused(chance: float) -> None:
    with pytest.raises(ValueError, match=r"between 0\.5 and 1"):
        find_stopping_error(chance, [0.1], prior=WEAK)


@pytest.mark.parametrize("standard_errors", [[], [0.1, 0.1], [0.1, 0.2], [0.1, 0.0]])
def test_standard_errors_that_do_not_decrease_are_refused(standard_errors: list[float]) -> None:
    with pytest.raises(ValueError, match="must decrease"):
        find_stopping_error(0.95, standard_errors, prior=WEAK)


@pytest.mark.parametrize("effect", [0.0, 0.03])
def test_readings_at_every_look_stop_as_often_as_computed(effect: float) -> None:
    """Real readings of simulated data, not the boundaries derived from them."""
    rng = np.random.default_rng(95)
    runs, looks = 2000, 10
    standard_errors = daily(looks)
    stopped = np.zeros(2)
    for _ in range(runs):
        noise = rng.normal(size=looks).cumsum() / np.arange(1, looks + 1)
        for k, error in enumerate(standard_errors):
            y = effect + noise[k] * standard_errors[0]
            chance = read_effect(y, error, prior=WEAK).chance_to_beat
            if not 0.05 < chance < 0.95:
                stopped += chance >= 0.95, chance <= 0.05
                break
    computed = find_stopping_error(0.95, standard_errors, prior=WEAK, effect=effect)
    for rate, p in zip(stopped / runs, (computed.better, computed.worse), strict=True):
        assert rate == pytest.approx(p, abs=3 * math.sqrt(p * (1 - p) / runs))


def test_a_prior_fitted_to_many_experiments_is_the_true_one() -> None:
    rng = np.random.default_rng(10)
    runs, tau = 400, 0.03
    fitted = []
    for _ in range(runs):
        s = rng.uniform(0.01, 0.05, 40)
        fitted.append(fit_prior(list(rng.normal(rng.normal(0, tau, 40), s)), list(s)).sd ** 2)
    assert np.mean(fitted) == pytest.approx(tau**2, abs=3 * float(np.std(fitted)) / math.sqrt(runs))
