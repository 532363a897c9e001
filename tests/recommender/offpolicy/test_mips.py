"""Groups of offers are weighted like single ones, where they say all about the reward."""

import numpy as np
import pytest

from recommender.arrays import FloatArray, IntArray
from recommender.offpolicy.weighting import ips, mips
from tests.recommender.offpolicy.logs import shown

N, K, G = 4_000, 200, 5
GROUPS = np.arange(K) % G


def make_log(seed: int) -> tuple[FloatArray, IntArray, FloatArray, FloatArray, float]:
    """Rewards that depend on an offer's group alone, and the target's true value."""
    rng = np.random.default_rng(seed)
    logged = rng.dirichlet(np.full(K, 0.5), size=N).clip(1e-6)
    logged /= logged.sum(axis=1, keepdims=True)
    target = rng.dirichlet(np.full(K, 0.5), size=N)
    action = (rng.random((N, 1)) > logged.cumsum(axis=1)[:, :-1]).sum(axis=1)
    means = np.linspace(0.1, 0.5, G)[GROUPS]
    rewards = (rng.random(N) < means[action]).astype(float)
    return rewards, action, target, logged, float((target @ means).mean())


def test_marginal_weights_are_unbiased_and_far_steadier() -> None:
    rewards, action, target, logged, truth = make_log(1)
    value = shown(mips(rewards, action, target, logged, groups=GROUPS))
    rows = np.arange(N)
    single = ips(rewards, target[rows, action], logged[rows, action], least_effective=0.0)
    se = value.scores.influence.std() / np.sqrt(N)
    assert abs(value.estimate - truth) < 3 * se
    spread = shown(single).scores.influence.std()
    assert value.scores.influence.std() < spread / 3


def test_groups_of_one_offer_each_are_plain_weights() -> None:
    rewards, action, target, logged, _ = make_log(2)
    target = 0.9 * logged + 0.1 * target
    rows = np.arange(N)
    alone = shown(mips(rewards, action, target, logged, groups=np.arange(K)))
    plain = shown(ips(rewards, target[rows, action], logged[rows, action]))
    assert alone.estimate == pytest.approx(plain.estimate)


def test_one_group_of_all_says_that_nothing_matters() -> None:
    rewards, action, target, logged, _ = make_log(3)
    value = shown(mips(rewards, action, target, logged, groups=np.zeros(K, dtype=np.int64)))
    assert value.estimate == pytest.approx(rewards.mean())


def test_arrays_that_do_not_fit_are_refused() -> None:
    rewards, action, target, logged, _ = make_log(4)
    with pytest.raises(ValueError, match="Expected shapes"):
        mips(rewards, action, target, logged, groups=np.arange(3))
    with pytest.raises(ValueError, match="Expected shapes"):
        mips(rewards, action, target[:, :3], logged, groups=GROUPS)
    with pytest.raises(ValueError, match="Actions must lie in"):
        mips(rewards, action + K, target, logged, groups=GROUPS)
