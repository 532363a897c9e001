"""Values by logged chances, and when there is none."""

import numpy as np
import pytest

from campaigns.results.offers import (
    GOALS,
    WEIGHTED_GOALS,
    Value,
    plain_mean,
    to_json,
    value_of,
)
from experiments.stats.moments import Moments
from recommender.offpolicy.values import Withheld
from recommender.offpolicy.weighting import snips


def drawn(n: int, *, propensity: float, logged: float | None = None) -> Moments:
    """One decision for each of n customers, every other of whom reached the goal."""
    rng = np.random.default_rng(5)
    is_it = rng.random(n) < propensity
    goal = np.arange(n) % 2 * is_it
    weight = is_it / (logged or propensity)
    zero = np.zeros(n)
    return Moments.of(
        np.column_stack([np.ones(n), is_it, goal, zero, weight, weight * goal, zero, zero])
    )


def test_with_a_decision_for_each_customer_it_is_the_value_of_always_showing_the_offer() -> None:
    n, propensity = 2_000, 0.3
    is_it = np.random.default_rng(5).random(n) < propensity
    goal = np.arange(n) % 2 * is_it
    expected = snips(
        goal.astype(float),
        is_it.astype(float),
        np.where(is_it, propensity, 1 - propensity),
    )
    found = value_of(drawn(n, propensity=propensity), WEIGHTED_GOALS, confidence=0.95)
    assert isinstance(found, Value)
    assert not isinstance(expected, Withheld)
    assert found.estimate == pytest.approx(expected.estimate)
    assert found.low == pytest.approx(expected.low)
    assert found.high == pytest.approx(expected.high)
    assert to_json(found) == {"estimate": found.estimate, "low": found.low, "high": found.high}


def test_few_decisions_are_an_anecdote() -> None:
    found = value_of(drawn(200, propensity=0.3), WEIGHTED_GOALS, confidence=0.95)
    assert isinstance(found, Withheld)
    assert "at least 100 are needed" in found.reason
    assert to_json(found) == {"withheld": found.reason}


def test_an_offer_that_was_never_drawn_has_no_value() -> None:
    nobody = Moments(0, (0.0,) * 8, ((0.0,) * 8,) * 8)
    assert isinstance(value_of(nobody, WEIGHTED_GOALS, confidence=0.95), Withheld)
    assert plain_mean(nobody, GOALS) is None


def test_chances_that_were_logged_wrongly_are_found() -> None:
    found = value_of(drawn(2_000, propensity=0.3, logged=0.2), WEIGHTED_GOALS, confidence=0.95)
    assert isinstance(found, Withheld)
    assert "too few to judge by" in found.reason
