"""Rules that the database itself keeps, and how rows name themselves."""

import pytest
from django.db import IntegrityError, transaction

from recommender.models import (
    OfferStatistics,
    Policy,
    PolicyEvaluation,
    PolicyVersion,
    Reward,
    no_features,
)
from recommender.weighing.features import FeatureSpec
from tests.makers import NOW, make_customer, make_decision, make_policy

pytestmark = pytest.mark.django_db


def test_no_features_is_a_specification() -> None:
    assert FeatureSpec.from_json(no_features()) == FeatureSpec(())


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("floor", 0.0, "floor_is_small_and_positive"),
        ("floor", 0.3, "floor_is_small_and_positive"),
        ("held_back_share", 1.0, "held_back_share_below_one"),
        ("held_back_share", -0.1, "held_back_share_below_one"),
        ("reward_window_seconds", 0, "reward_window_is_positive"),
    ],
)
def test_a_policy_out_of_bounds_is_refused(field: str, value: float, rule: str) -> None:
    policy = make_policy()
    with pytest.raises(IntegrityError, match=rule), transaction.atomic():
        Policy.objects.filter(pk=policy.pk).update(**{field: value})


def test_a_reward_has_its_value_when_it_is_settled() -> None:
    decision = make_decision(make_policy(), make_customer(), at=NOW)
    with pytest.raises(IntegrityError, match="value_when_settled"), transaction.atomic():
        Reward.objects.filter(decision=decision).update(settled_at=NOW)


def test_a_version_number_comes_once() -> None:
    policy = make_policy()
    version = {"policy": policy, "number": 1, "odds": b"", "learned_from": 1, "published_at": NOW}
    PolicyVersion.objects.create(**version)
    with pytest.raises(IntegrityError, match="one_version_per_number"), transaction.atomic():
        PolicyVersion.objects.create(**version)


def test_rows_say_what_they_are() -> None:
    policy = Policy(name="Spring")
    assert str(PolicyVersion(policy=policy, number=3)) == "Spring v3"
    assert str(OfferStatistics(policy=policy, offer="red")) == "Spring: red"
    assert str(PolicyEvaluation(campaign="spring", population="all")) == "spring: all"
