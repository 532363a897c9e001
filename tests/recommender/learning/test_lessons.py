"""Bandits that read their log: what they find there, when they read, and who is forgotten."""

from datetime import timedelta

import numpy as np
import pytest
from django.db import transaction

from audience.models import Customer
from recommender.bandits import load_bandit
from recommender.learning.learn import Learned, learn_batch
from recommender.learning.lessons import read_log
from recommender.learning.rebuilding import check_sums, unlearn
from recommender.models import Decision, Policy, Reward
from recommender.weighing.features import FeatureSpec, NumberFeature
from recommender.weighing.odds import Odds
from tests.makers import DAY, NOW, make_policy
from tests.recommender.learned import OFFERS, happen

pytestmark = pytest.mark.django_db(transaction=True)

LATER = NOW + 30 * DAY
FEATURES = FeatureSpec((NumberFeature("age", 40.0, 10.0),))


@pytest.fixture
def policy() -> Policy:
    return make_policy(kind="logistic_thompson", offers=OFFERS, features=FEATURES)


def newest(policy: Policy) -> Odds:
    return Odds.from_bytes(bytes(policy.versions.get(number=policy.versions.count()).odds))


def test_it_learns_from_all_that_is_in_the_log(policy: Policy) -> None:
    happen(policy, 60, seed=1)
    happen(policy, 9, seed=3, held_back=True)
    assert learn_batch(policy.pk, now=LATER) == Learned(settled=69, learned=60, version=1)
    happen(policy, 30, seed=2, at=NOW + DAY)
    learn_batch(policy.pk, now=LATER)

    rewards = Reward.objects.filter(is_lesson=True).select_related("decision")
    bandit = load_bandit("logistic_thompson")()
    sums = bandit.accumulate(
        np.array([OFFERS.index(str(row.decision.offer)) for row in rewards]),
        np.array([row.decision.features for row in rewards]),
        np.array([row.value for row in rewards]),
        n_offers=len(OFFERS),
    )
    log = read_log(policy, now=LATER)
    assert log.weight.sum() == 90
    for k, each in enumerate(sums):
        mine = log.offer_index == k
        weighed = log.x[mine] * log.weight[mine][:, None]
        np.testing.assert_allclose(weighed.T @ log.x[mine], each.precision_update, rtol=1e-12)
        np.testing.assert_allclose(weighed.T @ log.reward[mine], each.b, rtol=1e-12)
    bandit.read(log)  # type: ignore[attr-defined]  # this kind does
    expected = bandit.publish(sums, offers=OFFERS, features=FEATURES, floor=0.01, version=2)
    np.testing.assert_allclose(newest(policy).mean, expected.mean, atol=1e-8)
    assert check_sums(policy, now=LATER).problem == ""


def test_decisions_that_are_alike_are_one_row() -> None:
    policy = make_policy(kind="logistic_thompson", offers=OFFERS)
    happen(policy, 60)
    learn_batch(policy.pk, now=LATER)
    log = read_log(policy, now=LATER)
    assert len(log.weight) == len(OFFERS)
    assert log.weight.sum() == 60
    assert ((log.reward > 0) & (log.reward < 1)).all()


def test_of_too_many_the_newest_are_read(policy: Policy) -> None:
    happen(policy, 20, seed=1)
    happen(policy, 10, seed=2, at=NOW + DAY)
    learn_batch(policy.pk, now=LATER)
    log = read_log(policy, now=LATER, limit=10)
    late = Decision.objects.filter(decided_at__gte=NOW + DAY)
    assert sorted(log.x[:, 1]) == pytest.approx(sorted(row.features[1] for row in late))


def test_lessons_fade(policy: Policy) -> None:
    Policy.objects.update(hyperparameters={"memory_days": 5})
    policy.refresh_from_db()
    happen(policy, 20)
    learn_batch(policy.pk, now=LATER)
    assert read_log(policy, now=LATER).weight.sum() == pytest.approx(20)
    log = read_log(policy, now=LATER + 10 * DAY)
    assert log.weight.sum() == pytest.approx(20 * np.exp(-2))


def test_the_log_is_read_again_when_enough_is_new(policy: Policy) -> None:
    happen(policy, 200, seed=1)
    assert learn_batch(policy.pk, now=LATER) == Learned(settled=200, learned=200, version=1)
    happen(policy, 1, seed=2, at=NOW + DAY)
    soon = LATER + timedelta(minutes=1)
    assert learn_batch(policy.pk, now=soon) == Learned(settled=1, learned=1, version=None)
    assert check_sums(policy, now=soon).problem == ""
    happen(policy, 1, seed=3, at=NOW + 2 * DAY)
    assert learn_batch(policy.pk, now=soon) == Learned(settled=1, learned=1, version=2)
    happen(policy, 1, seed=4, at=NOW + 3 * DAY)
    later = soon + timedelta(minutes=10)
    assert learn_batch(policy.pk, now=later) == Learned(settled=1, learned=1, version=3)


def test_who_is_erased_taught_nothing(policy: Policy) -> None:
    happen(policy, 40, seed=1)
    learn_batch(policy.pk, now=LATER)
    gone = list(Customer.objects.order_by("pk").values_list("pk", flat=True)[:5])
    with transaction.atomic():
        unlearn(gone)
        Reward.objects.filter(decision__customer__in=gone).delete()
        Decision.objects.filter(customer__in=gone).delete()
    assert read_log(policy, now=LATER).weight.sum() == 35
    assert check_sums(policy, now=LATER).problem == ""
