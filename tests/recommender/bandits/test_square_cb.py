"""Inverse gaps on the ridge's means: their scale, and that it does not depend on units."""

import numpy as np
import pytest

from recommender.bandits.square_cb import SquareCB
from recommender.bandits.thompson import LinearThompson
from recommender.weighing.features import FeatureSpec
from recommender.weighing.odds import Odds

OFFERS = ("mug", "cap", "pen")


def learn(unit: float, n: int = 900) -> Odds:
    rng = np.random.default_rng(1)
    shown = rng.integers(3, size=n)
    rewards = unit * (np.array([0.1, 0.3, 0.2])[shown] + rng.normal(size=n))
    bandit = SquareCB()
    return bandit.publish(
        bandit.accumulate(shown, np.ones((n, 1)), rewards, n_offers=3),
        offers=OFFERS,
        features=FeatureSpec(()),
        floor=1e-9,
        version=1,
    )


def test_the_scale_is_the_root_of_decisions_times_offers_over_the_noise() -> None:
    odds = learn(1.0)
    assert odds.gap_scale is not None
    # The noise is 1, known to within a few per cent from 900 rewards.
    expected = np.sqrt(3 * 900) / SquareCB().width(1)
    assert odds.gap_scale == pytest.approx(expected, rel=0.1)
    mean = odds.mean[:, 0]
    weights = odds.weights(np.ones(1), np.ones(3, dtype=bool))
    others = np.delete(np.arange(3), mean.argmax())
    chances = 1 / (3 + odds.gap_scale * (mean.max() - mean[others]))
    np.testing.assert_allclose(weights[others], chances, rtol=1e-6)


def test_chances_do_not_depend_on_the_unit_of_reward() -> None:
    everybody = np.ones(3, dtype=bool)
    in_euros, in_cents = learn(10.0), learn(1_000.0)
    np.testing.assert_allclose(
        in_cents.weights(np.ones(1), everybody),
        in_euros.weights(np.ones(1), everybody),
        rtol=0.01,
    )


def test_predictions_are_those_of_linear_thompson() -> None:
    rng = np.random.default_rng(2)
    x, shown = rng.normal(size=(50, 1)), rng.integers(3, size=50)
    square, linear = (
        bandit.publish(
            bandit.accumulate(shown, x, x[:, 0], n_offers=3),
            offers=OFFERS,
            features=FeatureSpec(()),
            floor=0.01,
            version=1,
        )
        for bandit in (SquareCB(), LinearThompson())
    )
    np.testing.assert_array_equal(square.mean, linear.mean)
