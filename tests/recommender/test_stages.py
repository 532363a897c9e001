"""Decisions teach before their window has passed, what they did not earn is corrected, all once."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.db import transaction

from audience.models import Customer
from recommender.learning.learn import Learned, learn_batch
from recommender.learning.rebuilding import check_sums, unlearn
from recommender.models import Decision, Policy, Reward
from recommender.rewards.arrivals import find_maturity
from recommender.rewards.settling import GRACE, find_due_policies
from recommender.weighing.features import FeatureSpec, NumberFeature
from tests.makers import DAY, HOUR, NOW, event_row, log_all, logged, make_customers, make_events
from tests.makers import make_policy as make_any_policy
from tests.recommender.learned import OFFERS, assert_learned_the_log, stored

pytestmark = pytest.mark.django_db(transaction=True)

ORDER = "Order Completed"
WINDOW = 20 * DAY
SOON = timedelta(minutes=30)
THEN = NOW + 60 * DAY
FEATURES = FeatureSpec((NumberFeature("age", 40.0, 10.0),))


def make_policy(**values: Any) -> Policy:
    return make_any_policy(
        offers=OFFERS,
        features=FEATURES,
        reward_kind="sum",
        reward_window_seconds=int(WINDOW.total_seconds()),
        **values,
    )


def happen(policy: Policy, n: int, *, at: datetime, held_back: bool = False) -> list[Customer]:
    """Decide for customers, each of whom orders for 10; one half soon, the other on the third day.

    A tenth of the early ones is halved by a refund on the tenth day.
    """
    customers = make_customers(n)
    rng = np.random.default_rng(n)
    log_all(
        [
            logged(
                policy,
                customer,
                OFFERS[index % 3],
                at=at,
                attributes={"age": float(rng.normal(40, 10))},
                held_back=held_back,
            )
            for index, customer in enumerate(customers)
        ]
    )
    rows = []
    for index, customer in enumerate(customers):
        ordered_at = at + (3 * DAY if index % 2 else SOON)
        about = {"order_id": f"{customer.pk}"}
        rows.append(event_row(customer, ORDER, at=ordered_at, value=10.0, properties=about))
        if index % 20 == 0:
            back_at = at + 10 * DAY
            rows.append(
                event_row(customer, "Order Refunded", at=back_at, value=5.0, properties=about)
            )
    make_events(rows)
    return customers


@pytest.fixture
def policy() -> Policy:
    """A policy that knows from its past how rewards arrive."""
    policy = make_policy()
    happen(policy, 120, at=NOW)
    learn_batch(policy.pk, now=NOW + WINDOW + DAY)
    policy.refresh_from_db()
    return policy


def learn(policy: Policy, *, age: timedelta) -> Learned | None:
    learned = learn_batch(policy.pk, now=THEN + age + GRACE)
    assert check_sums(policy, now=THEN).problem == ""
    return learned


def values() -> list[float]:
    rows = Reward.objects.filter(decision__decided_at=THEN).order_by("decision__customer")
    return [0.0 if value is None else value for value in rows.values_list("value", flat=True)]


def test_nothing_is_learned_early_before_the_past_tells_how_rewards_arrive() -> None:
    policy = make_policy()
    happen(policy, 40, at=THEN)
    assert learn(policy, age=8 * DAY) is None
    assert find_due_policies(now=THEN + 8 * DAY) == []


def test_each_landmark_corrects_what_the_one_before_taught(policy: Policy) -> None:
    happen(policy, 60, at=THEN)
    past = sum(each.n for each in stored(policy).values())
    share = 0.5 / 0.975
    assert learn(policy, age=HOUR) == Learned(settled=0, learned=60, version=2)
    assert values() == pytest.approx([10 / share, 0.0] * 30)
    assert learn(policy, age=DAY) is None or values() == pytest.approx([10 / share, 0.0] * 30)
    assert learn(policy, age=7 * DAY) == Learned(settled=0, learned=0, version=3, corrected=60)
    assert values() == pytest.approx([9.75] * 60)
    assert sum(each.n for each in stored(policy).values()) == past + 60
    assert learn(policy, age=WINDOW) == Learned(settled=60, learned=0, version=4, corrected=60)
    assert values() == pytest.approx([10.0 if index % 20 else 5.0 for index in range(60)])
    assert_learned_the_log(policy)


def test_early_rewards_have_the_mean_of_the_final_ones(policy: Policy) -> None:
    happen(policy, 120, at=THEN)
    means = []
    for age in (HOUR, DAY, 7 * DAY, WINDOW):
        learn(policy, age=age)
        means.append(np.mean(values()))
    assert means == pytest.approx([9.75] * 4)


def test_who_comes_late_takes_the_latest_landmark_alone(policy: Policy) -> None:
    happen(policy, 30, at=THEN)
    assert learn(policy, age=8 * DAY) == Learned(settled=0, learned=30, version=2)
    assert set(
        Reward.objects.filter(decision__decided_at=THEN).values_list("stage", flat=True)
    ) == {3}


def test_delivered_twice_is_learned_once(policy: Policy) -> None:
    happen(policy, 30, at=THEN)
    for age in (HOUR, 7 * DAY, WINDOW):
        assert learn(policy, age=age) is not None
        before = stored(policy)
        assert learn(policy, age=age) is None
        for offer, sums in stored(policy).items():
            np.testing.assert_array_equal(sums.b, before[offer].b)


def test_what_fades_is_corrected_by_what_is_left_of_it() -> None:
    policy = make_policy(hyperparameters={"memory_days": 5.0})
    happen(policy, 120, at=NOW)
    learn_batch(policy.pk, now=NOW + WINDOW + DAY)
    happen(policy, 60, at=THEN)
    for age in (HOUR, 2 * DAY, 7 * DAY, WINDOW):
        learn(policy, age=age)


def test_an_early_lesson_can_be_taken_out(policy: Policy) -> None:
    gone = [customer.pk for customer in happen(policy, 30, at=THEN)]
    learn(policy, age=HOUR)
    with transaction.atomic():
        assert unlearn(gone) == {"policies' lessons": 30}
        Reward.objects.filter(decision__customer__in=gone).delete()
        Decision.objects.filter(customer__in=gone).delete()
    assert_learned_the_log(policy)
    assert check_sums(policy, now=THEN).problem == ""


def test_who_is_held_back_has_no_value_before_the_end(policy: Policy) -> None:
    happen(policy, 20, at=THEN, held_back=True)
    assert learn(policy, age=HOUR) == Learned(settled=0, learned=0, version=None)
    assert not Reward.objects.filter(decision__decided_at=THEN, value__isnull=False).exists()
    assert learn(policy, age=WINDOW) == Learned(settled=20, learned=0, version=None)
    assert values()[1] == 10.0


def test_landmarks_can_be_chosen_or_left_out(policy: Policy) -> None:
    happen(policy, 10, at=THEN)
    Policy.objects.update(landmarks=[policy.reward_window_seconds])
    assert learn(policy, age=19 * DAY) is None
    Policy.objects.update(landmarks=[int(5 * DAY.total_seconds())])
    assert find_due_policies(now=THEN + 4 * DAY) == []
    assert find_due_policies(now=THEN + 6 * DAY) == [policy]
    assert learn(policy, age=6 * DAY) == Learned(settled=0, learned=10, version=2)


def test_a_rate_is_learned_at_the_end_alone(policy: Policy) -> None:
    Policy.objects.update(kind="beta_thompson")
    happen(policy, 10, at=THEN)
    assert learn_batch(policy.pk, now=THEN + 8 * DAY) is None


def test_a_curve_is_fitted_once_an_hour(policy: Policy) -> None:
    fitted_at = policy.delays_fitted_at
    for age in (HOUR / 2, 2 * HOUR):
        happen(policy, 5, at=NOW + DAY + age)
        learn_batch(policy.pk, now=NOW + WINDOW + DAY + age)
        policy.refresh_from_db()
        assert (policy.delays_fitted_at == fitted_at) == (age < HOUR)


def test_maturity_says_how_much_is_expected_to_have_come(policy: Policy) -> None:
    assert find_maturity(policy, now=THEN) is None
    happen(policy, 30, at=THEN)
    happen(policy, 10, at=THEN - 4 * DAY)
    maturity = find_maturity(policy, now=THEN + 2 * HOUR)
    assert maturity is not None
    assert maturity.waiting == 40
    assert maturity.arrived == pytest.approx((30 * 0.5 / 0.975 + 10 * 1 / 0.975) / 40, rel=0.005)
    assert find_maturity(make_policy(), now=THEN) is None
