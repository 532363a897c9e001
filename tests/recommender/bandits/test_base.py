"""Statistics add up and survive storage; settings are checked in words."""

import math

import numpy as np
import pytest

from recommender.bandits.base import Hyperparameters, Statistics


def make_statistics(seed: int, d: int = 3) -> Statistics:
    x, r = np.random.default_rng(seed).normal(size=(2, 9, d))
    return Statistics(precision_update=x.T @ x, b=x.T @ r[:, 0], n=9.0, s=float(r[:, 0] @ r[:, 0]))


def test_nothing_is_neutral() -> None:
    statistics = make_statistics(1)
    total = statistics + Statistics.zero(3)
    np.testing.assert_array_equal(total.precision_update, statistics.precision_update)
    np.testing.assert_array_equal(total.b, statistics.b)
    assert (total.n, total.s) == (statistics.n, statistics.s)


def test_bytes_round_trip_is_exact() -> None:
    statistics = make_statistics(2)
    copy = Statistics.from_bytes(statistics.to_bytes())
    np.testing.assert_array_equal(copy.precision_update, statistics.precision_update)
    np.testing.assert_array_equal(copy.b, statistics.b)
    assert (copy.n, copy.s) == (statistics.n, statistics.s)


def test_statistics_of_different_features_do_not_add_up() -> None:
    with pytest.raises(ValueError, match="3 and 2 features"):
        make_statistics(1) + Statistics.zero(2)


@pytest.mark.parametrize(
    ("a", "b", "n", "s", "message"),
    [
        (np.zeros((2, 3)), np.zeros(2), 0.0, 0.0, "Statistics need"),
        (np.zeros((2, 2)), np.zeros((2, 1)), 0.0, 0.0, "Statistics need"),
        (np.full((2, 2), np.nan), np.zeros(2), 0.0, 0.0, "must be finite"),
        (np.zeros((2, 2)), np.full(2, np.inf), 0.0, 0.0, "must be finite"),
        (np.zeros((2, 2)), np.zeros(2), -1.0, 0.0, "at least 0"),
        (np.zeros((2, 2)), np.zeros(2), 0.0, math.nan, "at least 0"),
    ],
)
def test_impossible_statistics_are_refused(
    a: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    b: np.ndarray[tuple[int], np.dtype[np.float64]],
    n: float,
    s: float,
    message: str,
) -> None:
    with pytest.raises(ValueError, match=message):
        Statistics(precision_update=a, b=b, n=n, s=s)


def test_settings_left_out_keep_their_defaults() -> None:
    settings = Hyperparameters.from_json({"exploration": 1})
    assert settings == Hyperparameters(exploration=1.0)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "an object of names and numbers"),
        ({"epsilon": 0.1}, "Unknown settings: epsilon; use exploration"),
        ({1: 0.1}, "Unknown settings: 1"),
        ({"exploration": "1"}, "exploration must be a number, not '1'"),
        ({"exploration": True}, "exploration must be a number"),
        ({"prior_strength": 0}, "prior_strength must be finite and above 0"),
        ({"noise_sd": math.inf}, "noise_sd must be finite and above 0"),
        ({"noise_sd": math.nan}, "noise_sd must be finite and above 0"),
    ],
)
def test_wrong_settings_are_explained(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Hyperparameters.from_json(value)


def test_memories_fade_altogether() -> None:
    statistics = make_statistics(3)
    faded = statistics.fade(0.25)
    np.testing.assert_array_equal(faded.precision_update, 0.25 * statistics.precision_update)
    np.testing.assert_array_equal(faded.b, 0.25 * statistics.b)
    assert (faded.n, faded.s) == (0.25 * statistics.n, 0.25 * statistics.s)


def test_a_reward_counts_for_less_the_older_it_is() -> None:
    assert Hyperparameters().remembered(1_000.0) == 1.0
    settings = Hyperparameters.from_json({"memory_days": 10})
    assert settings.remembered(0.0) == settings.remembered(-1.0) == 1.0
    assert settings.remembered(10.0) == pytest.approx(math.exp(-1))
    assert settings.remembered(5.0) ** 2 == pytest.approx(math.exp(-1))
    with pytest.raises(ValueError, match="memory_days must be finite and above 0"):
        Hyperparameters.from_json({"memory_days": 0})
    assert Hyperparameters.from_json({"memory_days": None}) == Hyperparameters()
