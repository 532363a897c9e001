"""One mean for each offer: the intercept's own posterior, and nothing of other columns."""

import numpy as np

from recommender.arrays import FloatArray, IntArray
from recommender.bandits.gaussian import GaussianThompson
from recommender.bandits.thompson import LinearThompson
from recommender.weighing.features import FeatureSpec, NumberFeature

FEATURES = FeatureSpec((NumberFeature("age", 0.0, 1.0),))
OFFERS = ("mug", "cap")


def make_log(n: int = 400) -> tuple[IntArray, FloatArray, FloatArray]:
    rng = np.random.default_rng(1)
    shown, x = rng.integers(2, size=n), np.column_stack([np.ones(n), rng.normal(size=n)])
    return shown, x, 0.2 * shown + x[:, 1] + rng.normal(size=n)


def test_it_is_linear_thompson_with_the_intercept_alone() -> None:
    shown, x, rewards = make_log()
    bandit, linear = GaussianThompson(), LinearThompson()
    odds = bandit.publish(
        bandit.accumulate(shown, x, rewards, n_offers=2),
        offers=OFFERS,
        features=FEATURES,
        floor=0.01,
        version=7,
    )
    alone = linear.publish(
        linear.accumulate(shown, x[:, :1], rewards, n_offers=2),
        offers=OFFERS,
        features=FeatureSpec(()),
        floor=0.01,
        version=7,
    )
    both = np.ones(2, dtype=bool)
    for age in (-3.0, 0.0, 3.0):
        np.testing.assert_allclose(
            odds.weights(np.array([1.0, age]), both), alone.weights(np.ones(1), both), atol=1e-12
        )
    assert (odds.version, odds.floor, odds.features) == (7, 0.01, FEATURES)
