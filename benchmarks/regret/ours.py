"""Plays our bandits as learning does: publish, weigh, draw, add up."""

from dataclasses import dataclass

import numpy as np

from benchmarks.regret.worlds import BATCH, World
from recommender.arrays import IntArray
from recommender.bandits import load_bandit
from recommender.bandits.base import Log, LogReader, Statistics
from recommender.features import FeatureSpec, NumberFeature
from recommender.propensities import floor_after

FLOOR = 0.01  # a policy's default


@dataclass(frozen=True, slots=True)
class Player:
    """A bandit of ours with its default settings; `is_greedy` takes its favourites alone."""

    kind: str
    is_greedy: bool = False


OURS = {
    "default": Player("randomised_ucb"),
    "greedy": Player("randomised_ucb", is_greedy=True),
    "linear_thompson": Player("linear_thompson"),
    "logistic_thompson": Player("logistic_thompson"),
    "square_cb": Player("square_cb"),
    "gaussian_thompson": Player("gaussian_thompson"),
}


def play(player: Player, world: World, *, seed: int) -> IntArray:
    """Choose and learn batch by batch; return what was chosen, shape (n,)."""
    n, d = world.x.shape
    k = world.mean.shape[1]
    features = FeatureSpec(tuple(NumberFeature(f"column {i}", 0.0, 1.0) for i in range(1, d)))
    bandit = load_bandit(player.kind)()
    statistics = [Statistics.zero(d)] * k
    rng = np.random.default_rng(seed)
    chosen = np.empty(n, dtype=np.int64)
    waiting = []
    known = np.zeros(n, dtype=bool)
    for first in range(0, n, BATCH):
        rows = np.arange(first, min(first + BATCH, n))
        if isinstance(bandit, LogReader):
            rewards = world.reward[known, chosen[known]]
            bandit.read(Log(chosen[known], world.x[known], rewards, np.ones(len(rewards))))
        odds = bandit.publish(
            statistics,
            offers=tuple(map(str, range(k))),
            features=features,
            floor=floor_after(FLOOR, learned=sum(each.n for each in statistics)),
            version=1,
        )
        if player.is_greedy:
            mean, _ = odds.predict(world.x[rows])
            # While nothing is known all means are equal, and nobody is the first.
            chosen[rows] = (mean + 1e-9 * rng.random(mean.shape)).argmax(axis=1)
        else:
            weights = odds.weights_many(world.x[rows], np.ones((len(rows), k), dtype=bool))
            draws = rng.random((len(rows), 1))
            chosen[rows] = (draws > weights.cumsum(axis=1)[:, :-1]).sum(axis=1)
        waiting.append(rows)
        if len(waiting) > world.delay:
            due = waiting.pop(0)
            known[due] = True
            rewards = world.reward[due, chosen[due]]
            news = bandit.accumulate(chosen[due], world.x[due], rewards, n_offers=k)
            statistics = [old + new for old, new in zip(statistics, news, strict=True)]
    return chosen
