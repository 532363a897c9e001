"""Under a policy that learns as it goes, weighted values cover the truth; plain means miss it."""

import numpy as np
from numpy.typing import NDArray

from campaigns.results.offers import GOALS, WEIGHTED_GOALS, Value, plain_mean, value_of
from experiments.stats.moments import Moments
from recommender.offpolicy.values import Withheld

RUNS, BATCHES, BATCH, RATE, FLOOR = 600, 10, 200, 0.2, 0.05
# Arms as they are by themselves: those who get offers evenly, and those whom the policy draws for,
# of whom some are kept out of learning and drawn for with a higher floor.
GROUPS, FLOORS = (0.3, 0.2, 0.5), np.array([0.5, 0.05, 0.002])
FloatArray = NDArray[np.float64]


def learn(rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Let a Thompson sampler of two equal offers give them out, batch by batch.

    Returns whether each decision was the first offer, its chance, and its reward: each of shape
    (RUNS, BATCHES * BATCH), one decision a customer.
    """
    wins, losses = np.ones((2, RUNS)), np.ones((2, RUNS))
    drawn, chances, rewards = [], [], []
    for _ in range(BATCHES):
        # That the first one's rate is the larger, by the normal limit of two beta posteriors.
        n = wins + losses
        mean, variance = wins / n, wins * losses / (n**2 * (n + 1))
        z = (mean[0] - mean[1]) / np.sqrt(variance.sum(axis=0))
        p = np.clip(1 / (1 + np.exp(-1.702 * z)), FLOOR, 1 - FLOOR)[:, None]
        is_first = rng.random((RUNS, BATCH)) < p
        reward = rng.random((RUNS, BATCH)) < RATE
        for arm, given in enumerate((is_first, ~is_first)):
            wins[arm] += (given & reward).sum(axis=1)
            losses[arm] += (given & ~reward).sum(axis=1)
        drawn.append(is_first)
        chances.append(np.broadcast_to(p, is_first.shape))
        rewards.append(reward)
    return (
        np.concatenate(drawn, axis=1).astype(float),
        np.concatenate(chances, axis=1),
        np.concatenate(rewards, axis=1).astype(float),
    )


def test_weighted_values_cover_the_truth_and_plain_means_are_biased() -> None:
    drawn, chances, rewards = learn(np.random.default_rng(5))
    covered, weighted, plain = [], [], []
    for is_it, p, reward in zip(drawn, chances, rewards, strict=True):
        zero, weight = np.zeros_like(is_it), is_it / p
        columns = [np.ones_like(is_it), is_it, is_it * reward, zero, weight, weight * reward, zero]
        moments = Moments.of(np.column_stack(columns))
        plain.append((plain_mean(moments, GOALS) or 0.0) - RATE)
        value = value_of(moments, WEIGHTED_GOALS, confidence=0.95)
        if isinstance(value, Value):
            covered.append(value.low <= RATE <= value.high)
            weighted.append(value.estimate - RATE)
    # An offer that was hardly given out is withheld, and one alarm in a thousand is chance.
    assert len(covered) > 0.98 * RUNS
    assert abs(np.mean(covered) - 0.95) < 3 * (0.95 * 0.05 / len(covered)) ** 0.5
    assert abs(np.mean(weighted)) < 3 * np.std(weighted) / len(weighted) ** 0.5
    assert np.mean(plain) < -3 * np.std(plain) / RUNS**0.5


def learn_in_groups(
    rng: np.random.Generator, rate: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Let a Thompson sampler learn of one group that an offer is worth less than another.

    Returns each decision's group, whether it was the offer, its chance, and its reward.
    """
    wins, losses = np.ones(2), np.ones(2)
    found: list[FloatArray] = []
    for _ in range(BATCHES):
        n = wins + losses
        mean, variance = wins / n, wins * losses / (n**2 * (n + 1))
        chance = 1 / (1 + np.exp(-1.702 * (mean[0] - mean[1]) / np.sqrt(variance.sum())))
        group = rng.choice(3, BATCH, p=GROUPS)
        p = np.clip(chance, FLOORS[group], 1 - FLOORS[group])
        is_it = rng.random(BATCH) < p
        reward = rng.random(BATCH) < np.where(is_it, rate, rate + 0.1)
        for arm, given in enumerate((is_it, ~is_it)):
            wins[arm] += (given & reward & (group == 2)).sum()
            losses[arm] += (given & ~reward & (group == 2)).sum()
        found.append(np.array([group, is_it, p, reward], dtype=float))
    group, is_it, p, reward = np.concatenate(found, axis=1)
    return group, is_it, p, reward


def test_groups_that_tell_unlike_much_are_joined_by_it() -> None:
    rng, rate = np.random.default_rng(9), 0.15
    plain: list[Value | Withheld] = []
    joined: list[Value | Withheld] = []
    for _ in range(RUNS):
        group, is_it, p, reward = learn_in_groups(rng, rate)
        tells = np.array([1 / np.mean(1 / p[group == each]) for each in range(3)])[
            group.astype(int)
        ]
        for values, counts in ((plain, np.ones_like(p)), (joined, tells / tells.mean())):
            zero, weight = np.zeros_like(p), counts * is_it / p
            columns = [counts, is_it, is_it * reward, zero, weight, weight * reward, zero]
            moments = Moments.of(np.column_stack(columns))
            values.append(value_of(moments, WEIGHTED_GOALS, confidence=0.95))
    # An offer that the policy avoids is hardly ever drawn, and then counts for hundreds.
    assert sum(isinstance(value, Value) for value in plain) < 0.6 * RUNS
    said = [value for value in joined if isinstance(value, Value)]
    assert len(said) > 0.98 * RUNS
    covered = np.mean([value.low <= rate <= value.high for value in said])
    assert abs(covered - 0.95) < 3 * (0.95 * 0.05 / len(said)) ** 0.5
    # How sure the policy is hangs on what was earned, and with it how much its decisions count.
    half = np.mean([(value.high - value.low) / 2 for value in said])
    assert abs(np.mean([value.estimate for value in said]) - rate) < 0.1 * half
