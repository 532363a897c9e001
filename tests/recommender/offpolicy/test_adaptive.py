"""Values from decisions of a policy that learned meanwhile: definitions, refusals, coverage."""

from dataclasses import dataclass

import numpy as np
import pytest

from recommender.arrays import BoolArray, FloatArray, IntArray
from recommender.offpolicy.adaptive import adaptively_weighted
from recommender.offpolicy.reward_model import past_predictions
from recommender.offpolicy.values import PolicyValue, Withheld
from recommender.weighing.propensities import offer_weights
from tests.recommender.offpolicy.logs import shown

K = 4


@dataclass(frozen=True, slots=True)
class Collected:
    """What a Thompson sampler decided for customers of two segments; arrays of shape (n, …)."""

    segment: IntArray
    action: IntArray
    rewards: FloatArray
    weights: FloatArray
    predicted: FloatArray
    batch: IntArray

    def value(self, target: FloatArray) -> PolicyValue | Withheld:
        return adaptively_weighted(
            self.rewards, self.action, target, self.weights, self.predicted, batch=self.batch
        )


def collect(rates: FloatArray, *, seed: int, batches: int = 25, size: int = 400) -> Collected:
    """Let one Beta-Bernoulli sampler for each segment learn between batches.

    Args:
        rates: True reward rates, shape (2, K).
        seed: Decides everything.
        batches: How often it learns.
        size: Decisions of a batch.
    """
    rng = np.random.default_rng(seed)
    won, lost = np.ones((2, K)), np.ones((2, K))
    segment = rng.integers(2, size=(batches, size))
    action, reward = np.empty((batches, size), dtype=np.int64), np.empty((batches, size))
    weights = np.empty((batches, size, K))
    for i, here in enumerate(segment):
        mean = won / (won + lost)
        sd = np.sqrt(mean * (1 - mean) / (won + lost + 1))
        weights[i] = offer_weights(mean, sd, np.ones((2, K), dtype=bool), floor=0.02)[here]
        action[i] = (rng.random((size, 1)) > weights[i].cumsum(axis=1)[:, :-1]).sum(axis=1)
        reward[i] = rng.random(size) < rates[here, action[i]]
        np.add.at(won, (here, action[i]), reward[i])
        np.add.at(lost, (here, action[i]), 1 - reward[i])
    flat_segment, flat_action, flat_reward = segment.ravel(), action.ravel(), reward.ravel()
    batch = np.repeat(np.arange(batches), size)
    return Collected(
        segment=flat_segment,
        action=flat_action,
        rewards=flat_reward,
        weights=weights.reshape(-1, K),
        predicted=past_predictions(
            np.eye(2)[flat_segment], flat_action, flat_reward, batch=batch, n_actions=K
        ),
        batch=batch,
    )


def always(offer: int, n: int = 10_000) -> FloatArray:
    return np.tile(np.arange(K) == offer, (n, 1)).astype(np.float64)


ALIKE = np.full((2, K), 0.05)


def test_values_follow_their_definition() -> None:
    log = collect(ALIKE, seed=1)
    value = shown(log.value(always(2)))
    h = np.zeros(10_000)
    gamma = np.zeros(10_000)
    for t in range(10_000):
        mine = log.batch == log.batch[t]
        h[t] = 1 / np.sqrt((1 / log.weights[mine, 2]).mean())
        gamma[t] = log.predicted[t, 2]
        if log.action[t] == 2:
            gamma[t] += (log.rewards[t] - log.predicted[t, 2]) / log.weights[t, 2]
    estimate = (h * gamma).sum() / h.sum()
    own = np.sqrt((h**2 * (gamma - estimate) ** 2).sum()) / h.sum()
    w = (log.action == 2) / log.weights[:, 2]
    noise = (w * (log.rewards - log.predicted[:, 2]) ** 2).sum() / w.sum()
    varying = noise / log.weights[:, 2] + (log.predicted[:, 2] - estimate) ** 2
    modelled = np.sqrt((h**2 * varying).sum()) / h.sum()
    se = max(own, modelled)
    assert value.estimate == pytest.approx(estimate)
    assert value.high - value.estimate == pytest.approx(1.959964 * se, rel=1e-4)
    assert value.method == "adaptively_weighted"


def test_support_is_told_by_the_importance_weights() -> None:
    log = collect(ALIKE, seed=2)
    support = shown(log.value(always(0))).support
    w = (log.action == 0) / log.weights[:, 0]
    assert support.mean_weight == pytest.approx(w.mean())
    assert support.effective_sample_size == pytest.approx(w.sum() ** 2 / (w**2).sum())


def test_a_policy_that_learned_nothing_needs_no_weighting() -> None:
    rng = np.random.default_rng(3)
    n = 2_000
    action, rewards = rng.integers(K, size=n), rng.random(n)
    even, nothing = np.full((n, K), 1 / K), np.zeros((n, K))
    batch = np.arange(n) // 500
    value = shown(adaptively_weighted(rewards, action, even, even, nothing, batch=batch))
    assert value.estimate == pytest.approx(rewards.mean())


def test_a_short_log_is_withheld() -> None:
    log = collect(ALIKE, seed=4, batches=2, size=50)
    assert isinstance(log.value(always(0, n=100)), Withheld)


def test_impossible_logs_are_refused() -> None:
    log = collect(ALIKE, seed=5, batches=2, size=50)
    even = np.full((100, K), 1 / K)
    arrays = (log.rewards, log.action, even, log.weights, log.predicted)

    def value(place: int, array: FloatArray | IntArray | BoolArray) -> None:
        changed = [array if i == place else each for i, each in enumerate(arrays)]
        adaptively_weighted(*changed, batch=log.batch)  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="one for each decision"):
        value(0, log.rewards[1:])
    with pytest.raises(ValueError, match="one for each decision"):
        value(1, log.action[1:])
    with pytest.raises(ValueError, match="Expected arrays of one shape"):
        value(2, even[1:])
    with pytest.raises(ValueError, match="Expected arrays of one shape"):
        value(2, even[0])
    with pytest.raises(ValueError, match="Expected arrays of one shape"):
        value(3, log.weights[:, 1:])
    with pytest.raises(ValueError, match="Actions must lie in"):
        value(1, log.action + K)
    with pytest.raises(ValueError, match="must be possible"):
        value(3, np.where(np.arange(K) == 0, 0.0, log.weights))
    with pytest.raises(ValueError, match="must be finite"):
        value(4, np.full((100, K), np.nan))
    with pytest.raises(ValueError, match=r"must lie in \(0, 1\]"):
        value(3, 9 * log.weights)


@pytest.mark.slow
def test_values_of_offers_and_policies_cover_where_plain_averages_fall_short() -> None:
    """Two thousand logs of a Thompson sampler among offers that are all alike, the worst case."""
    runs, best = 2_000, np.array([0, 1])
    covered: dict[str, list[bool]] = {"offer": [], "policy": [], "plain average": []}
    for seed in range(runs):
        log = collect(ALIKE, seed=seed)
        by_segment = np.eye(K)[best[log.segment]]
        for name, target in (("offer", always(seed % K)), ("policy", by_segment)):
            value = log.value(target)
            if isinstance(value, PolicyValue):
                covered[name].append(value.low <= 0.05 <= value.high)
        mine = log.rewards[log.action == seed % K]
        margin = 1.959964 * mine.std(ddof=1) / np.sqrt(len(mine))
        covered["plain average"].append(abs(mine.mean() - 0.05) <= margin)
    share = {name: float(np.mean(each)) for name, each in covered.items()}
    assert min(len(covered["offer"]), len(covered["policy"])) > 0.98 * runs
    assert share["offer"] >= 0.93, share
    assert share["policy"] >= 0.93, share
    assert share["plain average"] < 0.93, share
