"""Under a policy that learns as it goes, weighted values cover the truth; plain means miss it."""

import numpy as np
from numpy.typing import NDArray

from campaigns.results.offers import GOALS, WEIGHTED_GOALS, Value, plain_mean, value_of
from experiments.stats.moments import Moments

RUNS, BATCHES, BATCH, RATE, FLOOR = 600, 10, 200, 0.2, 0.05
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
