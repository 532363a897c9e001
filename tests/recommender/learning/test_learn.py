"""Settle, learn and publish: exactly once, and nothing forgotten."""

import logging
import math
from datetime import timedelta

import numpy as np
import pytest
from django.utils import timezone

from recommender.bandits import load_bandit
from recommender.learning.learn import Learned, learn_batch
from recommender.learning.pinning import pin_version
from recommender.learning.versions import KEPT_VERSIONS
from recommender.models import Policy, PolicyVersion, Reward
from recommender.tasks import learn_due
from recommender.weighing.features import CategoryFeature, FeatureSpec, NumberFeature
from recommender.weighing.odds import Odds
from recommender.weighing.propensities import floor_after
from tests.makers import (
    DAY,
    NOW,
    make_policy,
)
from tests.racing import locked_table, other_sessions, wait_for_blocked
from tests.recommender.learned import OFFERS, assert_learned_the_log, happen, stored

pytestmark = pytest.mark.django_db

LATER = NOW + 30 * DAY
FEATURES = FeatureSpec(
    (NumberFeature("age", 40.0, 10.0), CategoryFeature("plan", ("basic", "pro")))
)


@pytest.fixture
def policy() -> Policy:
    return make_policy(offers=OFFERS, features=FEATURES, reward_kind="sum")


def test_the_statistics_are_those_of_the_log(policy: Policy) -> None:
    happen(policy, 60)
    assert learn_batch(policy.pk, now=LATER) == Learned(settled=60, learned=60, version=1)
    assert_learned_the_log(policy)


def test_learning_batch_by_batch_is_learning_at_once(policy: Policy) -> None:
    for batch in range(3):
        happen(policy, 20, seed=batch, at=NOW + batch * DAY)
        learn_batch(policy.pk, now=LATER)
    assert_learned_the_log(policy)
    assert list(policy.versions.values_list("number", "learned_from")) == [
        (3, 60),
        (2, 40),
        (1, 20),
    ]


def test_learning_again_learns_nothing(policy: Policy) -> None:
    happen(policy, 20)
    learn_batch(policy.pk, now=LATER)
    assert learn_batch(policy.pk, now=LATER) is None
    assert policy.versions.count() == 1
    assert_learned_the_log(policy)


def test_held_back_customers_are_settled_and_not_learned_from(policy: Policy) -> None:
    happen(policy, 10, held_back=True)
    assert learn_batch(policy.pk, now=LATER) == Learned(settled=10, learned=0, version=None)
    assert stored(policy) == {}
    assert not Reward.objects.filter(settled_at=None).exists()


def test_hold_outs_and_forgotten_offers_are_settled_and_not_learned_from(policy: Policy) -> None:
    happen(policy, 10, offers=[None, "an offer of before"])
    assert learn_batch(policy.pk, now=LATER) == Learned(settled=10, learned=0, version=None)


def test_an_offer_that_is_added_later_starts_from_nothing(policy: Policy) -> None:
    happen(policy, 20)
    learn_batch(policy.pk, now=LATER)
    policy.offers = [*policy.offers, "violet"]
    policy.save(update_fields=["offers"])
    happen(policy, 20, seed=2, at=NOW + DAY, offers=["red", "violet"])
    learn_batch(policy.pk, now=LATER)
    assert_learned_the_log(policy)
    newest = policy.versions.get(number=2)
    assert Odds.from_bytes(bytes(newest.odds)).offers == (*OFFERS, "violet")


def test_published_odds_give_the_webs_weights(policy: Policy) -> None:
    happen(policy, 60)
    learn_batch(policy.pk, now=LATER)
    odds = Odds.from_bytes(bytes(policy.versions.get().odds))
    bandit = load_bandit(policy.kind)()
    x = FEATURES.encode_many([{"age": age, "plan": "pro"} for age in (20, 40, 60)])
    eligible = np.array([[True, True, True], [True, False, True], [False, True, False]])
    np.testing.assert_allclose(
        odds.weights_many(x, eligible), bandit.weights_many(odds, x, eligible), rtol=0, atol=1e-12
    )
    assert (odds.offers, odds.version) == (OFFERS, 1)
    assert odds.floor == floor_after(policy.floor, learned=60) < policy.floor


def test_only_the_newest_versions_are_kept(policy: Policy) -> None:
    PolicyVersion.objects.bulk_create(
        PolicyVersion(policy=policy, number=n, odds=b"", learned_from=n, published_at=NOW)
        for n in range(1, KEPT_VERSIONS + 1)
    )
    happen(policy, 5)
    learn_batch(policy.pk, now=LATER)
    numbers = sorted(policy.versions.values_list("number", flat=True))
    assert numbers == list(range(2, KEPT_VERSIONS + 2))
    pin_version(policy.versions.get(number=2))
    happen(policy, 5, seed=2)
    learn_batch(policy.pk, now=LATER)
    assert policy.versions.filter(number=2).exists()


def test_the_task_learns_every_policy_that_is_due(policy: Policy) -> None:
    other = make_policy(offers=OFFERS, features=FEATURES)
    past = timezone.now() - timedelta(days=1)
    happen(policy, 10, at=past)
    happen(other, 5, at=past)
    assert learn_due() == 15
    assert learn_due() == 0
    assert (policy.versions.count(), other.versions.count()) == (1, 1)


def test_the_task_settles_what_nothing_is_learned_from(policy: Policy) -> None:
    happen(policy, 10, at=timezone.now() - timedelta(days=1), held_back=True)
    assert learn_due() == 10
    assert not policy.versions.exists()


def test_a_damaged_policy_does_not_keep_others_from_learning(
    policy: Policy, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = make_policy(offers=OFFERS, features=FEATURES, hyperparameters={"exploration": -1})
    past = timezone.now() - timedelta(days=1)
    happen(damaged, 5, at=past)
    happen(policy, 10, at=past)
    with caplog.at_level(logging.ERROR):
        assert learn_due() == 10
    assert f"{damaged} could not learn" in caplog.text
    assert Reward.objects.filter(policy=damaged, settled_at=None).count() == 5


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_learn_once() -> None:
    policy = make_policy(offers=OFFERS, features=FEATURES)
    happen(policy, 30)

    def learn() -> Learned | None:
        return learn_batch(policy.pk, now=LATER)

    with other_sessions(2) as run:
        with locked_table("recommender_policyversion"):
            first = run(learn)
            wait_for_blocked()
            second = run(learn)
            assert second.result(timeout=10) is None
        assert first.result(timeout=10) == Learned(settled=30, learned=30, version=1)
    assert learn_batch(policy.pk, now=LATER) is None
    assert_learned_the_log(policy)


@pytest.mark.django_db(transaction=True)
def test_decisions_are_logged_while_a_worker_learns() -> None:
    policy = make_policy(offers=OFFERS, features=FEATURES)
    happen(policy, 30)
    with other_sessions(2) as run:
        with locked_table("recommender_policyversion"):
            worker = run(lambda: learn_batch(policy.pk, now=LATER))
            wait_for_blocked()
            run(lambda: happen(policy, 5, seed=2, at=NOW + DAY)).result(timeout=10)
        worker.result(timeout=10)
    assert learn_batch(policy.pk, now=LATER) == Learned(settled=5, learned=5, version=2)
    assert_learned_the_log(policy)


def test_a_policy_that_forgets_lets_what_it_learned_fade(policy: Policy) -> None:
    policy.hyperparameters = {"memory_days": 10.0}
    policy.save(update_fields=["hyperparameters"])
    happen(policy, 40)
    learn_batch(policy.pk, now=LATER)
    before = stored(policy)
    happen(policy, 1, seed=2, at=LATER + DAY, offers=["red"])
    learn_batch(policy.pk, now=LATER + 10 * DAY)
    after = stored(policy)
    for offer in ("blue", "green"):
        assert after[offer].n == pytest.approx(math.exp(-1) * before[offer].n)
    assert after["red"].n == pytest.approx(1 + math.exp(-1) * before["red"].n)
