"""Leaves follow what is learned, not too often, and never at its expense."""

import logging
from datetime import datetime, timedelta

import pytest

from recommender.learning.leaf_tables import KEPT_FOR, PUBLISHED_EVERY, publish_leaves
from recommender.learning.learn import learn_batch
from recommender.models import Policy, PolicyLeaves, PolicyVersion
from recommender.weighing.features import CategoryFeature, FeatureSpec, NumberFeature
from recommender.weighing.leaves import Leaves
from recommender.weighing.odds import Odds
from tests.makers import DAY, NOW, make_policy
from tests.recommender.learned import OFFERS, assert_learned_the_log, happen

pytestmark = pytest.mark.django_db

LATER = NOW + DAY
SECOND = timedelta(seconds=1)
FEATURES = FeatureSpec(
    (NumberFeature("age", 40.0, 10.0), CategoryFeature("plan", ("basic", "pro")))
)


@pytest.fixture
def policy() -> Policy:
    return make_policy(offers=OFFERS, features=FEATURES, reward_kind="sum")


def learn(policy: Policy, *, now: datetime, seed: int = 1) -> None:
    """Let the policy decide for 200 customers and learn from them by `now`."""
    happen(policy, 200, seed=seed, at=now - DAY)
    assert learn_batch(policy.pk, now=now) is not None


def tables(policy: Policy) -> list[int]:
    return sorted(policy.leaves.values_list("version", flat=True))


def test_a_version_is_distilled_when_it_is_published(policy: Policy) -> None:
    learn(policy, now=LATER)
    stored = policy.leaves.get()
    leaves = Leaves.from_json(stored.table)
    assert (stored.version, leaves.version, stored.published_at) == (1, 1, LATER)
    assert leaves.offers == OFFERS
    assert sum(leaf.size for leaf in leaves.leaves) == 200


def test_clients_are_not_sent_every_version(policy: Policy) -> None:
    learn(policy, now=LATER)
    learn(policy, now=LATER + PUBLISHED_EVERY - SECOND, seed=2)
    assert tables(policy) == [1]
    learn(policy, now=LATER + PUBLISHED_EVERY, seed=3)
    assert tables(policy) == [1, 3]


def test_old_tables_go_when_nobody_can_have_drawn_by_them_lately(policy: Policy) -> None:
    learn(policy, now=LATER)
    learn(policy, now=LATER + KEPT_FOR, seed=2)
    assert tables(policy) == [1, 2]
    learn(policy, now=LATER + KEPT_FOR + DAY, seed=3)
    assert tables(policy) == [2, 3]


def test_what_cannot_be_distilled_is_learned_all_the_same(
    policy: Policy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # A search that is given up at once, as one that takes too long is.
    monkeypatch.setattr("recommender.learning.sampling.PATIENCE", "not a time")
    with caplog.at_level(logging.ERROR):
        learn(policy, now=LATER)
    assert_learned_the_log(policy)
    assert policy.versions.count() == 1
    assert tables(policy) == []
    assert "could not be distilled" in caplog.text


def test_a_policy_that_has_learned_nothing_has_no_leaves(policy: Policy) -> None:
    assert publish_leaves(policy.pk, now=LATER) is None


def test_a_policy_that_met_nobody_it_would_know_has_no_leaves(policy: Policy) -> None:
    odds = Odds.prior(OFFERS, features=FEATURES, floor=0.01, version=1)
    PolicyVersion.objects.create(
        policy=policy, number=1, odds=odds.to_bytes(), learned_from=1, published_at=LATER
    )
    # These were seen by other features than the policy looks at by now.
    Policy.objects.filter(pk=policy.pk).update(features=FeatureSpec(()).to_json())
    policy.refresh_from_db()
    happen(policy, 20)
    assert publish_leaves(policy.pk, now=LATER) is None
    assert not PolicyLeaves.objects.exists()


def test_leaves_are_named_for_who_looks_at_them(policy: Policy) -> None:
    learn(policy, now=LATER)
    assert str(policy.leaves.get()) == f"{policy.name} v1"
