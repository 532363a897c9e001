"""Slates: exact values by enumeration where the log is large, definitions by hand."""

import itertools

import numpy as np
import pytest

from recommender.arrays import FloatArray
from recommender.offpolicy.slates import Dependence, slate_doubly_robust, slate_ips
from recommender.offpolicy.values import Withheld
from tests.recommender.offpolicy.logs import shown

K, L, N = 3, 2, 40_000
# Chance of each offer first; the second place draws among the others in proportion.
LOGGED = np.array([0.5, 0.3, 0.2])
TARGET = np.array([0.2, 0.3, 0.5])


def second(policy: FloatArray, first: int) -> FloatArray:
    left: FloatArray = np.where(np.arange(K) == first, 0.0, policy)
    return left / float(left.sum())


def reward_means(a: int, b: int) -> FloatArray:
    """People read downwards: the second place earns more below a good first one."""
    good = np.array([0.1, 0.3, 0.5])
    return np.array([good[a], good[b] * (0.5 + good[a])])


def true_value(policy: FloatArray) -> float:
    return sum(
        float(policy[a]) * float(second(policy, a)[b]) * float(reward_means(a, b).sum())
        for a, b in itertools.permutations(range(K), 2)
    )


def make_log(seed: int) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Rewards, the target's and the logged chances, and the offers, each (n, L)."""
    rng = np.random.default_rng(seed)
    pairs = list(itertools.permutations(range(K), 2))
    chances = np.array([LOGGED[a] * second(LOGGED, a)[b] for a, b in pairs])
    drawn = rng.choice(len(pairs), size=N, p=chances)
    tables = [
        np.array([values(a, b) for a, b in pairs])
        for values in (
            reward_means,
            lambda a, b: (TARGET[a], second(TARGET, a)[b]),
            lambda a, b: (LOGGED[a], second(LOGGED, a)[b]),
            lambda a, b: (a, b),
        )
    ]
    means, target, logged, offers = (table[drawn] for table in tables)
    return (rng.random((N, L)) < means).astype(float), target, logged, offers


@pytest.mark.parametrize("dependence", ["standard", "cascade"])
def test_values_are_found_where_the_dependence_is_right(dependence: Dependence) -> None:
    rewards, target, logged, _ = make_log(1)
    value = shown(slate_ips(rewards, target, logged, dependence=dependence))
    se = value.scores.influence.std() / np.sqrt(N)
    assert abs(value.estimate - true_value(TARGET)) < 3 * se


def test_less_dependence_is_steadier() -> None:
    rewards, target, logged, _ = make_log(2)
    spread = [
        shown(slate_ips(rewards, target, logged, dependence=d)).scores.influence.std()
        for d in ("standard", "cascade", "independent")
    ]
    assert spread == sorted(spread, reverse=True)


def test_weights_multiply_down_the_slate() -> None:
    rewards, target, logged, _ = make_log(3)
    w = target / logged
    by_hand = {
        "standard": (w[:, 0] * w[:, 1] * rewards.sum(axis=1)).mean(),
        "cascade": (w[:, 0] * rewards[:, 0] + w[:, 0] * w[:, 1] * rewards[:, 1]).mean(),
        "independent": (w * rewards).sum(axis=1).mean(),
    }
    for dependence, expected in by_hand.items():
        value = shown(slate_ips(rewards, target, logged, dependence=dependence))  # type: ignore[arg-type]
        assert value.estimate == pytest.approx(expected)
        assert value.method == f"slate_{dependence}"


def test_a_model_steadies_and_a_wrong_one_does_not_bias() -> None:
    rewards, target, logged, offers = make_log(4)
    a, b = offers.astype(int).T
    means = np.array([reward_means(*pair) for pair in zip(a, b, strict=True)])
    below = np.array(
        [sum(second(TARGET, i)[j] * reward_means(i, j)[1] for j in range(K)) for i in range(K)]
    )
    at_first = np.array([reward_means(i, 0)[0] for i in range(K)]) + below  # (K,)
    right = slate_doubly_robust(
        rewards,
        target,
        logged,
        np.column_stack([at_first[a], means[:, 1]]),
        np.column_stack([np.full(N, TARGET @ at_first), below[a]]),
    )
    constant = np.full((N, L), 0.4)
    wrong = slate_doubly_robust(rewards, target, logged, constant, constant)
    plain = slate_ips(rewards, target, logged, dependence="cascade")
    assert shown(right).scores.influence.std() < shown(plain).scores.influence.std()
    for value in (shown(right), shown(wrong)):
        se = value.scores.influence.std() / np.sqrt(N)
        assert abs(value.estimate - true_value(TARGET)) < 3 * se


def test_the_position_of_least_support_speaks_for_the_slate() -> None:
    rewards, target, logged, _ = make_log(5)
    rewards, target, logged = rewards[:120], target[:120], logged[:120]
    value = slate_ips(rewards, target, logged, dependence="standard")
    assert isinstance(value, Withheld)


def test_arrays_that_do_not_fit_are_refused() -> None:
    pair = np.ones((5, 2))
    with pytest.raises(ValueError, match=r"one shape \(n, L\)"):
        slate_ips(np.ones(5), np.ones(5), np.ones(5), dependence="cascade")
    with pytest.raises(ValueError, match=r"one shape \(n, L\)"):
        slate_doubly_robust(pair, pair, pair, pair, np.ones((5, 3)))
