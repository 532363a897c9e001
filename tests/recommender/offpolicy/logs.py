"""A simulated log whose truth is known: three offers, one attribute, a skewed logging policy."""

import numpy as np

from recommender.arrays import FloatArray
from recommender.offpolicy.reward_model import crossfit_predictions
from recommender.offpolicy.robust import ModelledLog
from recommender.offpolicy.values import PolicyValue, Withheld

K = 3


def mean_rewards(z: FloatArray) -> FloatArray:
    """Every offer's true mean reward for customers with this one attribute, (n,) to (n, K)."""
    means = np.column_stack([0.3 + 0.1 * z, 0.2 - 0.1 * z, np.full(len(z), 0.25)])
    return means.clip(0.02, 0.98)


def true_values() -> tuple[float, float]:
    """Values of the target and of the even policy, averaged over the normal attribute."""
    z = np.linspace(-8, 8, 16_001)
    density = np.exp(-(z**2) / 2)
    means = mean_rewards(z)
    target = 0.7 * means.max(axis=1) + 0.1 * means.sum(axis=1)
    total = density.sum()
    return float(density @ target / total), float(density @ means.mean(axis=1) / total)


def make_log(seed: int, n: int = 1_000) -> ModelledLog:
    """A skewed logging policy, and a target that prefers each customer's best offer."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.normal(size=n)])
    means = mean_rewards(x[:, 1])
    logging = np.exp(0.4 * x[:, 1:] * np.array([-1.0, 0.0, 1.0]))
    logging /= logging.sum(axis=1, keepdims=True)
    target = np.full((n, K), 0.1)
    target[np.arange(n), means.argmax(axis=1)] = 0.8
    chosen = (rng.random((n, 1)) > logging.cumsum(axis=1)[:, :-1]).sum(axis=1)
    rows = np.arange(n)
    rewards = (rng.random(n) < means[rows, chosen]).astype(float)
    predictions = crossfit_predictions(x, chosen, rewards, n_actions=K)
    return ModelledLog(
        rewards=rewards,
        target=target[rows, chosen],
        logged=logging[rows, chosen],
        predicted_logged=predictions[rows, chosen],
        predicted_target=(predictions * target).sum(axis=1),
    )


def shown(value: PolicyValue | Withheld) -> PolicyValue:
    """Insist that the estimate is not withheld."""
    assert isinstance(value, PolicyValue), value
    return value
