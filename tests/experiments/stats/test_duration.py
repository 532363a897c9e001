"""Days: counted one by one, and expected ones by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.stats.duration import Traffic, find_days, find_days_left, find_expected_days
from experiments.stats.power import Design, Outcome, find_size

SHOP = Traffic((100.0, 110.0, 120.0, 130.0, 200.0, 300.0, 240.0))
weeks = st.lists(st.integers(0, 500), min_size=7, max_size=7).filter(any)


@given(weeks, st.integers(0, 20_000), st.integers(0, 6))
def test_days_are_those_counted_one_by_one(
    per_weekday: list[int], customers: int, weekday: int
) -> None:
    came = days = 0
    while came < customers:
        came += per_weekday[(weekday + days) % 7]
        days += 1
    traffic = Traffic(tuple(float(n) for n in per_weekday))
    assert traffic.days_until(customers, weekday=weekday) == days
    assert find_days(customers, traffic) == 7 * math.ceil(traffic.days_until(customers) / 7)


def test_a_whole_number_of_weeks_is_not_rounded_up_by_a_last_digit() -> None:
    assert find_days(2.1, Traffic.steady(0.1)) == 21
    assert Traffic.steady(0.1).days_until(0.3) == 3


def test_an_experiment_ends_on_whole_weeks() -> None:
    # 1,200 customers a week.
    assert find_days(1200, SHOP) == 7
    assert find_days(1201, SHOP) == 14


def test_days_left_make_the_whole_run_weeks() -> None:
    # Ten days have run, Monday to Wednesday, so a Thursday is next: two days bring 330 customers.
    assert find_days_left(2000, SHOP, so_far=1700, days=10, weekday=3) == 4
    assert find_days_left(3000, SHOP, so_far=1700, days=10, weekday=3) == 11


def test_an_experiment_with_enough_customers_finishes_its_week() -> None:
    assert find_days_left(1000, SHOP, so_far=5000, days=10, weekday=3) == 4
    assert find_days_left(1000, SHOP, so_far=5000, days=14, weekday=0) == 0


def test_daily_looks_fall_where_the_customers_come() -> None:
    looks = SHOP.looks(14)
    assert len(looks) == 14
    assert looks[0] == pytest.approx(100 / 2400)
    assert looks[6] == pytest.approx(0.5)
    assert looks[-1] == 1.0


def test_a_day_without_customers_is_no_look() -> None:
    closed_on_sunday = Traffic((1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0))
    assert len(closed_on_sunday.looks(14, weekday=6)) == 12


def test_without_an_effect_the_experiment_runs_nearly_to_its_end() -> None:
    outcome, design = Outcome.of_share(0.1), Design(looks=SHOP.looks(28))
    days = find_expected_days(outcome, design, effect=0.0, customers=4800, traffic=SHOP)
    assert 26 < days < 28
    assert find_expected_days(outcome, Design(), effect=0.0, customers=4800, traffic=SHOP) == 28


def test_expected_days_are_those_of_simulated_experiments() -> None:
    """10,000 paths of z with daily looks, within three standard errors."""
    outcome = Outcome(10.0, 400.0)
    design = Design(looks=SHOP.looks(28, weekday=2))
    customers = 4800
    size = find_size(outcome, Design(), effect=0.2)
    effect = 0.2 * math.sqrt(size / customers)
    rng = np.random.default_rng(7)
    runs, looks = 10_000, np.array(design.looks)
    drift = 1.959964 + 0.841621
    steps = np.diff(looks, prepend=0.0)
    score = rng.normal(drift * steps, np.sqrt(steps), (runs, 28)).cumsum(axis=1)
    z = score / np.sqrt(looks)
    boundaries = design.boundaries()
    over = (z >= [b.upper for b in boundaries]) | (z <= [b.lower for b in boundaries])
    over[:, -1] = True
    days = over.argmax(axis=1) + 1
    expected = find_expected_days(
        outcome, design, effect=effect, customers=customers, traffic=SHOP, weekday=2
    )
    assert expected == pytest.approx(days.mean(), abs=3 * float(days.std()) / math.sqrt(runs))


@pytest.mark.parametrize("broken", [(), (1.0,) * 6, (0.0,) * 7, (1.0,) * 6 + (-1.0,)])
def test_what_is_no_week_is_refused(broken: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="need seven numbers"):
        Traffic(broken)
