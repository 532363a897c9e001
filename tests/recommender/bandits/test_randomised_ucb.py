"""Upper bounds of one drawn height, on the posterior of linear Thompson sampling."""

import numpy as np
import pytest
from scipy import stats

from recommender.bandits.base import Hyperparameters
from recommender.bandits.randomised_ucb import RandomisedUCB
from recommender.bandits.thompson import LinearThompson
from recommender.weighing.features import FeatureSpec, NumberFeature
from recommender.weighing.odds import Odds

FEATURES = FeatureSpec((NumberFeature("age", 0.0, 1.0),))
OFFERS = ("mug", "cap")


def learn(bandit: LinearThompson, n: int = 300) -> Odds:
    rng = np.random.default_rng(1)
    shown = (rng.random(n) < 0.1).astype(np.int64)
    x = np.column_stack([np.ones(n), rng.normal(size=n)])
    rewards = 0.2 * x[:, 1] * shown + rng.normal(size=n)
    return bandit.publish(
        bandit.accumulate(shown, x, rewards, n_offers=2),
        offers=OFFERS,
        features=FEATURES,
        floor=1e-9,
        version=1,
    )


def test_an_offer_is_tried_as_often_as_its_bound_is_the_higher() -> None:
    odds, x = learn(RandomisedUCB()), np.array([1.0, 0.4])
    mean, sd = odds.predict(x)
    leader = int(mean.argmax())
    known, unknown = sd[0], sd[1]
    assert known < unknown
    corner = (mean[0] - mean[1]) / (unknown - known)
    expected = 2 * stats.norm.sf(corner) if leader == 0 else 1.0
    weights = odds.weights(x, np.ones(2, dtype=bool))
    assert weights[1] == pytest.approx(expected, abs=1e-8)


def test_the_posterior_is_taken_as_it_is() -> None:
    optimistic = learn(RandomisedUCB())
    textbook = learn(LinearThompson(Hyperparameters(exploration=2**0.25)))  # of two columns
    np.testing.assert_array_equal(optimistic.mean, textbook.mean)
    np.testing.assert_allclose(optimistic.factor, textbook.factor, rtol=1e-12)
    bold = learn(RandomisedUCB(Hyperparameters(exploration=3.0)))
    np.testing.assert_allclose(bold.factor, 3.0 * optimistic.factor, rtol=1e-12)


def test_both_libraries_weigh_alike() -> None:
    bandit, rng = RandomisedUCB(), np.random.default_rng(3)
    odds, x = learn(bandit), np.column_stack([np.ones(500), rng.normal(size=500)])
    eligible = rng.random((500, 2)) < 0.8
    eligible[:, 0] = True
    np.testing.assert_allclose(
        bandit.weights_many(odds, x, eligible), odds.weights_many(x, eligible), atol=1e-12
    )
