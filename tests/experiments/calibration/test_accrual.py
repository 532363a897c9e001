"""Outcomes that come late: integration against simulated customers."""

import math

import numpy as np
import pytest

from experiments.calibration.accrual import Late, find_late_errors
from experiments.calibration.scenarios import DAYS
from experiments.stats.sequential import find_boundaries


def test_outcomes_at_once_cost_nothing_and_later_ones_more_and_more() -> None:
    errors = [late.error for late in find_late_errors()]
    assert errors[0] == pytest.approx(0.05, abs=1e-9)
    assert errors == sorted(errors)


def test_the_error_is_that_of_customers_whose_outcomes_come_late() -> None:
    """Normal outcomes that come in equal parts over seven days; three standard errors."""
    paths, a_day, days = 20_000, 24, 7.0
    rng = np.random.default_rng(6)
    exposed = (np.arange(DAYS * a_day) + 0.5) / a_day
    boundaries = find_boundaries([day / DAYS for day in range(1, DAYS + 1)])
    known = np.zeros(len(exposed))
    score, is_out = np.zeros(paths), np.zeros(paths, dtype=bool)
    for day, boundary in enumerate(boundaries, start=1):
        now = np.clip((day - exposed) / days, 0.0, 1.0)
        # What came since the last look is independent of what had come before.
        score += math.sqrt((now - known).sum()) * rng.standard_normal(paths)
        known = now
        z = score / math.sqrt(now.sum())
        is_out |= (z >= boundary.upper) | (z <= boundary.lower)
    error = next(late.error for late in find_late_errors() if late.days == days)
    assert is_out.mean() == pytest.approx(error, abs=3 * math.sqrt(error * (1 - error) / paths))


def test_a_promise_is_broken_beyond_five_and_a_half_percent() -> None:
    assert Late(3.0, 0.0549).is_kept
    assert not Late(7.0, 0.0599).is_kept
