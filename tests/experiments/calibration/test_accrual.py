"""Outcomes that come late: integration against simulated customers."""

import math

import numpy as np
import pytest

from experiments.calibration.accrual import Late, find_late_errors
from experiments.calibration.scenarios import DAYS
from experiments.looks import take_look


def test_the_rule_errs_as_often_however_late_outcomes_come() -> None:
    errors = [late.error for late in find_late_errors()]
    assert errors == pytest.approx([0.05] * len(errors), abs=1e-6)


@pytest.mark.parametrize(("is_told", "error"), [(True, 0.05), (False, 0.0599)])
def test_looks_that_are_told_what_is_known_err_as_often_as_promised(
    is_told: bool, error: float
) -> None:  # a column of a table
    """Normal outcomes that come in equal parts over seven days; three standard errors."""
    paths, a_day, days = 20_000, 24, 7.0
    rng = np.random.default_rng(6)
    exposed = (np.arange(DAYS * a_day) + 0.5) / a_day
    known = np.zeros(len(exposed))
    score, is_out = np.zeros(paths), np.zeros(paths, dtype=bool)
    fractions: list[float] = []
    information: list[float] = []
    for day in range(1, DAYS + 1):
        now = np.clip((day - exposed) / days, 0.0, 1.0)
        # What came since the last look is independent of what had come before.
        score += math.sqrt((now - known).sum()) * rng.standard_normal(paths)
        known = now
        information.append(float(now.sum()))
        look = take_look(
            day / DAYS,
            fractions,
            comparisons=1,
            confidence=0.95,
            information=information if is_told else (),
        )
        assert look is not None
        fractions.append(day / DAYS)
        z = score / math.sqrt(now.sum())
        is_out |= (z >= look.boundary.upper) | (z <= look.boundary.lower)
    assert is_out.mean() == pytest.approx(error, abs=3 * math.sqrt(error * (1 - error) / paths))


def test_a_promise_is_broken_beyond_five_and_a_half_percent() -> None:
    assert Late(3.0, 0.0549).is_kept
    assert not Late(7.0, 0.0599).is_kept
