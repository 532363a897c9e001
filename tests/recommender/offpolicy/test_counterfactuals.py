"""Policies are compared on one log, and the log itself is put to the test."""

from dataclasses import replace

import numpy as np
import pytest

from recommender.offpolicy.counterfactuals import (
    GREEDY,
    LEARNED,
    Earned,
    Log,
    check_log,
    cost_of_learning,
    estimate_values,
    target_policies,
)
from recommender.weighing.features import FeatureSpec, NumberFeature
from recommender.weighing.odds import Odds

FEATURES = FeatureSpec((NumberFeature("taste", 0.0, 1.0),))
ODDS = Odds(
    offers=("red", "blue", "green"),
    mean=np.array([[0.45, 0.35], [0.45, -0.35], [0.1, 0.0]]),
    factor=np.tile(0.1 * np.eye(2), (3, 1, 1)),
    floor=0.01,
    features=FEATURES,
    version=1,
)
NAMES = {"red": "Red"}


def make_log(n: int = 2_000) -> Log:
    """Evenly drawn offers or none; who has a taste above 0 likes red, the others blue."""
    rng = np.random.default_rng(1)
    taste = rng.normal(size=n)
    action = rng.integers(3, size=n)  # none, blue, red
    likes = np.where(taste > 0, 2, 1)
    rewards = rng.random(n) < np.where(action == likes, 0.8, 0.1)
    return Log(
        features=np.column_stack([np.ones(n), taste]),
        action=action,
        eligible=np.ones((n, 3), dtype=bool),
        weights=np.full((n, 3), 1 / 3),
        propensity=np.full(n, 1 / 3),
        reward=rewards.astype(float),
        actions=("", "blue", "red"),
    )


def test_every_policy_is_a_distribution_over_what_could_be_drawn() -> None:
    log = make_log()
    log.eligible[:500, 2] = False
    targets = target_policies(ODDS, log, names=NAMES)
    assert list(targets) == [
        LEARNED,
        GREEDY,
        "blue to all",
        "Red to all",
        "Every offer equally often",
        "No offer",
    ]
    for label, probabilities in targets.items():
        np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, err_msg=label)
        assert not probabilities[~log.eligible].any(), label


def test_who_never_explores_takes_the_offer_of_the_greatest_mean() -> None:
    log = make_log()
    greedy = target_policies(ODDS, log, names=NAMES)[GREEDY]
    likes = np.where(log.features[:, 1] > 0, 2, 1)
    np.testing.assert_array_equal(greedy.argmax(axis=1), likes)
    assert set(np.unique(greedy)) == {0.0, 1.0}


def test_a_log_without_an_empty_choice_has_no_policy_of_no_offer() -> None:
    log = replace(make_log(), actions=("green", "blue", "red"))
    assert "No offer" not in target_policies(ODDS, log, names=NAMES)


def test_three_estimates_stand_side_by_side() -> None:
    log = make_log()
    rows = estimate_values(target_policies(ODDS, log, names=NAMES), log)
    learned, greedy, *simple = rows
    assert (learned["policy"], learned["advantage"]) == (LEARNED, None)
    assert not greedy["is_rival"]
    assert all(row["is_rival"] for row in simple)
    for name in ("snips", "dr", "shrunk"):
        assert greedy[name]["estimate"] == pytest.approx(0.8, abs=0.08)
        assert greedy[name]["support"]["n"] == 2_000
    for row in simple:
        assert row["advantage"]["low"] > 0


def test_a_short_log_withholds_every_estimate() -> None:
    log = make_log(30)
    (row,) = estimate_values({"Even": np.full((30, 3), 1 / 3)}, log)
    assert "withheld" in row["dr"]
    assert "withheld" in row["shrunk"]


def test_a_log_that_was_drawn_as_it_says_holds() -> None:
    found = check_log(make_log(), floor=0.01)
    assert not found["is_broken"]
    assert (found["n"], found["groups"], found["share_at_floor"]) == (2_000, 33, 0.0)
    assert abs(found["worst"]["z"]) < found["bound"]
    assert found["worst"]["offer"] in ("", "blue", "red")


def test_a_log_of_other_chances_is_broken() -> None:
    log = make_log()
    log.weights[:] = [0.5, 0.25, 0.25]
    assert check_log(log, floor=0.01)["is_broken"]


def test_what_had_no_chance_is_said_without_a_number() -> None:
    log = make_log()
    log.weights[:] = [0.5, 0.5, 0.0]
    found = check_log(log, floor=0.01)
    assert found["is_broken"]
    assert found["worst"]["z"] is None


def test_rows_of_unknown_weights_are_left_out() -> None:
    log = make_log()
    log.weights[:] = np.nan
    found = check_log(log, floor=0.4)
    assert (found["n"], found["worst"], found["is_broken"]) == (0, None, False)
    assert found["share_at_floor"] == 1.0


def test_the_cost_of_learning_covers_the_truth() -> None:
    """Whoever draws evenly among none, blue and red earns 1/3, and the favourites 0.8."""
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(200):
        n, favourites = 400, rng.random(300) < 0.8
        error = favourites.std(ddof=1) / 300**0.5
        mean = float(favourites.mean())
        dr = {"estimate": mean, "low": mean - 1.96 * error, "high": mean + 1.96 * error}
        drawn = rng.random(n) < 1 / 3
        earned = Earned(n, float(drawn.mean()), float(drawn.var(ddof=1)))
        cost = cost_of_learning([{"policy": GREEDY, "dr": dr}], earned)
        covered += cost["low"] <= 0.8 - 1 / 3 <= cost["high"]
    assert 180 <= covered <= 199


def test_without_an_estimate_or_decisions_there_is_no_cost_of_learning() -> None:
    known = {"policy": GREEDY, "dr": {"estimate": 0.5, "low": 0.4, "high": 0.6}}
    unknown = {"policy": GREEDY, "dr": {"withheld": "too few decisions"}}
    assert cost_of_learning([unknown], Earned(100, 0.2, 0.1)) == {}
    assert cost_of_learning([known], Earned(1, 0.2, 0.0)) == {}
