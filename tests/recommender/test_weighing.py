"""What is weighed beforehand is what would be weighed when it is asked for."""

import numpy as np
import pytest

from recommender.arrays import BoolArray, FloatArray
from recommender.bandits import load_bandit
from recommender.features import FeatureSpec, NumberFeature
from recommender.odds import Odds
from recommender.weighing import WeighedOdds

FEATURES = FeatureSpec((NumberFeature("age", 40.0, 10.0),))
ALL = np.array([True, True, True])
OTHERS = np.array([True, False, True])


class OutOfMemoryError(RuntimeError):
    """As torch names its own."""


@pytest.fixture
def odds() -> Odds:
    rng = np.random.default_rng(3)
    d = FEATURES.size
    return Odds(
        offers=("red", "blue", "green"),
        mean=rng.normal(0, 0.1, (3, d)),
        factor=rng.normal(0, 0.1, (3, d, d)),
        floor=0.01,
        features=FEATURES,
        version=4,
    )


@pytest.fixture
def x() -> FloatArray:
    return FEATURES.encode_many([{"age": float(age)} for age in range(20, 80)])


def on_device(odds: Odds, x: FloatArray, eligible: BoolArray) -> FloatArray:
    return load_bandit("linear_thompson")().weights_many(odds, x, eligible)


def test_weights_are_those_of_the_odds(odds: Odds, x: FloatArray) -> None:
    weighed = WeighedOdds.of(odds)
    weighed.prepare(x, ALL, weigh=on_device, at_once=7)
    assert len(weighed._weighed) == len(x)
    for row in x:
        np.testing.assert_allclose(
            weighed.weights(row, ALL), odds.weights(row, ALL), rtol=0, atol=1e-12
        )


def test_what_was_not_weighed_is_weighed_when_it_is_asked_for(odds: Odds, x: FloatArray) -> None:
    weighed = WeighedOdds.of(odds)
    weighed.prepare(x[:5], ALL, weigh=on_device, at_once=100)
    for row, eligible, floor in ((x[9], ALL, None), (x[0], OTHERS, None), (x[0], ALL, 0.2)):
        np.testing.assert_array_equal(
            weighed.weights(row, eligible, floor=floor), odds.weights(row, eligible, floor=floor)
        )
    np.testing.assert_allclose(weighed.weights(x[0], ALL, floor=0.01), odds.weights(x[0], ALL))
    weighed.prepare(x[:5], np.zeros(3, dtype=bool), weigh=on_device, at_once=100)
    assert not weighed._weighed


def test_equal_customers_are_weighed_once(odds: Odds, x: FloatArray) -> None:
    sizes: list[int] = []

    def weigh(odds: Odds, x: FloatArray, eligible: BoolArray) -> FloatArray:
        sizes.append(len(x))
        return odds.weights_many(x, eligible)

    WeighedOdds.of(odds).prepare(np.repeat(x[:4], 10, axis=0), ALL, weigh=weigh, at_once=100)
    assert sizes == [4]


@pytest.mark.parametrize("error", [OutOfMemoryError, MemoryError])
def test_a_device_that_is_too_small_gets_smaller_parts(
    odds: Odds, x: FloatArray, error: type[Exception]
) -> None:
    sizes: list[int] = []

    def weigh(odds: Odds, x: FloatArray, eligible: BoolArray) -> FloatArray:
        sizes.append(len(x))
        if len(x) > 16:
            raise error
        return odds.weights_many(x, eligible)

    weighed = WeighedOdds.of(odds)
    weighed.prepare(x, ALL, weigh=weigh, at_once=64)
    assert sizes == [60, 30, 15, 15, 15, 15]
    assert len(weighed._weighed) == len(x)


def test_too_little_memory_for_one_customer_is_said(odds: Odds, x: FloatArray) -> None:
    def weigh(odds: Odds, x: FloatArray, eligible: BoolArray) -> FloatArray:
        raise OutOfMemoryError

    with pytest.raises(MemoryError, match="a single customer"):
        WeighedOdds.of(odds).prepare(x, ALL, weigh=weigh, at_once=64)


def test_other_errors_are_not_taken_for_too_little_memory(odds: Odds, x: FloatArray) -> None:
    def weigh(odds: Odds, x: FloatArray, eligible: BoolArray) -> FloatArray:
        raise RuntimeError("no such device")

    with pytest.raises(RuntimeError, match="no such device"):
        WeighedOdds.of(odds).prepare(x, ALL, weigh=weigh, at_once=64)
