"""Fifty metrics judged together: what is false is seldom found, however they hang together."""

import numpy as np
import pytest

from experiments.calibration.families import (
    DEPENDENCES,
    FALSE_COVERAGE,
    FALSE_DISCOVERIES,
    GATE_DISCOVERIES,
    GATE_FALSE,
    HOLM_FALSE,
    HOLM_MISSED,
    METRICS,
    TRUTHS,
    Dependence,
    judge,
    simulate_families,
)

NOTHING = np.zeros(METRICS)


def test_nothing_found_is_nothing_wrong() -> None:
    assert set(judge(NOTHING, NOTHING).values()) == {0}


def test_one_false_finding_is_wrong_in_every_way() -> None:
    z = NOTHING.copy()
    z[0] = 6.0  # the goal
    errors = judge(z, NOTHING)
    assert errors == {
        HOLM_FALSE: 1,
        HOLM_MISSED: 1,
        FALSE_DISCOVERIES: 1,
        FALSE_COVERAGE: 1,
        GATE_FALSE: 1,
        GATE_DISCOVERIES: 0,
    }


def test_half_of_the_findings_false_is_a_share_of_a_half() -> None:
    truths = NOTHING.copy()
    truths[:5] = truths[10] = 8.0
    z = truths.copy()
    z[11] = 8.0
    errors = judge(z, truths)
    assert errors[FALSE_DISCOVERIES] == pytest.approx(1 / 7)
    assert errors[GATE_DISCOVERIES] == pytest.approx(1 / 2)
    assert errors[GATE_FALSE] == 0


@pytest.mark.parametrize("dependence", DEPENDENCES, ids=lambda one: one.name)
def test_metrics_are_correlated_as_said(dependence: Dependence) -> None:
    rng = np.random.default_rng(9)
    errors = np.array([dependence.draw(rng) for _ in range(4000)])
    found = np.corrcoef(errors.T)
    sign = -1 if dependence.is_mixed else 1
    # A correlation's standard error is at most 1 / sqrt(n).
    assert found[0, 1] == pytest.approx(sign * dependence.correlation, abs=3 / 4000**0.5)
    assert found[0, 2] == pytest.approx(dependence.correlation, abs=3 / 4000**0.5)
    other = dependence.correlation if dependence.size == METRICS else 0.0
    assert found[0, 5] == pytest.approx(other, abs=3 / 4000**0.5)
    assert errors.std(axis=0) == pytest.approx(1, abs=4.5 / 8000**0.5)


def test_errors_are_rare_in_a_few_reports() -> None:
    for one in simulate_families(runs=40, seed=1):
        assert [check for check in one.checks if not check.is_kept] == []


@pytest.mark.slow
def test_fifty_correlated_metrics_keep_every_promise() -> None:
    found = simulate_families(runs=3000, seed=2)
    assert {one.truth for one in found} == set(TRUTHS)
    for one in found:
        for check in one.checks:
            assert check.is_kept, (one.truth, one.dependence, check)
