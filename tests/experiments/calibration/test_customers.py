"""Simulated customers: their amounts have the moments they are said to have."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from experiments.calibration.customers import (
    ORDER,
    VISIT,
    Amounts,
    Orders,
    Return,
    Sample,
    draw_sample,
)

AMOUNTS = Amounts(0.6, 0.8)


def sample(behaviour: Orders | Return, *, seed: int = 5, lift: float = 0.0) -> Sample:
    rng = np.random.default_rng(seed)
    return draw_sample(rng, behaviour, customers=20_000, treated=0.25, days=14.0, lift=lift)


def density(value: float) -> float:
    """Of an order's amount: a mixture over countries, written out."""
    orders = np.array([0.6 * 0.7, 0.25 * 1.2, 0.1 * 1.6, 0.05 * 2.4])
    medians = 20.0 * np.array([1.0, 0.9, 1.2, 1.5])
    return float(orders @ stats.lognorm.pdf(value, AMOUNTS.log_sd, scale=medians))


@pytest.mark.parametrize("cap", [30.0, 200.0, math.inf])
def test_the_mean_of_capped_amounts_is_the_integral(cap: float) -> None:
    whole, _ = integrate.quad(lambda x: min(x, cap) * density(x), 0, 5_000, limit=500)
    assert AMOUNTS.mean(cap=cap) == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
def test_a_quantile_of_amounts_has_that_share_below_it(level: float) -> None:
    below, _ = integrate.quad(density, 0, AMOUNTS.quantile(level), limit=500)
    assert below == pytest.approx(level, abs=1e-7)


def test_drawn_amounts_have_the_mean_of_the_formula() -> None:
    values = sample(Orders(1.0, "often", amounts=AMOUNTS)).logs[ORDER].value
    # Orders of one customer resemble each other, so the error is larger than that of as many.
    error = 3 * math.sqrt(2) * values.std() / math.sqrt(len(values))
    assert values.mean() == pytest.approx(AMOUNTS.mean(), abs=error)


def test_the_orders_of_one_customer_resemble_each_other() -> None:
    log = sample(Orders(2.0, "often", amounts=AMOUNTS)).logs[ORDER]
    pairs = np.flatnonzero(np.diff(log.customer) == 0)
    values = np.log(log.value)
    # Countries spend differently as well, which adds to the correlation within customers.
    assert np.corrcoef(values[pairs], values[pairs + 1])[0, 1] > 0.36 / (0.36 + 0.64) - 0.03


def test_customers_come_in_evenly_and_are_treated_at_random() -> None:
    drawn = sample(Orders(0.1))
    assert np.diff(drawn.exposed_on) == pytest.approx(14 / 20_000)
    error = 3 * math.sqrt(0.25 * 0.75 / 20_000)
    assert drawn.is_treated.mean() == pytest.approx(0.25, abs=error)


def test_a_treatment_changes_nothing_before_the_exposure() -> None:
    plain, treated = sample(Orders(0.1, within_days=3.0)), sample(Orders(0.1), lift=0.5)
    for name in (ORDER, VISIT):
        histories = [one.logs[name].value[one.logs[name].day < 0] for one in (plain, treated)]
        assert histories[0].tolist() == histories[1].tolist()
    assert plain.logs[ORDER].day.min() >= -112


def test_outcomes_happen_when_they_should() -> None:
    day = sample(Return(0.1, 1.0, 3.0)).logs[VISIT].day
    after = day[day >= 0]
    assert 1.0 <= after.min() < after.max() < 3.0


def test_events_are_in_the_order_of_their_customers() -> None:
    assert (np.diff(sample(Orders(0.1)).logs[ORDER].customer) >= 0).all()
