"""From slates that were drawn it is told what other draws would have earned."""

import itertools

import numpy as np
import pytest

from recommender.arrays import FloatArray
from recommender.offpolicy.slate_values import (
    AS_DRAWN,
    AT_RANDOM,
    BEST_FIRST,
    SlateLog,
    check_slates,
    estimate_slates,
)

# How good products are thought to be, and how often they are clicked where they are first.
GAINS = np.array([1.0, 0.7, 0.3, 0.0])
CLICKED = np.array([0.1, 0.3, 0.05, 0.5])
BELOW = 0.5  # of that in the second place


def softmax(left: list[int], temperature: float) -> FloatArray:
    weights = np.exp(GAINS[left] / temperature)
    share: FloatArray = weights / weights.sum()
    return share


def true_value(temperature: float) -> float:
    """Add up all slates of two."""
    value = 0.0
    for first, second in itertools.permutations(range(4), 2):
        left = [item for item in range(4) if item != first]
        chance = softmax([0, 1, 2, 3], temperature)[first]
        chance *= softmax(left, temperature)[left.index(second)]
        value += chance * (CLICKED[first] + BELOW * CLICKED[second])
    return float(value)


def draw_log(n: int = 4_000, *, temperature: float = 0.5, seed: int = 11) -> SlateLog:
    rng = np.random.default_rng(seed)
    weights, drawn = np.zeros((n, 2, 4)), np.zeros((n, 2), dtype=np.int64)
    rewards = np.zeros((n, 2))
    for row in range(n):
        left = [0, 1, 2, 3]
        for place in range(2):
            shares = softmax(left, temperature)
            weights[row, place, : len(left)] = shares
            drawn[row, place] = number = int(rng.choice(len(left), p=shares))
            item = left.pop(number)
            rewards[row, place] = rng.random() < CLICKED[item] * BELOW**place
    return SlateLog(weights=weights, drawn=drawn, rewards=rewards)


def test_other_temperatures_are_estimated_from_the_slates_of_one() -> None:
    log = draw_log()
    rows = {row["policy"]: row for row in estimate_slates(log)}
    truths = {
        AS_DRAWN: true_value(0.5),
        "Half the chance": true_value(0.25),
        "Twice the chance": true_value(1.0),
        AT_RANDOM: true_value(1e9),
        BEST_FIRST: CLICKED[0] + BELOW * CLICKED[1],
    }
    assert set(rows) == set(truths)
    for label, truth in truths.items():
        for dependence in ("cascade", "standard"):
            found = rows[label][dependence]
            # Intervals of 95%, widened by half so that ten of them hold together.
            half = 0.75 * (found["high"] - found["low"])
            assert abs(found["estimate"] - truth) < half, (label, dependence)
    assert rows[AS_DRAWN]["cascade"]["estimate"] == pytest.approx(log.rewards.sum(axis=1).mean())


def test_what_is_asked_of_the_log_alone_is_itself() -> None:
    log = draw_log(50)
    np.testing.assert_array_equal(log.targets()[AS_DRAWN], log.logged)
    np.testing.assert_allclose(log.targets()[AT_RANDOM], [[1 / 4, 1 / 3]] * 50)


def test_without_support_nothing_is_estimated() -> None:
    log = draw_log(150, temperature=0.05)
    rows = {row["policy"]: row for row in estimate_slates(log)}
    assert "withheld" in rows[AT_RANDOM]["standard"]


def test_draws_that_are_not_as_logged_are_found() -> None:
    log = draw_log()
    assert not check_slates(log)["is_broken"]
    wrong = SlateLog(weights=log.weights, drawn=np.zeros_like(log.drawn), rewards=log.rewards)
    found = check_slates(wrong)
    assert found["is_broken"]
    assert found["worst"]["offer"].startswith("number ")
