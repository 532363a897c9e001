"""One rate for each offer, against draws from the Beta distributions themselves."""

import numpy as np
import pytest

from recommender.bandits.base import Hyperparameters, Statistics
from recommender.bandits.beta import BetaThompson
from recommender.weighing.features import FeatureSpec
from recommender.weighing.odds import Odds

NOTHING = FeatureSpec(())
SETTINGS = Hyperparameters(exploration=1.0, prior_strength=4.0)


def learn(n: list[int], won: list[int]) -> Odds:
    statistics = [
        Statistics(
            precision_update=np.array([[float(m)]]), b=np.array([float(w)]), n=float(m), s=float(w)
        )
        for m, w in zip(n, won, strict=True)
    ]
    offers = tuple(f"offer-{i}" for i in range(len(n)))
    return BetaThompson(SETTINGS).publish(
        statistics, offers=offers, features=NOTHING, floor=1e-9, version=1
    )


def test_rates_are_pulled_towards_that_of_all_offers() -> None:
    odds = learn([100, 50, 0], [30, 5, 0])
    common = (1 + 35) / (2 + 150)
    expected = [(4 * common + 30) / 104, (4 * common + 5) / 54, common]
    np.testing.assert_allclose(odds.mean[:, 0], expected)
    variance = odds.mean[:, 0] * (1 - odds.mean[:, 0]) / (np.array([104, 54, 4]) + 1)
    np.testing.assert_allclose(odds.factor[:, 0, 0] ** 2, variance)


def test_weights_are_near_the_chances_of_the_betas_themselves() -> None:
    n, won = [400, 300, 250], [40, 36, 20]
    odds = learn(n, won)
    total = 4.0 + np.array(n)
    a = odds.mean[:, 0] * total
    draws = np.random.default_rng(1).beta(a, total - a, size=(400_000, 3))
    chances = np.bincount(draws.argmax(axis=1), minlength=3) / 400_000
    weights = odds.weights(np.ones(1), np.ones(3, dtype=bool))
    np.testing.assert_allclose(weights, chances, atol=0.015)


def test_offers_that_always_or_never_earn_are_no_trouble() -> None:
    weights = learn([500, 500], [500, 0]).weights(np.ones(1), np.ones(2, dtype=bool))
    assert weights[0] > 0.999


@pytest.mark.parametrize("reward", [-0.1, 1.5])
def test_rewards_that_are_no_rates_are_refused(reward: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        BetaThompson().accumulate(
            np.zeros(1, dtype=np.int64), np.ones((1, 1)), np.array([reward]), n_offers=2
        )
