"""The sequential bandit: it learns to wait, its weights are a softmax, and they are exact."""

import numpy as np
import pytest

from recommender.bandits.base import Hyperparameters, Steps
from recommender.bandits.sequential import Sequential
from recommender.simulators.fatigue import Season, Seen, evenly, play, value_of
from recommender.weighing.odds import Odds

SEASON = Season(seed=1)


@pytest.fixture(scope="module")
def odds() -> Odds:
    bandit = Sequential(Hyperparameters(ahead_days=15.0))
    bandit.read_steps(play(SEASON, evenly(SEASON), shoppers=1500, seed=1).steps(SEASON.features))
    return bandit.publish(
        [], offers=SEASON.actions, features=SEASON.features, floor=0.001, version=1
    )


def test_it_earns_more_than_what_it_learned_from_and_than_waiting(odds: Odds) -> None:
    def choose(seen: Seen) -> np.ndarray:
        x = seen.encode(odds.features)
        return odds.weights_many(x, np.ones((len(x), len(odds.offers)), dtype=bool))

    value, se = value_of(SEASON, choose, shoppers=3000, seed=2)
    log, error = value_of(SEASON, evenly(SEASON), shoppers=3000, seed=2)
    assert value - log > 0.2
    assert value - log > 4 * np.hypot(se, error)


def test_whoever_was_just_contacted_is_let_alone_more_than_whoever_was_not(odds: Odds) -> None:
    played = play(SEASON, evenly(SEASON), shoppers=1000, seed=3)
    x = played.seen[10].encode(odds.features)
    waits = odds.weights_many(x, np.ones((1000, len(odds.offers)), dtype=bool))[:, -1]
    week = played.seen[10].columns["contact.last_7_days"]
    assert waits[week >= 6].mean() > waits[week <= 3].mean() + 0.1


def test_weights_are_a_softmax_of_worths_over_the_floor(odds: Odds) -> None:
    x = play(SEASON, evenly(SEASON), shoppers=1, seed=4).encode(odds.features)[0, 5]
    eligible = np.array([True, False, True, True])
    q = (odds.mean @ x)[eligible]
    p = np.exp((q - q.max()) / odds.temperature)
    expected = (1 - 3 * odds.floor) * p / p.sum() + odds.floor
    np.testing.assert_allclose(odds.weights(x, eligible)[eligible], expected, rtol=1e-12)


def test_the_temperature_falls_as_the_root_of_what_was_learned() -> None:
    temperatures = []
    for n in (100, 400):
        bandit = Sequential(Hyperparameters(exploration=2.0))
        bandit.read_steps(play(SEASON, evenly(SEASON), shoppers=n, seed=1).steps(SEASON.features))
        odds = bandit.publish(
            [], offers=SEASON.actions, features=SEASON.features, floor=0.001, version=1
        )
        assert odds.temperature is not None
        temperatures.append(odds.temperature)
    assert temperatures[0] / temperatures[1] == pytest.approx(2.0, rel=0.1)


def test_what_is_stored_decides_alike(odds: Odds) -> None:
    copy = Odds.from_bytes(odds.to_bytes())
    x = play(SEASON, evenly(SEASON), shoppers=5, seed=5).encode(odds.features)[:, 7]
    eligible = np.ones((5, len(odds.offers)), dtype=bool)
    np.testing.assert_array_equal(copy.weights_many(x, eligible), odds.weights_many(x, eligible))


def test_a_log_without_steps_leaves_it_to_the_sums() -> None:
    bandit = Sequential()
    empty, nobody = np.zeros(0), np.zeros((0, 2), dtype=bool)
    none = np.zeros((0, 1))
    bandit.read_steps(
        Steps(empty.astype(np.int64), none, nobody, empty, empty, none, nobody, empty)
    )
    assert bandit._steps is None
