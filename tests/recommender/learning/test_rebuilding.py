"""What a policy has stored is what its log comes to, and people can be taken out of both."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from pytest_django import Settings

from audience.models import Customer
from recommender.bandits.base import Statistics
from recommender.learning.learn import Learned, learn_batch
from recommender.learning.rebuilding import check_sums, unlearn
from recommender.models import Decision, OfferStatistics, Policy, Reward
from recommender.tasks import check_due
from recommender.weighing.features import CategoryFeature, FeatureSpec, NumberFeature
from tests.makers import DAY, NOW, make_policy
from tests.racing import locked_table, other_sessions, wait_for_blocked
from tests.recommender.learned import OFFERS, assert_learned_the_log, happen, stored

pytestmark = pytest.mark.django_db(transaction=True)

LATER = NOW + 30 * DAY
FEATURES = FeatureSpec(
    (NumberFeature("age", 40.0, 10.0), CategoryFeature("plan", ("basic", "pro")))
)


@pytest.fixture
def policy() -> Policy:
    policy = make_policy(offers=OFFERS, features=FEATURES, reward_kind="sum")
    happen(policy, 60, seed=1)
    learn_batch(policy.pk, now=LATER)
    happen(policy, 30, seed=2, at=NOW + DAY)
    happen(policy, 9, seed=3, at=NOW + DAY, held_back=True)
    learn_batch(policy.pk, now=LATER)
    return policy


def delete_decisions(**of: Any) -> None:
    Reward.objects.filter(**{f"decision__{name}": value for name, value in of.items()}).delete()
    Decision.objects.filter(**of).delete()


def spoil(policy: Policy, offer: str, by: float) -> None:
    row = policy.statistics.get(offer=offer)
    sums = Statistics.from_bytes(bytes(row.sums))
    wrong = Statistics(sums.precision_update, sums.b * (1 + by), sums.n, sums.s)
    OfferStatistics.objects.filter(pk=row.pk).update(sums=wrong.to_bytes())


def test_the_log_comes_to_what_is_stored(policy: Policy) -> None:
    assert check_sums(policy, now=LATER).problem == ""
    policy.refresh_from_db()
    assert (policy.sums_checked_at, policy.sums_are_wrong) == (LATER, False)


def test_a_sum_that_is_a_millionth_off_is_found_and_repaired(
    policy: Policy, caplog: pytest.LogCaptureFixture
) -> None:
    before = stored(policy)
    spoil(policy, "blue", 1e-6)
    assert check_due() == 1
    policy.refresh_from_db()
    assert policy.sums_are_wrong
    assert policy.sums_problem.startswith("blue differs by")
    assert "are not what its log says" in caplog.text
    said = io.StringIO()
    call_command("rebuild_policy", policy.key, stdout=said)
    assert said.getvalue().startswith("blue differs by")
    for offer, sums in stored(policy).items():
        np.testing.assert_allclose(sums.b, before[offer].b, rtol=1e-12)
    assert not check_sums(policy, now=LATER).is_wrong


def test_no_policy_of_that_key_is_said_so() -> None:
    with pytest.raises(CommandError, match="No policy has the key"):
        call_command("rebuild_policy", "nothing")


def test_a_policy_is_checked_once_a_day(policy: Policy) -> None:
    assert check_due() == 0
    spoil(policy, "red", 0.5)
    assert check_due() == 0
    Policy.objects.update(sums_checked_at=NOW)
    assert check_due() == 1


def test_an_offer_that_came_later_is_no_mistake(policy: Policy) -> None:
    """What was decided for it before it was the policy's was never learned from."""
    happen(policy, 12, seed=4, at=NOW + 2 * DAY, offers=["violet"])
    learn_batch(policy.pk, now=LATER)
    Policy.objects.update(offers=[*OFFERS, "violet"])
    policy.refresh_from_db()
    happen(policy, 12, seed=5, at=NOW + 3 * DAY, offers=["violet"])
    learn_batch(policy.pk, now=LATER)
    assert check_sums(policy, now=LATER).problem == ""
    assert stored(policy)["violet"].n == 12


def test_a_log_that_was_shortened_on_purpose_tells_nothing(
    policy: Policy, settings: Settings
) -> None:
    of_the_first_day = Decision.objects.filter(decided_at__lt=NOW + DAY)
    delete_decisions(pk__in=list(of_the_first_day.values_list("pk", flat=True)))
    assert check_sums(policy, now=LATER).is_wrong
    settings.KEEP_DECISIONS_DAYS = 30
    checked = check_sums(policy, now=LATER)
    assert (checked.is_wrong, checked.problem) == (False, "60 lessons are no longer in the log")


def test_what_a_person_taught_is_taken_out(policy: Policy) -> None:
    gone = list(Customer.objects.order_by("pk")[20:45].values_list("pk", flat=True))
    taught = Reward.objects.filter(decision__customer__in=gone, is_lesson=True).count()
    with transaction.atomic():
        assert unlearn(gone) == {"policies' lessons": taught}
        delete_decisions(customer__in=gone)
    assert_learned_the_log(policy)
    assert check_sums(policy, now=LATER).problem == ""


def test_who_taught_nothing_leaves_nothing_to_take_out(policy: Policy) -> None:
    before = stored(policy)
    happen(policy, 3, seed=6, at=LATER)
    waiting = Customer.objects.order_by("-pk")[:3].values_list("pk", flat=True)
    held_back = Decision.objects.filter(held_back=True).values_list("customer", flat=True)
    with transaction.atomic():
        assert unlearn(list(waiting)) == {}
        assert unlearn(list(held_back)) == {}
    for offer, sums in stored(policy).items():
        np.testing.assert_array_equal(sums.b, before[offer].b)


def test_what_is_being_learned_at_that_moment_is_taken_out_as_well(policy: Policy) -> None:
    happen(policy, 10, seed=7, at=NOW + 4 * DAY)
    newest = list(Customer.objects.order_by("-pk")[:10].values_list("pk", flat=True))

    def erase() -> Mapping[str, int]:
        with transaction.atomic():
            taken = unlearn(newest)
            delete_decisions(customer__in=newest)
        return taken

    with other_sessions(2) as run:
        with locked_table("recommender_policyversion"):
            learning = run(lambda: learn_batch(policy.pk, now=LATER))
            wait_for_blocked(1)
            erasing = run(erase)
            wait_for_blocked(2)
        assert learning.result(timeout=10) == Learned(settled=10, learned=10, version=3)
        assert erasing.result(timeout=10) == {"policies' lessons": 10}
    assert_learned_the_log(policy)


def test_what_fades_has_faded_in_the_log_as_well() -> None:
    policy = make_policy(
        offers=OFFERS, features=FEATURES, reward_kind="sum", hyperparameters={"memory_days": 3.0}
    )
    for day in range(4):
        happen(policy, 20, seed=day, at=NOW + day * DAY)
        learn_batch(policy.pk, now=NOW + (4 + day) * DAY)
    assert check_sums(policy, now=LATER).problem == ""
    assert sum(sums.n for sums in stored(policy).values()) < 75
    gone = list(Customer.objects.order_by("pk")[10:60].values_list("pk", flat=True))
    with transaction.atomic():
        assert unlearn(gone) == {"policies' lessons": 50}
        delete_decisions(customer__in=gone)
    assert check_sums(policy, now=LATER).problem == ""
