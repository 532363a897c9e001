"""Makes worlds in which an offer's mean reward for every customer is known."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recommender.arrays import FloatArray, IntArray

ROUNDS, BATCH = 20_000, 500


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Customers in the order in which they come, and what every offer would earn of each.

    Attributes:
        x: Encoded customers, shape (n, d), the first column 1.
        mean: Mean rewards, shape (n, K).
        reward: Rewards that would come about, shape (n, K).
        delay: How many batches pass before a reward is known.
    """

    x: FloatArray
    mean: FloatArray
    reward: FloatArray
    delay: int = 0

    @property
    def is_rewarded_or_not(self) -> bool:
        """Whether all rewards are 0 or 1."""
        return bool(np.isin(self.reward, (0.0, 1.0)).all())

    def regret(self, chosen: IntArray) -> float:
        """Return the sum of mean rewards lost by choices, shape (n,)."""
        got = self.mean[np.arange(len(self.x)), chosen]
        return float((self.mean.max(axis=1) - got).sum())


def linear(rng: np.random.Generator) -> World:
    """Ten offers, 16 columns; rewards are linear with as much noise as signal."""
    x = draw_customers(rng, 16)
    mean = x @ rng.normal(0.0, 0.25, (16, 10))
    return World(x, mean, mean + rng.normal(0.0, 1.0, mean.shape))


def clicks(rng: np.random.Generator) -> World:
    """Ten offers, 16 columns; rates of some per cent, logistic."""
    x = draw_customers(rng, 16)
    return draw_rewards(rng, x, x @ rng.normal(0.0, 0.2, (16, 10)) - 2.4)


def few(rng: np.random.Generator) -> World:
    """Five offers, nothing known of customers: only trying tells good offers from unlucky ones."""
    x = np.ones((ROUNDS, 1))
    logit = rng.normal(-2.6, 0.3, 5)
    return draw_rewards(rng, x, np.tile(logit, (ROUNDS, 1)))


def many(rng: np.random.Generator) -> World:
    """Fifty offers, eight columns, rates of some per cent."""
    x = draw_customers(rng, 8)
    return draw_rewards(rng, x, x @ rng.normal(0.0, 0.3, (8, 50)) - 2.4)


def drifting(rng: np.random.Generator) -> World:
    """Ten offers, eight columns, whose tastes turn into quite other ones from start to end."""
    x = draw_customers(rng, 8)
    before, after = rng.normal(0.0, 0.3, (2, 8, 10))
    turned = np.linspace(0.0, 1.0, ROUNDS)[:, None]
    return draw_rewards(rng, x, (1 - turned) * (x @ before) + turned * (x @ after) - 2.0)


def delayed(rng: np.random.Generator) -> World:
    """Ten offers, eight columns; what a decision earned is known ten batches later."""
    x = draw_customers(rng, 8)
    world = draw_rewards(rng, x, x @ rng.normal(0.0, 0.3, (8, 10)) - 2.0)
    return World(world.x, world.mean, world.reward, delay=10)


def crossed(rng: np.random.Generator) -> World:
    """Ten offers, eight columns; what matters most is whether two of them have one sign."""
    x = draw_customers(rng, 8)
    together = np.outer(x[:, 1] * x[:, 2], rng.normal(0.0, 0.8, 10))
    return draw_rewards(rng, x, x @ rng.normal(0.0, 0.1, (8, 10)) + together - 2.0)


WORLDS: dict[str, Callable[[np.random.Generator], World]] = {
    "linear": linear,
    "clicks": clicks,
    "few": few,
    "many": many,
    "drifting": drifting,
    "delayed": delayed,
    "crossed": crossed,
}


def draw_customers(rng: np.random.Generator, d: int) -> FloatArray:
    """Draw encoded customers, (n, d), the first column 1 and the others normal."""
    return np.column_stack([np.ones(ROUNDS), rng.normal(size=(ROUNDS, d - 1))])


def draw_rewards(rng: np.random.Generator, x: FloatArray, logit: FloatArray) -> World:
    """Draw rewards of 0 or 1, from the log-odds of 1, (n, K)."""
    mean: FloatArray = 1.0 / (1.0 + np.exp(-logit))
    return World(x, mean, (rng.random(mean.shape) < mean).astype(np.float64))
