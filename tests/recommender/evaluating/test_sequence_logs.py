"""What customers bring over time is judged on those whom the policy never learned from."""

import secrets
from dataclasses import replace

import numpy as np
import pytest

from recommender.evaluating.sequence_logs import MOST_DECISIONS, evaluate_sequences, read_sequences
from recommender.learning.learn import learn_batch
from recommender.models import Decision, Policy, PolicyVersion
from recommender.weighing.features import FeatureSpec, NumberFeature
from recommender.weighing.odds import Odds
from tests.makers import (
    DAY,
    NOW,
    event_row,
    log_all,
    logged,
    make_customers,
    make_events,
    make_policy,
)

pytestmark = pytest.mark.django_db(transaction=True)

FEATURES = FeatureSpec((NumberFeature("age", 40.0, 10.0),))
OFFERS = ("red", "blue")
LATER = NOW + 60 * DAY


@pytest.fixture
def policy() -> Policy:
    policy = make_policy(kind="sequential", offers=OFFERS, features=FEATURES)
    odds = Odds(
        offers=OFFERS,
        mean=np.array([[0.4, 0.0], [0.1, 0.0]]),
        factor=np.zeros((2, 2, 2)),
        floor=0.05,
        features=FEATURES,
        version=1,
        temperature=0.5,
    )
    PolicyVersion.objects.create(
        policy=policy, number=1, odds=odds.to_bytes(), learned_from=7, published_at=NOW
    )
    return policy


def happen(
    policy: Policy, n: int, *, days: int = 3, held_back: bool = True, first: int = 0
) -> list[list[bool]]:
    """Decide for customers day after day; red earns an order. Return who got red, day by day."""
    rng = np.random.default_rng(n)
    customers = make_customers(n)
    decisions, events, reds = [], [], []
    for day in range(first, first + days):
        is_red = rng.random(n) < 0.5
        reds.append(is_red.tolist())
        for number, customer in enumerate(customers):
            at = NOW + day * DAY
            made = logged(
                policy,
                customer,
                OFFERS[0] if is_red[number] else OFFERS[1],
                at=at,
                attributes={"age": 30 + number % 20},
                held_back=held_back,
            )
            decisions.append(replace(made, policy_version=1))
            if is_red[number]:
                events.append(event_row(customer, "Order Completed", at=at + DAY / 48, value=1.0))
    log_all(decisions)
    make_events(events)
    return reds


def test_a_log_is_read_as_rows_of_decisions(policy: Policy) -> None:
    reds = happen(policy, 120)
    happen(policy, 50, held_back=False)
    learn_batch(policy.pk, now=LATER)
    log = read_sequences(policy, campaign="spring", size=2, now=LATER)
    assert log is not None
    assert log.actions == ("blue", "red")
    assert log.reward.shape == (120, 3)
    np.testing.assert_array_equal(log.action == 1, np.array(reds).T)
    np.testing.assert_array_equal(log.reward, np.array(reds).T.astype(float))
    np.testing.assert_allclose(log.fade[0], np.exp(-np.arange(3) / 30.0))
    assert log.exists.all()
    assert (log.weights == 0.5).all()


def test_what_would_have_come_is_stored(policy: Policy) -> None:
    happen(policy, 400)
    learn_batch(policy.pk, now=LATER)
    # What was learned meanwhile is not what is judged here.
    policy.versions.exclude(number=1).delete()
    evaluation = evaluate_sequences(policy, campaign="spring", now=LATER)
    assert evaluation is not None
    assert "400 customers kept out of learning; version 1" in evaluation.population
    assert evaluation.integrity["is_broken"] is False
    rows = {row["policy"]: row["dr"] for row in evaluation.rows}
    faded = np.exp(-np.arange(3) / 30.0).sum()
    share = 0.9 / (1 + np.exp(-0.3 / 0.5)) + 0.05
    learned = rows["Learned policy"]
    assert learned["low"] < share * faded < learned["high"]
    even = rows["Every offer equally often"]
    assert even["low"] < 0.5 * faded < even["high"]


def test_nobody_is_judged_before_the_window_has_passed(policy: Policy) -> None:
    happen(policy, 120)
    learn_batch(policy.pk, now=NOW + 5 * DAY)
    assert read_sequences(policy, campaign="spring", size=2, now=NOW + 29 * DAY) is None
    assert read_sequences(policy, campaign="spring", size=2, now=LATER) is not None
    assert evaluate_sequences(policy, campaign="summer", now=LATER) is None
    PolicyVersion.objects.all().delete()
    assert evaluate_sequences(policy, campaign="spring", now=LATER) is None


def test_rows_end_with_the_window_and_with_the_tenth_decision(policy: Policy) -> None:
    happen(policy, 110, days=MOST_DECISIONS + 2)
    learn_batch(policy.pk, now=LATER)
    log = read_sequences(policy, campaign="spring", size=2, now=LATER)
    assert log is not None
    assert log.reward.shape == (110, MOST_DECISIONS)


def test_a_row_with_a_reward_to_come_is_left_out(policy: Policy) -> None:
    happen(policy, 120)
    learn_batch(policy.pk, now=LATER)
    one = Decision.objects.order_by("?").first()
    assert one is not None
    one.reward.settled_at = None
    one.reward.save()
    log = read_sequences(policy, campaign="spring", size=2, now=LATER)
    assert log is not None
    assert len(log.reward) == 119


def test_draws_of_another_arm_are_left_out(policy: Policy) -> None:
    happen(policy, 120)
    customer = make_customers(1)[0]
    by_shares = logged(policy, customer, "red", at=NOW, held_back=True)
    log_all([replace(by_shares, policy_version=None, reasons=[secrets.token_hex(4)])])
    learn_batch(policy.pk, now=LATER)
    log = read_sequences(policy, campaign="spring", size=2, now=LATER)
    assert log is not None
    assert len(log.reward) == 120
