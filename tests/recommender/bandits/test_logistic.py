"""Logistic Thompson sampling against the same posterior maximised by another's hand."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit

from recommender.arrays import FloatArray
from recommender.bandits.base import Hyperparameters, Log, LogReader
from recommender.bandits.logistic import LogisticThompson
from recommender.weighing.features import FeatureSpec, NumberFeature
from recommender.weighing.odds import Odds

FEATURES = FeatureSpec((NumberFeature("age", 0.0, 1.0), NumberFeature("visits", 0.0, 1.0)))
OFFERS = ("mug", "cap", "pen")
K, D = 3, 3
SETTINGS = Hyperparameters(exploration=D**0.25, prior_strength=40.0)  # of no width but its own


def make_log(n: int = 500, *, slope: float = 1.0) -> Log:
    rng = np.random.default_rng(4)
    shown = rng.integers(K, size=n)
    x = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    theta = np.array([[-1.0, slope, 0.0], [-1.5, 0.0, slope], [-2.0, 0.0, 0.0]])
    rewards = rng.random(n) < expit((x * theta[shown]).sum(axis=1))
    return Log(shown, x, rewards.astype(float), np.ones(n))


def learn(bandit: LogisticThompson, log: Log, *, reads: bool = True) -> Odds:
    if reads:
        bandit.read(log)
    return bandit.publish(
        bandit.accumulate(log.offer_index, log.x, log.reward, n_offers=K),
        offers=OFFERS,
        features=FEATURES,
        floor=0.001,
        version=1,
    )


def maximised(log: Log, *, prior: float) -> FloatArray:
    """The mode of all offers' coefficients, with the shared rate in the first, (K, d)."""
    middle = logit((log.reward.sum() + 1) / (len(log.reward) + 2))

    def cost(flat: FloatArray) -> float:
        theta, common = flat[: K * D].reshape(K, D), flat[K * D :]
        odds = middle + (log.x * theta[log.offer_index]).sum(axis=1)
        fit = log.reward @ odds - np.logaddexp(0, odds).sum()
        return float(
            -fit + 0.5 * prior * ((theta - common) ** 2).sum() + 0.005 * prior * (common**2).sum()
        )

    found = minimize(cost, np.zeros((K + 1) * D), method="BFGS", options={"gtol": 1e-7})
    theta: FloatArray = found.x[: K * D].reshape(K, D) + np.array([middle, 0.0, 0.0])
    return theta


def test_the_mean_is_the_mode_and_the_covariance_the_curvature_there() -> None:
    log = make_log()
    odds = learn(LogisticThompson(SETTINGS), log)
    rate = (log.reward.sum() + 1) / (len(log.reward) + 2)
    prior = 40.0 * rate * (1 - rate)
    assert prior > 1.0
    np.testing.assert_allclose(odds.mean, maximised(log, prior=prior), atol=1e-5)
    for k in range(K):
        x = log.x[log.offer_index == k]
        p = expit(x @ odds.mean[k])
        precision = prior * np.eye(D) + x.T @ ((p * (1 - p))[:, None] * x)
        np.testing.assert_allclose(
            odds.factor[k] @ odds.factor[k].T, np.linalg.inv(precision), rtol=1e-6
        )


def test_a_step_that_leaps_over_the_top_is_shortened() -> None:
    # Steep rates from one in hundreds: from an even start Newton's first steps are far too long.
    rng = np.random.default_rng(6)
    x = np.column_stack([np.ones(4_000), 30.0 * rng.normal(size=(4_000, 2))])
    rewards = (x[:, 1] > 70).astype(float)
    log = Log(rng.integers(K, size=4_000), x, rewards, np.ones(4_000))
    odds = learn(LogisticThompson(Hyperparameters(prior_strength=1e-6)), log)
    np.testing.assert_allclose(odds.mean, maximised(log, prior=1.0), atol=2e-3)


def test_rows_that_are_alike_may_be_one() -> None:
    log = make_log(300)
    twice = Log(log.offer_index, log.x, log.reward, np.full(300, 2.0))
    doubled = Log(
        np.tile(log.offer_index, 2), np.tile(log.x, (2, 1)), np.tile(log.reward, 2), np.ones(600)
    )
    bandits = LogisticThompson(), LogisticThompson()
    for bandit, read in zip(bandits, (twice, doubled), strict=True):
        bandit.read(read)
    sums = bandits[0].accumulate(log.offer_index, log.x, log.reward, n_offers=K)
    one, other = (
        bandit.publish(sums, offers=OFFERS, features=FEATURES, floor=0.001, version=1)
        for bandit in bandits
    )
    np.testing.assert_allclose(one.mean, other.mean, atol=1e-9)
    np.testing.assert_allclose(one.factor, other.factor, atol=1e-9)


def test_the_sums_alone_give_newtons_first_step() -> None:
    log = make_log(2_000, slope=0.2)
    with_log = learn(LogisticThompson(), log)
    without = learn(LogisticThompson(), log, reads=False)
    assert without.is_log_odds
    x = log.x[:200]
    # Where customers hardly differ, a step is nearly all of the way.
    np.testing.assert_allclose(without.expect(x), with_log.expect(x), atol=0.07)
    assert abs(without.mean - with_log.mean).max() > 1e-4


def test_expected_rewards_are_rates() -> None:
    log = make_log(20_000)
    odds = learn(LogisticThompson(), log)
    truth = expit(log.x[:500] @ np.array([-1.0, 1.0, 0.0]))
    np.testing.assert_allclose(odds.expect(log.x[:500])[:, 0], truth, atol=0.05)


def test_both_libraries_weigh_alike() -> None:
    bandit, log = LogisticThompson(), make_log()
    odds, everybody = learn(bandit, log), np.ones((500, K), dtype=bool)
    np.testing.assert_allclose(
        bandit.weights_many(odds, log.x, everybody), odds.weights_many(log.x, everybody), atol=1e-9
    )


def test_it_reads_logs_of_rates_alone() -> None:
    bandit, log = LogisticThompson(), make_log(9)
    assert isinstance(bandit, LogReader)
    with pytest.raises(ValueError, match="between 0 and 1"):
        bandit.read(Log(log.offer_index, log.x, 2.0 + log.reward, log.weight))
    with pytest.raises(ValueError, match="between 0 and 1"):
        bandit.accumulate(log.offer_index, log.x, -1.0 - log.reward, n_offers=K)
