"""Plays our bandits as learning does: publish, weigh, draw, add up."""

from dataclasses import dataclass

import numpy as np

from benchmarks.regret.worlds import BATCH, World
from recommender.arrays import FloatArray, IntArray
from recommender.bandits import load_bandit
from recommender.bandits.base import (
    DEFAULTS,
    Hyperparameters,
    Log,
    LogReader,
    Representing,
    Statistics,
)
from recommender.weighing.features import FeatureSpec, NumberFeature
from recommender.weighing.odds import Odds
from recommender.weighing.propensities import floor_after

FLOOR = 0.01  # a policy's default
FIRST, GROWTH = 2_000, 1.5  # when networks are trained, as in recommender/learning/networks.py


@dataclass(frozen=True, slots=True)
class Player:
    """A bandit of ours, its settings and where its floor begins.

    `is_greedy` takes its favourites alone.
    """

    kind: str
    settings: Hyperparameters = DEFAULTS
    floor: float = FLOOR
    is_greedy: bool = False


OURS = {
    "default": Player("randomised_ucb"),
    "greedy": Player("randomised_ucb", is_greedy=True),
    "linear_thompson": Player("linear_thompson"),
    "logistic_thompson": Player("logistic_thompson"),
    "neural_linear": Player("neural_linear"),
    "square_cb": Player("square_cb"),
    "gaussian_thompson": Player("gaussian_thompson"),
}


def make_player(label: str) -> Player:
    """Make a player from its kind and settings: `randomised_ucb exploration=0.3 floor=0.001`."""
    kind, *words = label.split(" ")
    settings = {name: float(value) for name, value in (word.split("=") for word in words)}
    floor = settings.pop("floor", FLOOR)
    return Player(kind, Hyperparameters(**settings), floor=floor)


def play(player: Player, world: World, *, seed: int) -> IntArray:
    """Choose and learn batch by batch, one a day; return what was chosen, shape (n,)."""
    n, d = world.x.shape
    k = world.mean.shape[1]
    features = FeatureSpec(tuple(NumberFeature(f"column {i}", 0.0, 1.0) for i in range(1, d)))
    bandit = load_bandit(player.kind)(player.settings)
    statistics = [Statistics.zero(d)] * k
    rng = np.random.default_rng(seed)
    chosen, known = np.empty(n, dtype=np.int64), np.empty(0, dtype=np.int64)
    waiting, trained = [], 0
    for first in range(0, n, BATCH):
        rows = np.arange(first, min(first + BATCH, n))
        day = first // BATCH
        if isinstance(bandit, LogReader):
            bandit.read(_log(world, chosen, known, day=day, settings=player.settings))
        if isinstance(bandit, Representing) and len(known) >= max(FIRST, GROWTH * trained):
            log = _log(world, chosen, known, day=day, settings=player.settings)
            trained = len(known)
            bandit.representation = bandit.train(log, n_offers=k)
            statistics = bandit.accumulate(
                log.offer_index, bandit.represent(log.x), log.reward, n_offers=k
            )
        odds = bandit.publish(
            statistics,
            offers=tuple(map(str, range(k))),
            features=features,
            floor=floor_after(player.floor, learned=sum(each.n for each in statistics)),
            version=1,
        )
        chosen[rows] = _choose(odds, world.x[rows], rng, is_greedy=player.is_greedy)
        waiting.append(rows)
        if len(waiting) > world.delay:
            due = waiting.pop(0)
            known = np.concatenate([known, due])
            seen, rewards = bandit.represent(world.x[due]), world.reward[due, chosen[due]]
            news = bandit.accumulate(chosen[due], seen, rewards, n_offers=k)
            late = player.settings.remembered(world.delay)
            statistics = [old + new.fade(late) for old, new in zip(statistics, news, strict=True)]
        night = player.settings.remembered(1.0)
        statistics = [each.fade(night) for each in statistics]
    return chosen


def _choose(odds: Odds, x: FloatArray, rng: np.random.Generator, *, is_greedy: bool) -> IntArray:
    """Draw offers for customers, or take their favourites."""
    if is_greedy:
        mean, _ = odds.predict(x)
        # While nothing is known all means are equal, and nobody is the first.
        favourite: IntArray = (mean + 1e-9 * rng.random(mean.shape)).argmax(axis=1)
        return favourite
    weights = odds.weights_many(x, np.ones((len(x), len(odds.offers)), dtype=bool))
    draws = rng.random((len(x), 1))
    drawn: IntArray = (draws > weights.cumsum(axis=1)[:, :-1]).sum(axis=1)
    return drawn


def _log(
    world: World, chosen: IntArray, rows: IntArray, *, day: int, settings: Hyperparameters
) -> Log:
    """Return what some rows earned, and what they count on a day."""
    counts = np.array([settings.remembered(age) for age in range(day, -1, -1)])  # of each day
    rewards = world.reward[rows, chosen[rows]]
    return Log(chosen[rows], world.x[rows], rewards, counts[rows // BATCH])
