"""Sizes and powers: statsmodels, published inflation factors, and one equation solved both ways."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import ndtri
from statsmodels.stats.power import NormalIndPower, zt_ind_solve_power

from experiments.stats.power import (
    Design,
    Outcome,
    find_drift,
    find_effect,
    find_expected_fraction,
    find_inflation,
    find_power,
    find_size,
    find_stops,
)
from experiments.stats.sequential import Boundary, crossing_probabilities

SPEND = Outcome(mean=10.0, variance=400.0)
ABSOLUTE = Design(scale="absolute")
DAILY = tuple(k / 28 for k in range(1, 29))
WEEKLY = (0.25, 0.5, 0.75, 1.0)


@given(
    st.floats(0.1, 3.0), st.floats(0.2, 5.0), st.integers(200, 5000), st.sampled_from([0.01, 0.05])
)
def test_the_power_of_a_fixed_test_is_that_of_statsmodels(
    effect: float, ratio: float, n: int, alpha: float
) -> None:
    # Its two-sided power counts findings the other way round too: half the error, one-sided.
    oracle = NormalIndPower().power(effect / 20, n, alpha / 2, ratio=ratio, alternative="larger")
    ours = find_power(
        SPEND,
        Design(weights=(1.0, ratio), alpha=alpha, scale="absolute"),
        effect=effect,
        customers=n * (1 + ratio),
    )
    assert ours == pytest.approx(oracle, abs=1e-10)


@pytest.mark.parametrize(("sides", "alternative"), [(2, "two-sided"), (1, "larger")])
@pytest.mark.parametrize("ratio", [1.0, 0.25])
def test_the_size_of_a_fixed_test_is_that_of_statsmodels(
    sides: int, alternative: str, ratio: float
) -> None:
    n_control = zt_ind_solve_power(
        effect_size=0.05, alpha=0.05, power=0.9, ratio=ratio, alternative=alternative
    )
    design = Design(weights=(1.0, ratio), sides=1 if sides == 1 else 2, scale="absolute")
    size = find_size(SPEND, design, effect=1.0, power=0.9)
    assert size == math.ceil(n_control * (1 + ratio))


def test_a_relative_effect_is_a_share_of_the_mean() -> None:
    assert find_size(SPEND, Design(), effect=0.1) == find_size(SPEND, ABSOLUTE, effect=1.0)


def test_several_arms_share_the_error_and_the_customers() -> None:
    # Three arms of a third each; the smallest treatment counts.
    n_control = zt_ind_solve_power(effect_size=0.05, alpha=0.025, power=0.8, ratio=0.5)
    design = Design(weights=(2.0, 1.0, 3.0), scale="absolute")
    assert find_size(SPEND, design, effect=1.0) == math.ceil(n_control * 3)


def test_removing_half_of_the_variance_halves_the_customers() -> None:
    raw = find_size(SPEND, ABSOLUTE, effect=1.0)
    adjusted = find_size(replace(SPEND, removed=0.5), ABSOLUTE, effect=1.0)
    assert adjusted == pytest.approx(raw / 2, abs=1)


def test_a_share_varies_with_its_mean() -> None:
    # The textbook size for unpooled variances: (z_a + z_b)² (pq + p'q') / d² in each arm.
    p, q = 0.10, 0.11
    z = ndtri(0.975) + ndtri(0.8)
    expected = 2 * z**2 * (p * (1 - p) + q * (1 - q)) / (q - p) ** 2
    assert find_size(Outcome.of_share(p), Design(), effect=0.1) == math.ceil(expected)


def test_an_amount_varies_with_the_square_of_its_mean() -> None:
    amount = Outcome(10.0, 400.0, kind="amount")
    assert amount.treated_variance(1.0) == pytest.approx(400 * 1.21)
    assert SPEND.treated_variance(1.0) == 400.0


def test_an_accepted_loss_is_tested_one_sided() -> None:
    n_control = zt_ind_solve_power(effect_size=0.05, alpha=0.05, power=0.8, alternative="larger")
    design = Design(margin=1.0, scale="absolute")
    assert find_size(SPEND, design, effect=0.0) == math.ceil(2 * n_control)


def test_a_relative_margin_scales_the_control() -> None:
    # z of m_t - (1 - M) m_c, with M = 5%: the control's variance counts .95².
    design = Design(margin=0.05)
    z = ndtri(0.95) + ndtri(0.8)
    expected = z**2 * 2 * 400 * (1 + 0.95**2) / 0.5**2
    assert find_size(SPEND, design, effect=0.0) == math.ceil(expected)


def test_past_the_margin_there_is_only_the_error() -> None:
    design = Design(margin=1.0, scale="absolute")
    assert find_power(SPEND, design, effect=-1.0, customers=1000) == pytest.approx(0.05)
    assert find_power(SPEND, design, effect=-2.0, customers=1000) < 0.05


outcomes = st.sampled_from(
    [SPEND, Outcome(10.0, 400.0, "amount", 0.3), Outcome.of_share(0.03), Outcome.of_share(0.4)]
)
designs = st.sampled_from(
    [
        Design(),
        Design(weights=(3.0, 1.0, 1.0)),
        Design(sides=1),
        Design(margin=0.02),
        Design(looks=WEEKLY),
    ]
)


@settings(max_examples=25, deadline=None)
@given(outcomes, designs, st.floats(0.5, 0.95), st.integers(20_000, 1_000_000))
def test_size_power_and_effect_are_one_equation(
    outcome: Outcome, design: Design, power: float, customers: int
) -> None:
    effect = find_effect(outcome, design, customers=customers, power=power)
    found = find_power(outcome, design, effect=effect, customers=customers)
    assert found == pytest.approx(power, abs=1e-6)
    if abs(effect) > 1e-4:
        size = find_size(outcome, design, effect=effect, power=power)
        assert size == pytest.approx(customers, rel=1e-4)


def test_harm_is_found_by_its_own_boundary() -> None:
    design = Design(looks=WEEKLY)
    good = find_power(SPEND, design, effect=0.1, customers=10_000)
    bad = find_power(SPEND, design, effect=-0.1, customers=10_000)
    # Spent evenly, it costs some power at the end.
    assert bad < good
    assert find_size(SPEND, design, effect=-0.1) > find_size(SPEND, design, effect=0.1)
    swapped = replace(design, benefit="pocock", harm="obrien_fleming")
    assert find_power(SPEND, swapped, effect=0.1, customers=10_000) == pytest.approx(bad)


# Jennison & Turnbull (2000), tables 2.2 and 2.4: the constants and the sample size's inflation of
# Pocock's and O'Brien & Fleming's own tests, alpha .05 two-sided, equal looks.
@pytest.mark.parametrize(
    ("looks", "shape", "power", "published"),
    [
        (2, 0.0, 0.8, 1.110),
        (2, 0.0, 0.9, 1.100),
        (5, 0.0, 0.8, 1.229),
        (5, 0.0, 0.9, 1.207),
        (10, 0.0, 0.9, 1.271),
        (2, -0.5, 0.9, 1.007),
        (5, -0.5, 0.8, 1.028),
        (5, -0.5, 0.9, 1.026),
        (10, -0.5, 0.9, 1.037),
    ],
)
def test_drifts_give_the_published_inflation_factors(
    looks: int, shape: float, power: float, published: float
) -> None:
    def boundaries(constant: float) -> list[Boundary]:
        fractions = [k / looks for k in range(1, looks + 1)]
        return [Boundary(t, constant * t**shape, -constant * t**shape, 0, 0) for t in fractions]

    def excess(constant: float) -> float:
        up, down = crossing_probabilities(boundaries(constant), drift=0.0)
        return float(up.sum() + down.sum()) - 0.05

    constant = float(brentq(excess, 1.5, 4.0))
    drift = find_drift(boundaries(constant), power=power)
    fixed = float(ndtri(0.975) + ndtri(power))
    assert (drift / fixed) ** 2 == pytest.approx(published, abs=6e-4)


def test_our_rule_costs_little_for_daily_looks() -> None:
    # docs/adr/0010: 28 daily looks find 78% of what one final test finds 80% of.
    assert find_inflation(Design(looks=DAILY)) == pytest.approx(1.05, abs=0.005)
    assert find_inflation(Design()) == pytest.approx(1.0, abs=1e-9)
    size = find_size(SPEND, Design(), effect=0.1)
    assert find_power(SPEND, Design(looks=DAILY), effect=0.1, customers=size) == pytest.approx(
        0.78, abs=0.005
    )


def test_a_large_effect_ends_an_experiment_early() -> None:
    design = Design(looks=DAILY)
    size = find_size(SPEND, design, effect=0.1)
    fractions = [
        find_expected_fraction(SPEND, design, effect=effect, customers=size)
        for effect in (0.0, 0.1, 0.2, 0.4)
    ]
    assert fractions == sorted(fractions, reverse=True)
    assert fractions[0] > 0.95
    assert fractions[2] < 0.5


def test_every_experiment_is_over_once() -> None:
    stops = find_stops(SPEND, Design(looks=WEEKLY), effect=0.1, customers=10_000)
    assert stops.sum() == pytest.approx(1.0)
    assert (stops >= 0).all()
    assert find_expected_fraction(SPEND, Design(), effect=0.1, customers=100) == 1.0


def test_past_customers_are_described_by_what_they_did() -> None:
    share = Outcome.of(np.array([0.0, 1.0, 0.0, 0.0]))
    assert (share.mean, share.variance, share.kind) == (0.25, 0.1875, "share")
    amount = Outcome.of(np.array([0.0, 2.0, 4.0]), removed=0.2)
    assert amount == Outcome(2.0, 4.0, "amount", 0.2)
    assert Outcome.of(np.array([-2.0, 0.0, 5.0])).kind == "fixed"


def test_more_than_everybody_cannot_convert() -> None:
    with pytest.raises(ValueError, match="cannot move by"):
        find_power(Outcome.of_share(0.6), Design(), effect=1.0, customers=100)


@pytest.mark.parametrize(
    "outcome", [Outcome.of_share(0.9), Outcome(10.0, 400.0, "amount")], ids=["share", "amount"]
)
def test_too_few_customers_find_no_rise_at_all(outcome: Outcome) -> None:
    with pytest.raises(ValueError, match="too few to find any rise"):
        find_effect(outcome, Design(), customers=4)


@pytest.mark.parametrize(
    ("design", "effect"),
    [(Design(), 0.0), (Design(sides=1), -0.1), (Design(margin=0.02), -0.1)],
    ids=["nothing", "harm", "beyond the margin"],
)
def test_what_is_not_looked_for_has_no_size(design: Design, effect: float) -> None:
    with pytest.raises(ValueError, match="not what this design looks for"):
        find_size(SPEND, design, effect=effect)


@pytest.mark.parametrize("power", [0.0, 0.02, 1.0])
def test_a_power_below_the_error_or_of_certainty_is_refused(power: float) -> None:
    with pytest.raises(ValueError, match="power must lie between"):
        find_size(SPEND, Design(), effect=0.1, power=power)


def test_a_relative_effect_on_a_mean_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a mean above 0"):
        find_power(Outcome(0.0, 1.0), Design(), effect=0.1, customers=100)


def test_outcomes_without_variance_are_refused() -> None:
    with pytest.raises(ValueError, match="variance must be positive"):
        Outcome(1.0, 0.0)
    with pytest.raises(ValueError, match=r"share removed must lie in \[0, 1\)"):
        Outcome(1.0, 1.0, removed=1.0)


def test_designs_that_cannot_be_run_are_refused() -> None:
    with pytest.raises(ValueError, match="two arms or more"):
        Design(weights=(1.0,))
    with pytest.raises(ValueError, match="two arms or more"):
        Design(weights=(1.0, 0.0))
    with pytest.raises(ValueError, match="last look must be at 1"):
        Design(looks=(0.5,))
    with pytest.raises(ValueError, match="margin must be positive"):
        Design(margin=0.0)
