"""Plays other people's bandits, as they come, in worlds kept as files of arrays.

Run in an environment that has them: QUESTION ANSWERS, both JSON files (see `clients.py`).
"""

# mypy: disable-error-code="import-not-found, import-untyped, unused-ignore"

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from bayesianbandits import (
    Arm,
    ContextualAgent,
    NormalInverseGammaRegressor,
    ThompsonSampling,
)
from contextualbandits.online import LinUCB
from mabwiser.mab import MAB, LearningPolicy
from vowpalwabbit import pyvw


class Player(Protocol):
    """Chooses for a batch of customers and learns from one."""

    def choose(self, x: Any) -> Any:
        """Choose offers, (r, d) to (r,)."""

    def learn(self, x: Any, chosen: Any, reward: Any) -> None:
        """Learn what choices earned."""


class Bayesian:
    """bayesianbandits: a normal-inverse-gamma regression for each offer, Thompson sampling."""

    def __init__(self, k: int, d: int, seed: int) -> None:
        arms = [Arm(i, learner=NormalInverseGammaRegressor()) for i in range(k)]
        self.agent = ContextualAgent(arms, ThompsonSampling(), random_seed=seed)

    def choose(self, x: Any) -> Any:
        return np.array(self.agent.pull(x))

    def learn(self, x: Any, chosen: Any, reward: Any) -> None:
        for k in np.unique(chosen):
            mine = chosen == k
            self.agent.select_for_update(int(k)).update(x[mine], reward[mine])


class Mab:
    """MABWiser, which wants to be fitted once before it learns on."""

    def __init__(self, policy: Any, k: int, seed: int) -> None:
        self.bandit = MAB(list(range(k)), policy, seed=seed)
        self.is_fitted = False
        self.k, self.rng = k, np.random.default_rng(seed)

    def choose(self, x: Any) -> Any:
        if not self.is_fitted:
            return self.rng.integers(self.k, size=len(x))
        return np.atleast_1d(self.bandit.predict(x))

    def learn(self, x: Any, chosen: Any, reward: Any) -> None:
        learn = self.bandit.partial_fit if self.is_fitted else self.bandit.fit
        learn(chosen, reward, x)
        self.is_fitted = True


class Contextual:
    """contextualbandits' LinUCB."""

    def __init__(self, k: int, d: int, seed: int) -> None:
        self.model = LinUCB(k, random_state=seed + 1)  # 0 is refused
        self.is_fitted = False
        self.k, self.rng = k, np.random.default_rng(seed)

    def choose(self, x: Any) -> Any:
        if not self.is_fitted:
            return self.rng.integers(self.k, size=len(x))
        return self.model.predict(x).astype(int)

    def learn(self, x: Any, chosen: Any, reward: Any) -> None:
        self.model.partial_fit(x, chosen, reward)
        self.is_fitted = True


class Vowpal:
    """Vowpal Wabbit: SquareCB, one example after the other."""

    def __init__(self, k: int, d: int, seed: int) -> None:
        self.learner = pyvw.Workspace(
            f"--cb_explore {k} --squarecb --quiet --random_seed {seed + 1}"
        )
        self.rng = np.random.default_rng(seed)
        self.chances: list[Any] = []  # of each batch that is not learned from yet

    def choose(self, x: Any) -> Any:
        chosen, chance = np.empty(len(x), dtype=int), np.empty(len(x))
        for i, row in enumerate(x):
            p = np.array(self.learner.predict(f"| {_say(row)}"))
            chosen[i] = self.rng.choice(len(p), p=p / p.sum())
            chance[i] = p[chosen[i]]
        self.chances.append(chance)
        return chosen

    def learn(self, x: Any, chosen: Any, reward: Any) -> None:
        for row, k, r, p in zip(x, chosen, reward, self.chances.pop(0), strict=True):
            self.learner.learn(f"{k + 1}:{-r:.6f}:{p:.6f} | {_say(row)}")


PEERS: dict[str, Callable[[int, int, int], Player]] = {
    "bayesianbandits": Bayesian,
    "MABWiser LinTS": lambda k, d, seed: Mab(LearningPolicy.LinTS(), k, seed),
    "MABWiser LinUCB": lambda k, d, seed: Mab(LearningPolicy.LinUCB(), k, seed),
    "contextualbandits": Contextual,
    "VW squarecb": Vowpal,
}
# With a width of exploration that is not their own.
TUNABLE: dict[str, Callable[[float], Any]] = {
    "MABWiser LinTS": lambda width: LearningPolicy.LinTS(alpha=width),
    "MABWiser LinUCB": lambda width: LearningPolicy.LinUCB(alpha=width),
}


def make_player(label: str, k: int, d: int, seed: int) -> Player:
    """Make a peer from its name, after which " @ " tells a width."""
    name, _, width = label.partition(" @ ")
    return Mab(TUNABLE[name](float(width)), k, seed) if width else PEERS[name](k, d, seed)


def play(player: Player, world: Any, batch: int) -> list[int]:
    """Let a player choose and learn batch by batch; return what it chose."""
    x, reward, delay = world["x"], world["reward"], int(world["delay"])
    chosen = np.empty(len(x), dtype=int)
    waiting = []
    for first in range(0, len(x), batch):
        rows = slice(first, first + batch)
        chosen[rows] = player.choose(x[rows])
        waiting.append(np.arange(len(x))[rows])
        if len(waiting) > delay:
            due = waiting.pop(0)
            player.learn(x[due], chosen[due], reward[due, chosen[due]])
    return [int(k) for k in chosen]


def main(asked: Path, answered: Path) -> None:
    """Play every peer in the worlds of the question."""
    warnings.simplefilter("ignore")
    question = json.loads(asked.read_text())
    answers = []
    for seed, path in enumerate(question["worlds"]):
        world = np.load(path)
        d, k = world["x"].shape[1], world["reward"].shape[1]
        answers.append(
            {
                name: play(make_player(name, k, d, seed), world, question["batch"])
                for name in question["peers"]
            }
        )
    answered.write_text(json.dumps(answers))


def _say(row: Any) -> str:
    # Names that are numbers would not be hashed, and fall on one another's places.
    return " ".join(f"c{i}:{value:.5f}" for i, value in enumerate(row))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
