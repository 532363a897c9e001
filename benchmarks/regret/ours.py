"""Plays our bandits as learning does: publish, weigh, draw, add up."""

from dataclasses import dataclass

import numpy as np

from benchmarks.regret.worlds import BATCH, World
from recommender.arrays import FloatArray, IntArray
from recommender.bandits import load_bandit
from recommender.bandits.base import Hyperparameters, Log, LogReader, Representing, Statistics
from recommender.features import FeatureSpec, NumberFeature
from recommender.odds import Odds
from recommender.propensities import floor_after

FLOOR = 0.01  # a policy's default
FIRST, GROWTH = 2_000, 1.5  # when networks are trained, as in recommender/networks.py


@dataclass(frozen=True, slots=True)
class Player:
    """A bandit of ours, with default settings but for what is given.

    `is_greedy` takes its favourites alone.
    """

    kind: str
    is_greedy: bool = False
    exploration: float | None = None


OURS = {
    "default": Player("randomised_ucb"),
    "greedy": Player("randomised_ucb", is_greedy=True),
    "linear_thompson": Player("linear_thompson"),
    "logistic_thompson": Player("logistic_thompson"),
    "neural_linear": Player("neural_linear"),
    "square_cb": Player("square_cb"),
    "gaussian_thompson": Player("gaussian_thompson"),
}
TUNED = {
    f"default @ {exploration:g}": Player("randomised_ucb", exploration=exploration)
    for exploration in (0.3, 0.6, 1.0, 1.5)
}


def play(player: Player, world: World, *, seed: int) -> IntArray:
    """Choose and learn batch by batch; return what was chosen, shape (n,)."""
    n, d = world.x.shape
    k = world.mean.shape[1]
    features = FeatureSpec(tuple(NumberFeature(f"column {i}", 0.0, 1.0) for i in range(1, d)))
    bandit = load_bandit(player.kind)(Hyperparameters(exploration=player.exploration))
    statistics = [Statistics.zero(d)] * k
    rng = np.random.default_rng(seed)
    chosen, known = np.empty(n, dtype=np.int64), np.empty(0, dtype=np.int64)
    waiting, trained = [], 0
    for first in range(0, n, BATCH):
        rows = np.arange(first, min(first + BATCH, n))
        if isinstance(bandit, LogReader):
            bandit.read(_log(world, chosen, known))
        if isinstance(bandit, Representing) and len(known) >= max(FIRST, GROWTH * trained):
            log, trained = _log(world, chosen, known), len(known)
            bandit.representation = bandit.train(log, n_offers=k)
            statistics = bandit.accumulate(
                log.offer_index, bandit.represent(log.x), log.reward, n_offers=k
            )
        odds = bandit.publish(
            statistics,
            offers=tuple(map(str, range(k))),
            features=features,
            floor=floor_after(FLOOR, learned=sum(each.n for each in statistics)),
            version=1,
        )
        chosen[rows] = _choose(odds, world.x[rows], rng, is_greedy=player.is_greedy)
        waiting.append(rows)
        if len(waiting) > world.delay:
            due = waiting.pop(0)
            known = np.concatenate([known, due])
            log = _log(world, chosen, due)
            news = bandit.accumulate(
                log.offer_index, bandit.represent(log.x), log.reward, n_offers=k
            )
            statistics = [old + new for old, new in zip(statistics, news, strict=True)]
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


def _log(world: World, chosen: IntArray, rows: IntArray) -> Log:
    """Return what some rows earned."""
    rewards = world.reward[rows, chosen[rows]]
    return Log(chosen[rows], world.x[rows], rewards, np.ones(len(rows)))
