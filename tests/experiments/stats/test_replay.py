"""Replays of history: they agree with the formulas, and the formulas with them."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments.stats.power import (
    Design,
    Outcome,
    find_expected_fraction,
    find_power,
    find_size,
)
from experiments.stats.replay import simulate_power

FloatArray = NDArray[np.float64]

WEEKLY = (0.25, 0.5, 0.75, 1.0)
DAILY = tuple(k / 14 for k in range(1, 15))


def converted(share: float, n: int = 20_000) -> FloatArray:
    return (np.arange(n) < share * n).astype(float)


def spent(*, buyers: float, sigma: float, n: int = 20_000, seed: int = 3) -> FloatArray:
    """Some buy, for a lognormal amount; the others spend nothing."""
    rng = np.random.default_rng(seed)
    return np.asarray(rng.lognormal(3, sigma, n) * (rng.random(n) < buyers))


def earned(n: int = 20_000) -> FloatArray:
    """A margin that may be negative."""
    return np.asarray(np.random.default_rng(4).gamma(2.0, 5.0, n) - 6.0)


FIXTURES = {
    "share": (converted(0.10), Design(looks=DAILY), 0.15),
    "rare share": (converted(0.03), Design(looks=WEEKLY), 0.25),
    "share falling": (converted(0.20), Design(looks=WEEKLY), -0.10),
    "spend": (spent(buyers=0.2, sigma=0.6), Design(looks=DAILY), 0.12),
    "spend of few": (spent(buyers=0.05, sigma=1.0), Design(looks=WEEKLY), 0.25),
    "spend once": (spent(buyers=0.2, sigma=1.0), Design(), 0.12),
    "three arms": (converted(0.10), Design(weights=(2.0, 1.0, 1.0), looks=WEEKLY), 0.15),
    "one-sided": (spent(buyers=0.2, sigma=0.6), Design(sides=1, looks=WEEKLY), 0.12),
    "accepted loss": (converted(0.30), Design(margin=0.06, looks=WEEKLY), 0.0),
    "accepted loss in cents": (
        spent(buyers=0.3, sigma=0.5),
        Design(margin=0.6, scale="absolute"),
        0.0,
    ),
    "margin": (earned(), Design(looks=WEEKLY, scale="absolute"), 0.6),
}


@pytest.mark.slow
@pytest.mark.parametrize(("values", "design", "effect"), FIXTURES.values(), ids=FIXTURES)
def test_predicted_power_is_that_of_replays(
    values: FloatArray, design: Design, effect: float
) -> None:
    """The bar: within three points. 2,000 replays have a standard error of 0.9."""
    outcome = Outcome.of(values)
    customers = find_size(outcome, design, effect=effect)
    predicted = find_power(outcome, design, effect=effect, customers=customers)
    replayed = simulate_power(
        values,
        design,
        effect=effect,
        customers=customers,
        rng=np.random.default_rng(14),
        runs=2000,
    )
    assert replayed.power == pytest.approx(predicted, abs=0.03)
    assert replayed.expected_fraction == pytest.approx(
        find_expected_fraction(outcome, design, effect=effect, customers=customers), abs=0.03
    )
    assert replayed.error < 0.005


def test_a_short_replay_agrees_with_the_prediction() -> None:
    values, design = converted(0.2), Design(looks=WEEKLY)
    outcome = Outcome.of(values)
    customers = find_size(outcome, design, effect=0.3)
    replayed = simulate_power(
        values, design, effect=0.3, customers=customers, rng=np.random.default_rng(1), runs=400
    )
    assert replayed.power == pytest.approx(0.8, abs=3 * math.sqrt(0.8 * 0.2 / 400))
    assert replayed.standard_error == pytest.approx(0.02, abs=0.003)


@pytest.mark.parametrize("design", [Design(), Design(looks=DAILY)], ids=["once", "daily"])
def test_without_an_effect_replays_err_as_often_as_promised(design: Design) -> None:
    runs = 1000
    replayed = simulate_power(
        spent(buyers=0.3, sigma=0.5),
        design,
        effect=0.0,
        customers=4000,
        rng=np.random.default_rng(2),
        runs=runs,
    )
    found = replayed.power + replayed.error
    assert found == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / runs))


def test_the_same_seed_replays_the_same() -> None:
    results = [
        simulate_power(
            converted(0.2),
            Design(),
            effect=0.2,
            customers=500,
            rng=np.random.default_rng(9),
            runs=50,
        )
        for _ in range(2)
    ]
    assert results[0] == results[1]


def test_looks_before_anybody_bought_decide_nothing() -> None:
    replayed = simulate_power(
        converted(0.001),
        Design(looks=(0.01, 1.0)),
        effect=0.5,
        customers=1000,
        rng=np.random.default_rng(5),
        runs=100,
    )
    assert replayed.expected_fraction > 0.9


@pytest.mark.parametrize(
    ("values", "loss"),
    [(converted(0.3), 0.05), (spent(buyers=0.5, sigma=0.3), 2.0), (earned(), 1.0)],
    ids=["share", "amount", "margin"],
)
def test_a_planted_loss_moves_the_mean_by_as_much(values: FloatArray, loss: float) -> None:
    """A loss of just what is accepted is called acceptable as seldom as promised."""
    runs = 400
    replayed = simulate_power(
        values,
        Design(scale="absolute", margin=loss),
        effect=-loss,
        customers=2000,
        rng=np.random.default_rng(6),
        runs=runs,
    )
    assert replayed.power == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / runs))
