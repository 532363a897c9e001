"""Every bandit keeps its promises: positive exact odds, additive memory, one answer everywhere."""

import numpy as np
import pytest

from recommender.arrays import BoolArray, FloatArray, IntArray
from recommender.bandits import BANDITS, load_bandit
from recommender.bandits.base import Bandit, Statistics
from recommender.weighing.features import CategoryFeature, FeatureSpec, NumberFeature
from recommender.weighing.odds import Odds

FEATURES = FeatureSpec((CategoryFeature("segment", ("a", "b")), NumberFeature("age", 40.0, 10.0)))
OFFERS = ("mug", "cap", "pen", "bag")
N, K = 3_000, len(OFFERS)


@pytest.fixture(scope="module", params=list(BANDITS))
def bandit(request: pytest.FixtureRequest) -> Bandit:
    return load_bandit(request.param)()


def make_log() -> tuple[IntArray, FloatArray, FloatArray]:
    """Offers shown evenly, encoded customers and rewards; the last two offers are never best."""
    rng = np.random.default_rng(20)
    in_b = rng.integers(2, size=N)
    x = FEATURES.encode_many(
        {"segment": "ab"[segment], "age": age}
        for segment, age in zip(in_b, rng.normal(40, 10, N).tolist(), strict=True)
    )
    shown = rng.integers(K, size=N)
    rewards = (rng.random(N) < np.where(shown == in_b, 0.25, 0.08)).astype(float)
    return shown, x, rewards


def publish(bandit: Bandit, statistics: list[Statistics]) -> Odds:
    return bandit.publish(statistics, offers=OFFERS, features=FEATURES, floor=0.01, version=1)


@pytest.fixture(scope="module")
def odds(bandit: Bandit) -> Odds:
    shown, x, rewards = make_log()
    return publish(bandit, bandit.accumulate(shown, x, rewards, n_offers=K))


def make_eligible() -> BoolArray:
    eligible = np.random.default_rng(21).random((N, K)) < 0.6
    eligible[np.arange(N), np.arange(N) % K] = True
    return eligible


def test_odds_are_positive_where_eligible_and_sum_to_one(odds: Odds) -> None:
    _, x, _ = make_log()
    eligible = make_eligible()
    weights = odds.weights_many(x, eligible)
    np.testing.assert_array_equal(weights > 0, eligible)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-14)
    assert (weights[eligible] >= 0.01 - 1e-15).all()


def test_offers_that_are_best_for_nobody_are_seldom_shown(odds: Odds) -> None:
    _, x, _ = make_log()
    weights = odds.weights_many(x, np.ones((N, K), dtype=bool))
    assert weights[:, 2:].sum(axis=1).mean() < 0.2


def test_one_customer_is_weighed_like_many(odds: Odds) -> None:
    _, x, _ = make_log()
    eligible = make_eligible()
    together = odds.weights_many(x[:200], eligible[:200])
    for row, allowed, expected in zip(x[:200], eligible[:200], together, strict=True):
        # Who is hopeless is left out of the one and not of the other, which moves the grid.
        np.testing.assert_allclose(odds.weights(row, allowed), expected, rtol=0, atol=1e-8)


def test_two_halves_make_the_whole(bandit: Bandit) -> None:
    shown, x, rewards = make_log()
    whole = bandit.accumulate(shown, x, rewards, n_offers=K)
    halves = [
        bandit.accumulate(shown[part], x[part], rewards[part], n_offers=K)
        for part in (slice(None, N // 2), slice(N // 2, None))
    ]
    for k in range(K):
        total = halves[0][k] + halves[1][k]
        np.testing.assert_allclose(
            total.precision_update, whole[k].precision_update, rtol=1e-12, atol=1e-9
        )
        np.testing.assert_allclose(total.b, whole[k].b, rtol=1e-12, atol=1e-9)
        assert (total.n, total.s) == (whole[k].n, whole[k].s)


def test_torch_and_numpy_give_the_same_weights(bandit: Bandit, odds: Odds) -> None:
    _, x, _ = make_log()
    eligible = make_eligible()
    np.testing.assert_allclose(
        bandit.weights_many(odds, x, eligible), odds.weights_many(x, eligible), rtol=0, atol=1e-12
    )


def test_stored_statistics_publish_the_same_odds(bandit: Bandit) -> None:
    shown, x, rewards = make_log()
    statistics = bandit.accumulate(shown, x, rewards, n_offers=K)
    stored = [Statistics.from_bytes(each.to_bytes()) for each in statistics]
    assert publish(bandit, stored).to_bytes() == publish(bandit, statistics).to_bytes()


def test_stored_odds_give_the_same_weights(odds: Odds) -> None:
    _, x, _ = make_log()
    eligible = make_eligible()
    copy = Odds.from_bytes(odds.to_bytes())
    np.testing.assert_array_equal(copy.weights_many(x, eligible), odds.weights_many(x, eligible))


def test_nothing_learned_gives_even_odds(bandit: Bandit) -> None:
    odds = publish(bandit, [Statistics.zero(FEATURES.size)] * K)
    x = FEATURES.encode({"segment": "a", "age": 25})
    np.testing.assert_allclose(odds.weights(x, np.ones(K, dtype=bool)), 1 / K, atol=1e-12)
