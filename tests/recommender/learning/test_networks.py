"""Networks of policies: when they are trained, and that sums are of the one that is stored."""

import numpy as np
import pytest
from django.db import transaction

from audience.models import Customer
from recommender.learning import networks
from recommender.learning.learn import learn_batch
from recommender.learning.rebuilding import check_sums, repair_sums, unlearn
from recommender.models import Decision, Policy, PolicyNetwork, Reward
from recommender.weighing.features import CategoryFeature, FeatureSpec, NumberFeature
from recommender.weighing.odds import Odds
from recommender.weighing.representation import Representation
from tests.makers import DAY, NOW, make_policy
from tests.recommender.learned import OFFERS, happen, stored

pytestmark = pytest.mark.django_db(transaction=True)

LATER = NOW + 30 * DAY
FEATURES = FeatureSpec(
    (NumberFeature("age", 40.0, 10.0), CategoryFeature("plan", ("basic", "pro")))
)


@pytest.fixture
def policy(monkeypatch: pytest.MonkeyPatch) -> Policy:
    monkeypatch.setattr(networks, "FIRST_LESSONS", 50)
    return make_policy(
        kind="neural_linear", offers=OFFERS, features=FEATURES, hyperparameters={"memory_days": 30}
    )


def learn(policy: Policy, n: int, *, day: int) -> Odds:
    happen(policy, n, seed=day, at=NOW + day * DAY)
    learn_batch(policy.pk, now=LATER + day * DAY)
    newest = policy.versions.first()
    assert newest is not None
    return Odds.from_bytes(bytes(newest.odds))


def test_from_so_many_lessons_on_it_sees_through_a_network(policy: Policy) -> None:
    assert learn(policy, 20, day=0).representation is None
    odds = learn(policy, 40, day=1)
    network = PolicyNetwork.objects.get()
    seen = Representation.from_bytes(bytes(network.layers))
    assert odds.representation is not None
    assert odds.representation.to_bytes() == seen.to_bytes()
    assert odds.mean.shape == (len(OFFERS), seen.size)
    # All lessons are in the sums of the new network, those of before too, as they have faded.
    n = sum(each.n for each in stored(policy).values())
    assert n == pytest.approx(40 + 20 * np.exp(-1 / 30))
    assert all(len(each.b) == seen.size for each in stored(policy).values())
    assert check_sums(policy, now=LATER).problem == ""


def test_it_goes_on_from_its_sums_until_much_is_new(policy: Policy) -> None:
    learn(policy, 60, day=0)
    first = PolicyNetwork.objects.get()
    learn(policy, 10, day=1)
    assert PolicyNetwork.objects.get().trained_at == first.trained_at
    assert check_sums(policy, now=LATER).problem == ""
    learn(policy, 40, day=2)
    assert PolicyNetwork.objects.get().trained_at > first.trained_at
    assert check_sums(policy, now=LATER).problem == ""
    assert repair_sums(policy.pk).problem == ""


def test_it_is_trained_again_after_a_week(policy: Policy) -> None:
    learn(policy, 60, day=0)
    learn(policy, 1, day=6)
    assert PolicyNetwork.objects.get().trained_at == LATER
    learn(policy, 1, day=7)
    assert PolicyNetwork.objects.get().trained_at == LATER + 7 * DAY


def test_who_is_erased_is_in_neither_the_sums_nor_the_next_network(policy: Policy) -> None:
    learn(policy, 60, day=0)
    gone = list(Customer.objects.order_by("pk").values_list("pk", flat=True)[:20])
    with transaction.atomic():
        assert unlearn(gone) == {"policies' lessons": 20}
        Reward.objects.filter(decision__customer__in=gone).delete()
        Decision.objects.filter(customer__in=gone).delete()
    assert check_sums(policy, now=LATER).problem == ""
    learn(policy, 1, day=1)
    assert PolicyNetwork.objects.get().trained_at == LATER + DAY
    assert check_sums(policy, now=LATER).problem == ""


def test_a_training_that_fails_leaves_all_as_it_was(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn(policy, 20, day=0)
    before = {offer: each.to_bytes() for offer, each in stored(policy).items()}

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr("recommender.bandits.neural_linear.train", fail)
    with pytest.raises(RuntimeError, match="no memory"):
        learn(policy, 60, day=1)
    assert {offer: each.to_bytes() for offer, each in stored(policy).items()} == before
    assert not PolicyNetwork.objects.exists()
    assert Reward.objects.filter(settled_at=None).count() == 60
