"""A network sees what no linear bandit can, and the web sees the same without torch."""

from functools import cache

import numpy as np
import pytest

from recommender.arrays import FloatArray
from recommender.bandits.base import Log, Representing
from recommender.bandits.neural_linear import NeuralLinear
from recommender.bandits.randomised_ucb import RandomisedUCB
from recommender.weighing.features import FeatureSpec, NumberFeature
from recommender.weighing.odds import Odds

FEATURES = FeatureSpec((NumberFeature("age", 0.0, 1.0), NumberFeature("visits", 0.0, 1.0)))
OFFERS = ("mug", "cap")


def customers(n: int, *, seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    return np.column_stack([np.ones(n), rng.normal(size=(n, 2))])


def truth(x: FloatArray) -> FloatArray:
    """The mug is for those of whom both columns have one sign, the cap for the others."""
    crossed = x[:, 1] * x[:, 2]
    return np.column_stack([crossed, -crossed])


def make_log(n: int = 4_000) -> Log:
    rng, x = np.random.default_rng(2), customers(n, seed=1)
    shown = rng.integers(2, size=n)
    rewards = truth(x)[np.arange(n), shown] + 0.5 * rng.normal(size=n)
    return Log(shown, x, rewards, np.ones(n))


@cache
def trained() -> NeuralLinear:
    bandit = NeuralLinear()
    bandit.representation = bandit.train(make_log(), n_offers=2)
    return bandit


def learn(bandit: RandomisedUCB) -> Odds:
    log = make_log()
    sums = bandit.accumulate(log.offer_index, bandit.represent(log.x), log.reward, n_offers=2)
    return bandit.publish(sums, offers=OFFERS, features=FEATURES, floor=0.001, version=1)


def test_it_sees_what_attributes_tell_together() -> None:
    x = customers(2_000, seed=3)
    best = truth(x).argmax(axis=1)
    found, linear = (
        learn(bandit).expect(x).argmax(axis=1) for bandit in (trained(), RandomisedUCB())
    )
    assert (found == best).mean() > 0.9
    assert (linear == best).mean() < 0.65
    assert trained().representation is not None


def test_without_a_network_it_is_the_linear_bandit() -> None:
    assert isinstance(NeuralLinear(), Representing)
    assert learn(NeuralLinear()).to_bytes() == learn(RandomisedUCB()).to_bytes()


def test_training_twice_sees_the_same() -> None:
    log = make_log(300)
    one, other = (NeuralLinear().train(log, n_offers=2) for _ in range(2))
    assert one.to_bytes() == other.to_bytes()


def test_rewards_that_never_differ_can_be_learned_from() -> None:
    log = make_log(50)
    seen = NeuralLinear().train(Log(log.offer_index, log.x, np.ones(50), log.weight), n_offers=2)
    assert np.isfinite(seen.represent(log.x)).all()


def test_stored_odds_weigh_alike_in_both_libraries_and_one_by_one() -> None:
    bandit = trained()
    odds = Odds.from_bytes(learn(bandit).to_bytes())
    x, everybody = customers(300, seed=4), np.ones((300, 2), dtype=bool)
    weights = odds.weights_many(x, everybody)
    np.testing.assert_allclose(bandit.weights_many(odds, x, everybody), weights, atol=1e-12)
    np.testing.assert_allclose([odds.weights(row, everybody[0]) for row in x], weights, atol=1e-12)


def test_a_network_of_other_columns_is_refused() -> None:
    bandit = trained()
    with pytest.raises(ValueError, match="representation of 3 columns does not fit 1"):
        bandit.publish(
            bandit.accumulate(
                np.zeros(1, dtype=np.int64),
                bandit.represent(customers(1, seed=5)),
                np.ones(1),
                n_offers=1,
            ),
            offers=("mug",),
            features=FeatureSpec(()),
            floor=0.01,
            version=1,
        )
