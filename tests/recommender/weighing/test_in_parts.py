"""What is weighed in parts is what would be weighed one by one."""

import numpy as np
import pytest

from recommender.arrays import BoolArray, FloatArray
from recommender.bandits import load_bandit
from recommender.weighing.features import FeatureSpec, NumberFeature
from recommender.weighing.in_parts import weigh_here, weigh_in_parts
from recommender.weighing.odds import Odds

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


@pytest.mark.parametrize("eligible", [ALL, OTHERS])
def test_weights_are_those_of_the_odds(odds: Odds, x: FloatArray, eligible: BoolArray) -> None:
    expected = [odds.weights(row, eligible) for row in x]
    in_parts = weigh_in_parts(odds, x, eligible, weigh=on_device, at_once=7)
    np.testing.assert_allclose(in_parts, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(weigh_here(odds, x, eligible), expected, rtol=0, atol=1e-12)


def test_equal_customers_are_weighed_once(odds: Odds, x: FloatArray) -> None:
    sizes: list[int] = []

    def weigh(odds: Odds, x: FloatArray, eligible: BoolArray) -> FloatArray:
        sizes.append(len(x))
        return odds.weights_many(x, eligible)

    many = np.tile(x[:4], (10, 1))
    weights = weigh_in_parts(odds, many, ALL, weigh=weigh, at_once=100)
    assert sizes == [4]
    np.testing.assert_allclose(weights, weigh_here(odds, many, ALL), rtol=0, atol=1e-12)


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

    weights = weigh_in_parts(odds, x, ALL, weigh=weigh, at_once=64)
    assert sizes == [60, 30, 15, 15, 15, 15]
    np.testing.assert_allclose(weights, weigh_here(odds, x, ALL), rtol=0, atol=1e-12)


def test_too_little_memory_for_one_customer_is_said(odds: Odds, x: FloatArray) -> None:
    def weigh(odds: Odds, x: FloatArray, eligible: BoolArray) -> FloatArray:
        raise OutOfMemoryError

    with pytest.raises(MemoryError, match="a single customer"):
        weigh_in_parts(odds, x, ALL, weigh=weigh, at_once=64)


def test_other_errors_are_not_taken_for_too_little_memory(odds: Odds, x: FloatArray) -> None:
    def weigh(odds: Odds, x: FloatArray, eligible: BoolArray) -> FloatArray:
        raise RuntimeError("no such device")

    with pytest.raises(RuntimeError, match="no such device"):
        weigh_in_parts(odds, x, ALL, weigh=weigh, at_once=64)
