"""Published odds: what they weigh, and what they refuse to be."""

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from recommender.artifacts import pack
from recommender.weighing.features import CategoryFeature, FeatureSpec, NumberFeature
from recommender.weighing.odds import Odds, OddsFacts

FEATURES = FeatureSpec((CategoryFeature("segment", ("gold",)), NumberFeature("age", 40.0, 10.0)))
EVERYONE = np.ones(3, dtype=bool)


def make_odds(seed: int = 0) -> Odds:
    rng = np.random.default_rng(seed)
    return Odds(
        offers=("mug", "cap", "pen"),
        mean=rng.normal(size=(3, 3)),
        factor=rng.normal(size=(3, 3, 3)),
        floor=0.01,
        features=FEATURES,
        version=7,
    )


def test_predictions_follow_the_posterior() -> None:
    odds, x = make_odds(), np.array([1.0, 0.0, -1.5])
    mean, sd = odds.predict(x)
    for k in range(3):
        covariance = odds.factor[k] @ odds.factor[k].T
        np.testing.assert_allclose(mean[k], odds.mean[k] @ x)
        np.testing.assert_allclose(sd[k], np.sqrt(x @ covariance @ x))


def test_weights_are_the_chance_to_be_best_above_the_floor() -> None:
    odds, x = make_odds(), np.array([1.0, 1.0, 0.5])
    mean, sd = odds.predict(x)
    p = stats.norm.cdf((mean[0] - mean[2]) / np.hypot(sd[0], sd[2]))
    weights = odds.weights(x, np.array([True, False, True]))
    np.testing.assert_allclose(weights, [0.98 * p + 0.01, 0, 0.98 * (1 - p) + 0.01], atol=1e-8)


def test_many_customers_are_weighed_like_single_ones() -> None:
    odds, rng = make_odds(), np.random.default_rng(1)
    x = rng.normal(size=(70, 3))  # more than two chunks
    eligible = rng.random((70, 3)) < 0.7
    eligible[:, 1] = True
    single = [odds.weights(x[i], eligible[i]) for i in range(70)]
    np.testing.assert_allclose(odds.weights_many(x, eligible), single, atol=1e-13)


@pytest.mark.parametrize(
    "rule", [{"is_optimistic": True}, {"gap_scale": 2.0}, {"temperature": 0.3}]
)
def test_single_customers_are_weighed_alike_by_every_rule(rule: dict[str, Any]) -> None:
    odds, rng = replace(make_odds(), **rule), np.random.default_rng(1)
    x = rng.normal(size=(70, 3))
    eligible = rng.random((70, 3)) < 0.7
    eligible[:, 1] = True
    single = [odds.weights(x[i], eligible[i]) for i in range(70)]
    np.testing.assert_allclose(odds.weights_many(x, eligible), single, atol=1e-13)
    copy = Odds.from_bytes(odds.to_bytes())
    np.testing.assert_array_equal(copy.weights_many(x, eligible), odds.weights_many(x, eligible))


def test_weights_follow_one_rule() -> None:
    with pytest.raises(ValueError, match="one rule"):
        replace(make_odds(), is_optimistic=True, gap_scale=1.0)
    with pytest.raises(ValueError, match="one rule"):
        replace(make_odds(), temperature=1.0, gap_scale=1.0)


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.inf, np.nan])
def test_an_impossible_temperature_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature must be finite"):
        replace(make_odds(), temperature=temperature)


def test_of_many_offers_the_hopeless_are_left_out_and_keep_the_floor() -> None:
    odds = Odds(
        offers=tuple(f"o{k}" for k in range(40)),
        mean=np.outer(np.arange(40.0) >= 36, [1.0, 0.5, 0.0]) + 0.01 * np.arange(40.0)[:, None],
        factor=np.tile(0.01 * np.eye(3), (40, 1, 1)),
        floor=0.001,
        features=FEATURES,
        version=1,
    )
    x, everyone = np.array([1.0, 1.0, 0.5]), np.ones(40, dtype=bool)
    weights = odds.weights(x, everyone)
    np.testing.assert_allclose(weights, odds.weights_many(x[None], everyone[None])[0], atol=1e-12)
    np.testing.assert_allclose(weights[:36], 0.001, atol=1e-12)


def test_somebody_must_be_eligible() -> None:
    with pytest.raises(ValueError, match="At least one offer"):
        make_odds().weights(np.array([1.0, 0.0, 0.0]), np.zeros(3, dtype=bool))


def test_no_customers_need_no_weights() -> None:
    assert make_odds().weights_many(np.empty((0, 3)), np.empty((0, 3), dtype=bool)).shape == (0, 3)


def test_a_policy_that_learned_nothing_is_even() -> None:
    odds = Odds.prior(("mug", "cap", "pen"), features=FEATURES, floor=0.01)
    x = FEATURES.encode({"segment": "gold", "age": 70})
    np.testing.assert_allclose(odds.weights(x, EVERYONE), 1 / 3, atol=1e-15)
    assert odds.version == 0


def test_bytes_round_trip_gives_the_same_weights() -> None:
    odds, x = make_odds(), np.array([1.0, 0.0, 2.0])
    copy = Odds.from_bytes(odds.to_bytes())
    assert (copy.offers, copy.floor, copy.features, copy.version) == (
        odds.offers,
        odds.floor,
        odds.features,
        odds.version,
    )
    np.testing.assert_array_equal(copy.weights(x, EVERYONE), odds.weights(x, EVERYONE))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offers": ()}, "at least one offer"),
        ({"offers": ("mug", "mug", "pen")}, "each listed once"),
        ({"mean": np.zeros((3, 4))}, r"mean must have shape \(3, 3\), not \(3, 4\)"),
        ({"factor": np.zeros((3, 3))}, "factor must have shape"),
        ({"mean": np.full((3, 3), np.nan)}, "mean of these odds is not finite"),
        ({"factor": np.full((3, 3, 3), np.inf)}, "factor of these odds is not finite"),
        ({"floor": 0.0}, "floor must lie in"),
        ({"floor": 1.5}, "floor must lie in"),
        ({"floor": float("nan")}, "floor must lie in"),
    ],
)
def test_impossible_odds_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(make_odds(), **change)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    ("mean", "features", "message"),
    [
        (np.full((1, 1), np.nan), {"features": []}, "not finite"),
        (np.zeros((1, 2)), {"features": []}, "must have shape"),
        (np.zeros((1, 1)), {"features": 3}, "must be a list"),
    ],
)
def test_a_blob_with_impossible_contents_is_refused(
    mean: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    features: dict[str, object],
    message: str,
) -> None:
    facts = OddsFacts(offers=["mug"], floor=0.1, features=features, version=1)
    blob = pack({"mean": mean, "factor": np.zeros((1, 1, 1))}, kind="odds", facts=facts)
    with pytest.raises(ValueError, match=message):
        Odds.from_bytes(blob)


def test_web_modules_do_not_load_torch() -> None:
    code = (
        "import sys, recommender.weighing.odds, recommender.offpolicy.reward_model, "
        "recommender.offpolicy, recommender.bandits.base, "
        "recommender.simulators.shop; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("gap_scale", [-1.0, np.inf, np.nan])
def test_an_impossible_gap_scale_is_refused(gap_scale: float) -> None:
    with pytest.raises(ValueError, match="gap's scale"):
        replace(make_odds(), gap_scale=gap_scale)


def test_a_charge_is_taken_off_what_an_offer_is_worth() -> None:
    odds, x = make_odds(), np.array([1.0, 1.0, 0.5])
    charged = odds.charge({"mug": 0.7, "pen": 0.2, "gone": 9.0}, version=8)
    np.testing.assert_allclose(charged.expect(x), odds.expect(x) - [0.7, 0.0, 0.2])
    assert (charged.version, charged.charges) == (8, (0.7, 0.0, 0.2))
    assert charged.weights(x, EVERYONE)[0] < odds.weights(x, EVERYONE)[0]
    read = Odds.from_bytes(charged.to_bytes())
    assert read.charges == charged.charges
    np.testing.assert_array_equal(read.weights(x, EVERYONE), charged.weights(x, EVERYONE))


def test_other_charges_take_the_place_of_those_before() -> None:
    odds = make_odds()
    charged = odds.charge({"mug": 0.7}, version=8).charge({"cap": 0.1}, version=9)
    np.testing.assert_allclose(charged.mean, odds.charge({"cap": 0.1}, version=9).mean)
    free = charged.charge({}, version=10)
    np.testing.assert_allclose(free.mean, odds.mean)
    assert free.charges == ()


def test_log_odds_are_not_charged() -> None:
    odds = replace(make_odds(), is_log_odds=True)
    assert odds.charge({}, version=8).version == 8
    with pytest.raises(ValueError, match="Log-odds cannot be charged"):
        odds.charge({"mug": 0.7}, version=8)


def test_every_offer_has_its_charge() -> None:
    with pytest.raises(ValueError, match=r"charges must have shape \(3,\), not \(2,\)"):
        replace(make_odds(), charges=(1.0, 2.0))
