"""Plays other people's bandits in worlds kept as files of arrays, as they come or otherwise set.

Run in an environment that has them: QUESTION ANSWERS, both JSON files (see `clients.py`). Peers are
asked for by name and by what is not to be as it comes: `MABWiser LinUCB alpha=0.3 l2_lambda=10`.
"""

# mypy: disable-error-code="import-not-found, import-untyped, unused-ignore"

import json
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from bayesianbandits import (
    Arm,
    BayesianGLM,
    ContextualAgent,
    EmpiricalBayesNormalRegressor,
    NormalInverseGammaRegressor,
    StabilizedForgetting,
    ThompsonSampling,
    UpperConfidenceBound,
)
from contextualbandits.online import LinTS, LinUCB, LogisticUCB
from mabwiser.mab import MAB, LearningPolicy
from vowpalwabbit import pyvw

SAMPLES = 100  # of each posterior, for a quantile; the 1,000 that it comes with take hours


class Player(Protocol):
    """Chooses for a batch of customers and learns from one."""

    def choose(self, x: Any) -> Any:
        """Choose offers, (r, d) to (r,)."""

    def learn(self, x: Any, chosen: Any, reward: Any) -> None:
        """Learn what choices earned."""


class Bayesian:
    """bayesianbandits: a regression for each offer, Thompson sampling or an upper quantile."""

    def __init__(
        self,
        learner: Any,
        k: int,
        seed: int,
        *,
        quantile: float | None = None,
        keeps: float | None = None,
        **settings: float,
    ) -> None:
        if keeps is not None:
            settings["forgetting"] = StabilizedForgetting(keeps)
        arms = [Arm(i, learner=learner(**settings)) for i in range(k)]
        policy = (
            ThompsonSampling()
            if quantile is None
            else UpperConfidenceBound(quantile, samples=SAMPLES)
        )
        self.agent = ContextualAgent(arms, policy, random_seed=seed)

    def choose(self, x: Any) -> Any:
        return np.array(self.agent.pull(x))

    def learn(self, x: Any, chosen: Any, reward: Any) -> None:
        for k in np.unique(chosen):
            mine = chosen == k
            self.agent.select_for_update(int(k)).update(x[mine], reward[mine])


class Mab:
    """MABWiser, which wants to be fitted once before it learns on."""

    def __init__(self, policy: Any, k: int, seed: int, **settings: float) -> None:
        self.bandit = MAB(list(range(k)), policy(**settings), seed=seed)
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
    """contextualbandits' bandits."""

    def __init__(self, model: Any, k: int, seed: int, **settings: float) -> None:
        self.model = model(k, random_state=seed + 1, **settings)  # 0 is refused
        self.is_fitted = False
        self.k, self.rng = k, np.random.default_rng(seed)

    def choose(self, x: Any) -> Any:
        if not self.is_fitted:
            return self.rng.integers(self.k, size=len(x))
        return self.model.predict(x).astype(int)

    def learn(self, x: Any, chosen: Any, reward: Any) -> None:
        self.model.partial_fit(x, chosen, reward)
        self.is_fitted = True


class ContextualLog(Contextual):
    """The one of them that is fitted to the whole log each time."""

    def __init__(self, k: int, seed: int, **settings: float) -> None:
        super().__init__(LogisticUCB, k, seed, njobs=1, **settings)
        self.log: list[tuple[Any, Any, Any]] = []

    def learn(self, x: Any, chosen: Any, reward: Any) -> None:
        self.log.append((x, chosen, reward))
        self.model.fit(*map(np.concatenate, zip(*self.log, strict=True)))
        self.is_fitted = True


class Vowpal:
    """Vowpal Wabbit, one example after the other."""

    def __init__(self, explore: str, k: int, seed: int, **settings: float) -> None:
        told = "".join(f" --{name} {value:g}" for name, value in settings.items())
        self.learner = pyvw.Workspace(
            f"--cb_explore {k} {explore}{told} --quiet --random_seed {seed + 1}"
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


PEERS: dict[str, Callable[..., Player]] = {
    "bayesianbandits": partial(Bayesian, NormalInverseGammaRegressor),
    "bayesianbandits evidence": partial(Bayesian, EmpiricalBayesNormalRegressor),
    "bayesianbandits logit": partial(Bayesian, BayesianGLM),
    "MABWiser LinTS": partial(Mab, LearningPolicy.LinTS),
    "MABWiser LinUCB": partial(Mab, LearningPolicy.LinUCB),
    "contextualbandits": partial(Contextual, LinUCB),
    "contextualbandits LinTS": partial(Contextual, LinTS),
    "contextualbandits LogisticUCB": ContextualLog,
    "VW squarecb": partial(Vowpal, "--squarecb"),
}


def make_player(label: str, k: int, seed: int) -> Player:
    """Make a peer from its name and settings."""
    words = label.split(" ")
    name = " ".join(word for word in words if "=" not in word)
    pairs = (word.split("=") for word in words if "=" in word)
    return PEERS[name](k, seed, **{setting: float(value) for setting, value in pairs})


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
    for seed, path in enumerate(question["worlds"], question["first_seed"]):
        world = dict(np.load(path))
        k = world["reward"].shape[1]
        answers.append(
            {
                label: play(make_player(label, k, seed), world, question["batch"])
                for label in question["peers"]
            }
        )
    answered.write_text(json.dumps(answers))


def _say(row: Any) -> str:
    # Names that are numbers would not be hashed, and fall on one another's places.
    return " ".join(f"c{i}:{value:.5f}" for i, value in enumerate(row))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
