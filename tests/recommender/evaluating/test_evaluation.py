"""Policies are judged on the held-back log alone, by the estimators that have their own tests."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from audience.importing.copying import EventRow
from recommender.evaluating import evaluation
from recommender.evaluating.evaluation import evaluate_policy, read_log
from recommender.learning.learn import learn_batch
from recommender.models import Decision, Policy, PolicyEvaluation
from recommender.weighing.features import FeatureSpec, NumberFeature
from tests.makers import (
    DAY,
    NOW,
    SECOND,
    event_row,
    log_all,
    logged,
    make_customers,
    make_events,
    make_policy,
)

pytestmark = pytest.mark.django_db

ORDER = "Order Completed"
LATER = NOW + 30 * DAY
NAMES = {"red": "Red", "blue": "Blue"}
FEATURES = FeatureSpec((NumberFeature("taste", 0.0, 1.0),))


def happen(policy: Policy, n: int, *, seed: int, held_back: bool, campaign: str = "spring") -> None:
    """Decide evenly; those with a taste above 0 like red, the others blue."""
    rng = np.random.default_rng(seed)
    decisions, events = [], list[EventRow]()
    for customer in make_customers(n):
        taste, offer = float(rng.normal()), str(rng.choice(policy.offers))
        decisions.append(
            logged(
                policy,
                customer,
                offer,
                at=NOW,
                attributes={"taste": taste},
                held_back=held_back,
                campaign=campaign,
            )
        )
        if rng.random() < (0.8 if (offer == "red") == (taste > 0) else 0.1):
            events.append(event_row(customer, ORDER, at=NOW + SECOND))
    log_all(decisions)
    make_events(events)


@pytest.fixture
def policy() -> Policy:
    return make_policy(features=FEATURES, held_back_share=0.5)


def judge(policy: Policy) -> PolicyEvaluation | None:
    return evaluate_policy(policy, campaign="spring", names=NAMES, now=LATER)


def test_a_policy_that_learned_the_taste_beats_every_simple_one(policy: Policy) -> None:
    happen(policy, 300, seed=1, held_back=False)
    happen(policy, 400, seed=2, held_back=True)
    learn_batch(policy.pk, now=LATER)
    judged = judge(policy)
    assert judged is not None
    assert [row["policy"] for row in judged.rows] == [
        "Learned policy",
        "Learned policy, never exploring",
        "Blue to all",
        "Red to all",
        "Every offer equally often",
    ]
    assert judged.population == (
        "400 decisions kept out of learning; version 1, learned from 300 others"
    )
    learned, _, *simple = judged.rows
    assert learned["advantage"] is None
    assert learned["dr"]["estimate"] == pytest.approx(0.8, abs=0.1)
    assert all(row["advantage"]["low"] > 0 for row in simple)
    assert judged.integrity["n"] == 400
    assert not judged.integrity["is_broken"]


def test_learning_cost_what_knowing_it_all_along_would_have_earned(policy: Policy) -> None:
    happen(policy, 300, seed=1, held_back=False)
    happen(policy, 400, seed=2, held_back=True)
    learn_batch(policy.pk, now=LATER)
    before = judge(policy)
    assert before is not None
    assert before.learning_cost == {}
    drawn = Decision.objects.filter(held_back=False)
    drawn.update(policy_version=0)
    judged = judge(policy)
    assert judged is not None
    favourites = judged.rows[1]["dr"]["estimate"]
    mean = np.mean(list(drawn.values_list("reward__value", flat=True)))
    assert judged.learning_cost["n"] == 300
    assert judged.learning_cost["estimate"] == pytest.approx(favourites - mean)
    assert judged.learning_cost["low"] > 0


def test_there_is_nothing_to_judge_before_the_first_version(policy: Policy) -> None:
    happen(policy, 20, seed=1, held_back=True)
    assert judge(policy) is None


def test_a_log_that_is_too_short_is_not_judged(policy: Policy) -> None:
    happen(policy, 20, seed=1, held_back=False)
    happen(policy, 4, seed=2, held_back=True)
    learn_batch(policy.pk, now=LATER)
    assert judge(policy) is None
    assert not PolicyEvaluation.objects.exists()


def test_a_small_log_withholds_its_estimates(policy: Policy) -> None:
    happen(policy, 20, seed=1, held_back=False)
    happen(policy, 10, seed=2, held_back=True)
    learn_batch(policy.pk, now=LATER)
    judged = judge(policy)
    assert judged is not None
    assert all("withheld" in row["dr"] for row in judged.rows)


def test_only_held_back_settled_decisions_of_the_campaign_are_read(policy: Policy) -> None:
    happen(policy, 7, seed=1, held_back=True)
    happen(policy, 8, seed=2, held_back=False)
    happen(policy, 9, seed=3, held_back=True, campaign="summer")
    (customer,) = make_customers(1)
    log_all([logged(policy, customer, None, at=NOW, held_back=True)])
    learn_batch(policy.pk, now=LATER)
    log_all([logged(policy, customer, "red", at=LATER, held_back=True)])
    log = read_log(policy, campaign="spring", offers=policy.offers)
    assert log is not None
    assert len(log.reward) == 7
    assert log.actions == ("blue", "red")


def test_each_arm_is_a_group_of_the_log(policy: Policy) -> None:
    first, *others = (
        logged(policy, customer, "red", at=NOW, held_back=True) for customer in make_customers(6)
    )
    log_all([replace(first, arm="control"), *others])
    learn_batch(policy.pk, now=LATER)
    log = read_log(policy, campaign="spring", offers=policy.offers)
    assert log is not None
    assert log.group is not None
    assert sorted(log.group.tolist()) == [0, 1, 1, 1, 1, 1]


def test_decisions_among_unknown_offers_alone_are_left_out(policy: Policy) -> None:
    happen(policy, 20, seed=1, held_back=False)
    happen(policy, 120, seed=2, held_back=True)
    learn_batch(policy.pk, now=LATER)
    policy.offers = ["green"]
    happen(policy, 30, seed=3, held_back=True)
    policy.refresh_from_db()
    learn_batch(policy.pk, now=LATER + timedelta(days=1))
    judged = judge(policy)
    assert judged is not None
    assert judged.population.startswith("120 decisions")


def test_an_offer_that_the_log_does_not_know_gets_no_row(policy: Policy) -> None:
    happen(policy, 120, seed=2, held_back=True)
    policy.offers = [*policy.offers, "green"]
    policy.save(update_fields=["offers"])
    happen(policy, 20, seed=1, held_back=False)
    learn_batch(policy.pk, now=LATER)
    judged = judge(policy)
    assert judged is not None
    assert "green to all" not in [row["policy"] for row in judged.rows]


def test_draws_whose_other_weights_are_unknown_are_judged_but_not_checked(policy: Policy) -> None:
    happen(policy, 20, seed=1, held_back=False)
    learn_batch(policy.pk, now=LATER)
    log_all(
        [
            replace(logged(policy, customer, "red", at=NOW, held_back=True), weights=())
            for customer in make_customers(150)
        ]
    )
    learn_batch(policy.pk, now=LATER)
    judged = judge(policy)
    assert judged is not None
    assert judged.integrity["n"] == 0


def test_no_offer_is_a_policy_where_the_log_has_it(policy: Policy) -> None:
    happen(policy, 20, seed=1, held_back=False)
    learn_batch(policy.pk, now=LATER)
    decisions = [
        logged(policy, customer, "red", at=NOW, held_back=True) for customer in make_customers(150)
    ]
    log_all(
        [
            replace(
                d,
                eligible=("red", "blue", ""),
                weights=(1 / 3, 1 / 3, 1 / 3),
                propensity=1 / 3,
                offer=("red", "blue", None)[index % 3],
            )
            for index, d in enumerate(decisions)
        ]
    )
    learn_batch(policy.pk, now=LATER)
    judged = judge(policy)
    assert judged is not None
    assert judged.rows[-1]["policy"] == "No offer"


def test_the_newest_decisions_are_read_first(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    happen(policy, 20, seed=1, held_back=True)
    learn_batch(policy.pk, now=LATER)
    monkeypatch.setattr(evaluation, "MOST", 8)
    log = read_log(policy, campaign="spring", offers=policy.offers)
    assert log is not None
    assert len(log.reward) == 8
