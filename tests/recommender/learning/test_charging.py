"""Prices are learned from what was used, each stretch once, and charged by the version after."""

from datetime import timedelta
from typing import Any

import pytest

from recommender.learning.charging import Scarce, learn_prices, read_charges
from recommender.learning.holding import hold_publishing, release
from recommender.learning.learn import learn_batch
from recommender.models import Policy, PolicyPrice, PublishingHold
from recommender.weighing.features import FeatureSpec, NumberFeature
from recommender.weighing.odds import Odds
from tests.makers import DAY, NOW, make_policy
from tests.racing import end_sessions, locked_table, other_sessions, wait_for_blocked
from tests.recommender.learned import OFFERS, happen

pytestmark = pytest.mark.django_db(transaction=True)

BEGIN = NOW + 2 * DAY
SOON = timedelta(hours=5)


def budget(used: int, **values: Any) -> Scarce:
    """A thousand units for a hundred days: red uses two, blue one and green none."""
    known: dict[str, Any] = {
        "resource": "budget:spring",
        "total": 1_000,
        "used": used,
        "uses": {"red": 2, "blue": 1},
        "begins_at": BEGIN,
        "ends_at": BEGIN + 100 * DAY,
    }
    return Scarce(**known | values)


@pytest.fixture
def policy() -> Policy:
    """A policy that has learned something, mostly by chance."""
    policy = make_policy(offers=OFFERS, features=FeatureSpec((NumberFeature("age", 40.0, 10.0),)))
    happen(policy, 120)
    learn_batch(policy.pk, now=NOW + DAY)
    return policy


def newest(policy: Policy) -> Odds:
    version = policy.versions.first()
    assert version is not None
    return Odds.from_bytes(bytes(version.odds))


def test_nothing_is_priced_before_anything_is_learned() -> None:
    policy = make_policy(offers=OFFERS)
    assert learn_prices(policy.pk, [budget(10)], now=BEGIN) is None
    assert not PolicyPrice.objects.exists()


def test_what_is_spent_too_fast_is_charged_and_what_is_spared_gets_cheaper(policy: Policy) -> None:
    before = newest(policy)
    assert learn_prices(policy.pk, [budget(10)], now=BEGIN + DAY) is None, "it begins with none"
    assert PolicyPrice.objects.get().price == 0.0
    # Five hours allow two.
    version = learn_prices(policy.pk, [budget(30)], now=BEGIN + DAY + SOON)
    price = PolicyPrice.objects.get().price
    assert price > 0.0
    odds = newest(policy)
    assert (odds.version, version) == (before.version + 1,) * 2
    assert odds.charges == (2 * price, price, 0.0)
    assert odds.mean[:, 0] == pytest.approx(before.mean[:, 0] - odds.charges)
    later = learn_prices(policy.pk, [budget(30)], now=BEGIN + DAY + 2 * SOON)
    assert later == odds.version + 1
    assert PolicyPrice.objects.get().price < price


def test_no_stretch_counts_twice(policy: Policy) -> None:
    learn_prices(policy.pk, [budget(10)], now=BEGIN + DAY)
    learn_prices(policy.pk, [budget(30)], now=BEGIN + DAY + SOON)
    price = PolicyPrice.objects.get().price
    assert learn_prices(policy.pk, [budget(30)], now=BEGIN + DAY + SOON) is None
    assert PolicyPrice.objects.get().price == price


def test_what_is_learned_next_is_charged_as_well(policy: Policy) -> None:
    learn_prices(policy.pk, [budget(10)], now=BEGIN + DAY)
    learn_prices(policy.pk, [budget(30)], now=BEGIN + DAY + SOON)
    happen(policy, 30, seed=2, at=BEGIN + DAY + SOON)
    learn_batch(policy.pk, now=BEGIN + 3 * DAY)
    assert newest(policy).charges == tuple(read_charges(policy).get(offer, 0.0) for offer in OFFERS)


def test_what_is_scarce_no_more_is_free_again(policy: Policy) -> None:
    learn_prices(policy.pk, [budget(10)], now=BEGIN + DAY)
    learn_prices(policy.pk, [budget(30)], now=BEGIN + DAY + SOON)
    assert newest(policy).charges
    assert learn_prices(policy.pk, [], now=BEGIN + 2 * DAY) is not None
    assert newest(policy).charges == ()
    assert not PolicyPrice.objects.exists()
    assert learn_prices(policy.pk, [], now=BEGIN + 3 * DAY) is None


def test_log_odds_are_left_as_they_are() -> None:
    policy = make_policy(offers=OFFERS, kind="logistic_thompson")
    happen(policy, 60)
    learn_batch(policy.pk, now=NOW + DAY)
    assert learn_prices(policy.pk, [budget(10)], now=BEGIN + DAY) is None
    assert not PolicyPrice.objects.exists()


def test_while_publishing_is_held_no_price_is_learned(policy: Policy) -> None:
    learn_prices(policy.pk, [budget(0)], now=BEGIN)
    hold_publishing(policy, reason="a check failed", now=BEGIN)
    assert learn_prices(policy.pk, [budget(100)], now=BEGIN + DAY) is None
    release(PublishingHold.objects.get(), now=BEGIN + DAY)
    assert learn_prices(policy.pk, [budget(100)], now=BEGIN + DAY) is not None


def test_of_two_workers_one_learns_it(policy: Policy) -> None:
    learn_prices(policy.pk, [budget(10)], now=BEGIN + DAY)
    later = BEGIN + DAY + SOON
    with other_sessions(2) as run:
        with locked_table("recommender_policyversion"):
            first = run(lambda: learn_prices(policy.pk, [budget(30)], now=later))
            wait_for_blocked()
            second = run(lambda: learn_prices(policy.pk, [budget(30)], now=later))
            assert second.result(timeout=30) is None
        assert first.result(timeout=30) is not None
    alone = PolicyPrice.objects.get().price
    PolicyPrice.objects.update(price=0.0, used=10, priced_at=BEGIN + DAY)
    learn_prices(policy.pk, [budget(30)], now=later)
    assert PolicyPrice.objects.get().price == pytest.approx(alone)


def test_who_dies_in_the_middle_has_learned_nothing(policy: Policy) -> None:
    learn_prices(policy.pk, [budget(10)], now=BEGIN + DAY)
    later, version = BEGIN + DAY + SOON, newest(policy).version
    with other_sessions(1) as run:
        with locked_table("recommender_policyversion"):
            dying = run(lambda: learn_prices(policy.pk, [budget(30)], now=later))
            wait_for_blocked()
            end_sessions(only_blocked=True)
        assert dying.exception(timeout=30) is not None
    assert (PolicyPrice.objects.get().price, newest(policy).version) == (0.0, version)
    assert learn_prices(policy.pk, [budget(30)], now=later) == version + 1
