"""The simulated shop behaves as planted."""

import numpy as np
import pytest

from recommender.simulators.shop import NO_EFFECT, VISITED, Rates, Shop

SHOP = Shop(seed=3)


def test_a_shopper_is_always_the_same() -> None:
    assert SHOP.shopper(5) == Shop(seed=3).shopper(5)
    assert SHOP.shopper(5) != Shop(seed=4).shopper(5)
    assert list(SHOP.shoppers(2, first=5)) == [SHOP.shopper(5), SHOP.shopper(6)]


def test_groups_are_equally_large() -> None:
    segments = [shopper.attributes["segment"] for shopper in SHOP.shoppers(3_000)]
    for segment in SHOP.segments:
        # Three standard errors of a third of 3,000.
        assert abs(segments.count(segment) - 1_000) < 3 * np.sqrt(3_000 * 2 / 9)


def test_each_group_has_its_own_best_offer() -> None:
    best = {s.attributes["segment"]: SHOP.best_offer(s) for s in SHOP.shoppers(50)}
    assert best == dict(zip(SHOP.segments, SHOP.offers[:3], strict=True))


def test_the_truth_is_as_planted() -> None:
    shopper = SHOP.shopper(0)
    truth = {offer: SHOP.order_probability(shopper, offer) for offer in SHOP.offers}
    assert truth.pop(SHOP.best_offer(shopper)) == 0.20
    assert set(truth.values()) == {0.09}
    assert SHOP.order_probability(shopper, None) == 0.08


def test_planted_conversions_are_averages_of_the_truth() -> None:
    shoppers = list(SHOP.shoppers(20))
    for shopper in shoppers:
        uniform = np.mean([SHOP.order_probability(shopper, offer) for offer in SHOP.offers])
        assert SHOP.conversion_uniform == pytest.approx(uniform)
        best = SHOP.order_probability(shopper, SHOP.best_offer(shopper))
        assert SHOP.conversion_best == best
        assert SHOP.conversion_without_offer == SHOP.order_probability(shopper, None)


def test_planted_lifts() -> None:
    assert SHOP.lift_best_over_uniform == pytest.approx(0.20 / 0.1175 - 1)
    assert SHOP.lift_uniform_over_none == pytest.approx(0.1175 / 0.08 - 1)


def test_nothing_works_in_a_shop_without_effect() -> None:
    shop = Shop(seed=1, rates=NO_EFFECT)
    assert shop.lift_best_over_uniform == pytest.approx(0)
    assert shop.lift_uniform_over_none == pytest.approx(0)


@pytest.mark.parametrize("offer", [None, "ten_percent_off", "free_shipping"])
def test_shoppers_order_as_often_as_planted(offer: str | None) -> None:
    rng = np.random.default_rng(8)
    shopper, n = SHOP.shopper(0), 4_000
    behaviours = [SHOP.behave(shopper, offer, rng=rng) for _ in range(n)]
    p = SHOP.order_probability(shopper, offer)
    ordered = sum(behaviour.ordered for behaviour in behaviours)
    visited = sum(behaviour.visited for behaviour in behaviours)
    assert abs(ordered - n * p) < 3 * np.sqrt(n * p * (1 - p))
    assert abs(visited - n * VISITED) < 3 * np.sqrt(n * VISITED * (1 - VISITED))
    for behaviour in behaviours:
        assert behaviour.visited >= behaviour.clicked >= behaviour.ordered
        assert (behaviour.order_value_cents > 0) == behaviour.ordered


def test_a_better_offer_never_loses_an_order() -> None:
    shopper = SHOP.shopper(0)
    for seed in range(200):
        with_best, without = (
            SHOP.behave(shopper, offer, rng=np.random.default_rng(seed))
            for offer in (SHOP.best_offer(shopper), None)
        )
        assert with_best.ordered >= without.ordered


def test_an_offer_the_shop_does_not_have_is_an_error() -> None:
    with pytest.raises(ValueError, match="no offer 'gold'"):
        SHOP.order_probability(SHOP.shopper(0), "gold")


def test_impossible_shops_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one group"):
        Shop(seed=1, n_groups=0)
    with pytest.raises(ValueError, match="an offer for each"):
        Shop(seed=1, n_groups=3, n_offers=2)
    with pytest.raises(ValueError, match="at most 5 offers"):
        Shop(seed=1, n_offers=6)
    with pytest.raises(ValueError, match=r"lie in \[0, 0.9\]"):
        Rates(best=0.95)
