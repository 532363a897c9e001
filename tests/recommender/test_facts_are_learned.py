"""A policy learns by what is known of its offers, and so does what challenges it."""

from typing import Any

import numpy as np
import pytest

from recommender.evaluating.challenging import challenge, learn
from recommender.learning.learn import learn_batch
from recommender.models import Policy
from recommender.weighing.features import FeatureSpec
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

pytestmark = pytest.mark.django_db

GIFTS, CUTS = tuple(f"gift-{i}" for i in range(5)), tuple(f"cut-{i}" for i in range(5))
NEW_GIFT, NEW_CUT = "new-gift", "new-cut"
OFFERS = (*GIFTS, *CUTS, NEW_GIFT, NEW_CUT)
FACTS = {offer: {"kind": "gift" if "gift" in offer else "price off"} for offer in OFFERS}
LATER = NOW + 30 * DAY


def happen(policy: Policy) -> None:
    """Let three of ten order for a gift, one of ten for a price cut; nobody gets the new ones."""
    decisions, events = [], []
    for index, customer in enumerate(make_customers(600)):
        offer = (*GIFTS, *CUTS)[index % 10]
        decisions.append(logged(policy, customer, offer, at=NOW))
        if (index // 10) % 10 < (3 if offer in GIFTS else 1):
            events.append(event_row(customer, "Order Completed", at=NOW))
    log_all(decisions)
    make_events(events)


def make(**values: Any) -> Policy:
    policy = make_policy(
        offers=OFFERS, features=FeatureSpec(()), kind="randomised_ucb", offer_facts=FACTS, **values
    )
    happen(policy)
    return policy


def newest(policy: Policy) -> Odds:
    return Odds.from_bytes(bytes(policy.versions.first().odds))  # type: ignore[union-attr]  # there is one


def rate(odds: Odds, offer: str) -> float:
    return float(odds.mean[odds.places[offer], 0])


def test_a_new_offer_starts_from_what_offers_with_its_facts_earned() -> None:
    policy = make()
    learn_batch(policy.pk, now=LATER)
    odds = newest(policy)
    assert rate(odds, NEW_GIFT) == pytest.approx(0.3, abs=0.03)
    assert rate(odds, NEW_CUT) == pytest.approx(0.1, abs=0.03)
    gift, cut = odds.taught
    assert (gift.fact, gift.says, cut.says) == ("kind", "gift", "price off")
    # Held against the average offer, whose rate is 0.2.
    assert gift.low < 0.1 < gift.high
    assert gift.low > 0 > cut.high


def test_without_facts_new_offers_start_alike() -> None:
    policy = make()
    Policy.objects.update(offer_facts={})
    learn_batch(policy.pk, now=LATER)
    odds = newest(policy)
    assert rate(odds, NEW_GIFT) == rate(odds, NEW_CUT) == pytest.approx(0.2, abs=0.03)
    assert odds.taught == ()


def test_facts_that_are_written_later_change_the_next_version_alone() -> None:
    policy = make()
    Policy.objects.update(offer_facts={})
    learn_batch(policy.pk, now=LATER)
    before = bytes(policy.versions.get(number=1).odds)
    Policy.objects.update(offer_facts=FACTS)
    log_all([logged(policy, make_customers(1)[0], GIFTS[0], at=NOW + DAY)])
    learn_batch(policy.pk, now=LATER + DAY)
    assert bytes(policy.versions.get(number=1).odds) == before
    odds = newest(policy)
    assert odds.version == 2
    assert rate(odds, NEW_GIFT) > rate(odds, NEW_CUT) + 0.1


def test_a_challenger_knows_the_same_of_offers() -> None:
    policy = make(held_back_share=0.1)
    learn_batch(policy.pk, now=LATER)
    challenger = challenge(
        policy, kind="linear_thompson", hyperparameters={}, is_automatic=False, now=LATER
    )
    odds = learn(challenger, now=LATER)
    np.testing.assert_allclose(odds.mean, newest(policy).mean, rtol=1e-9)
    assert odds.taught == newest(policy).taught


def test_a_kind_that_knows_nothing_of_facts_learns_as_ever() -> None:
    policy = make()
    Policy.objects.update(kind="beta_thompson")
    learn_batch(policy.pk, now=LATER)
    odds = newest(policy)
    assert rate(odds, NEW_GIFT) == rate(odds, NEW_CUT)
    assert odds.taught == ()
