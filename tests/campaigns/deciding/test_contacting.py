"""A policy that decides over time sees what customers were offered: as it was, and no more."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import time_machine
from django.core.exceptions import ValidationError

from audience.models import Customer
from campaigns.lifecycle.cloning import clone_campaign
from campaigns.lifecycle.drafting import Split, add_offers, find_nothing
from campaigns.lifecycle.redrafting import change_learning
from campaigns.lifecycle.status import start_campaign
from campaigns.models import Campaign
from campaigns.replaying import replay
from recommender.learning.learn import learn_batch
from recommender.learning.steps import read_steps
from recommender.models import Decision, PolicyLeaves
from recommender.weighing.contacts import COMPUTED, LAST_WEEK, Contact, Contacts, sees_contacts
from recommender.weighing.features import CategoryFeature, FeatureSpec
from recommender.weighing.odds import Odds
from tests.campaigns.offices import NOWHERE, Office, open_office, visit
from tests.makers import (
    DAY,
    HOUR,
    event_row,
    make_campaign,
    make_events,
    make_offer,
    make_user,
    merge,
)

pytestmark = pytest.mark.django_db(transaction=True)

BEGIN = datetime(2026, 3, 2, 9, tzinfo=UTC)
ORDER, REFUND = "Order Completed", "Order Refunded"


@pytest.fixture
def campaign(transactional_db: None) -> Campaign:
    with time_machine.travel(BEGIN, tick=False):
        campaign = make_campaign(
            started_at=None,
            bandit="sequential",
            hold_minutes=0,
            split=Split(holdout_percent=1, control_percent=1),
            features=FeatureSpec((CategoryFeature("plan", ("basic", "pro")),)),
            reward_window_seconds=3600,
            offers=[make_offer(key="mug"), make_offer(key="cap"), find_nothing()],
        )
        start_campaign(campaign, by=None, now=BEGIN)
    return campaign


@pytest.fixture
def office(campaign: Campaign, tmp_path: Path) -> Iterator[Office]:
    with open_office(tmp_path) as office:
        yield office


def recomputed(
    campaign: Campaign, decision: Decision, events: list[tuple[str, datetime, float]]
) -> list[float]:
    """Encode a customer by all that the log says of the time before a decision."""
    before = Decision.objects.filter(
        campaign=campaign.key, customer=decision.customer, decided_at__lt=decision.decided_at
    ).order_by("-decided_at")
    given = [
        Contact(each.decided_at, each.offer)
        for each in before
        if each.offer not in {None, "nothing"} and each.decided_at > decision.decided_at - 30 * DAY
    ]
    past = [(name, value) for name, at, value in events if at <= decision.decided_at]
    answered = [at for name, at, _ in events if name == ORDER and at <= decision.decided_at]
    value = sum(value if name == ORDER else -value for name, value in past)
    said = Contacts(given, max(answered, default=None), value).attributes(now=decision.decided_at)
    campaign.policy.refresh_from_db()
    spec = FeatureSpec.from_json(campaign.policy.features)
    encoded: list[float] = spec.encode({"plan": "pro", **said}).tolist()
    return encoded


def test_it_is_told_at_the_start_of_what_it_looks_at(campaign: Campaign) -> None:
    campaign.policy.refresh_from_db()
    spec = FeatureSpec.from_json(campaign.policy.features)
    assert {feature.attribute for feature in spec.features} == {"plan", *COMPUTED}
    assert CategoryFeature("contact.last_offer", ("mug", "cap")) in spec.features
    assert not sees_contacts(
        FeatureSpec.from_json(clone_campaign(campaign, by=make_user(), now=BEGIN).policy.features)
    )


def test_other_kinds_are_told_nothing() -> None:
    campaign = make_campaign()
    assert not sees_contacts(FeatureSpec.from_json(campaign.policy.features))


def test_who_looks_at_too_much_besides_cannot_start() -> None:
    values = tuple(f"v{n}" for n in range(125))
    campaign = make_campaign(
        started_at=None,
        bandit="sequential",
        features=FeatureSpec((CategoryFeature("plan", values),)),
    )
    with pytest.raises(ValidationError, match="128 is the most"):
        start_campaign(campaign, by=None, now=BEGIN)


def test_each_decision_saw_what_the_log_says_of_the_time_before(
    campaign: Campaign, office: Office
) -> None:
    events = [
        (ORDER, BEGIN + 2 * DAY + HOUR, 30.0),
        (REFUND, BEGIN + 4 * DAY, 10.0),
        (ORDER, BEGIN + 33 * DAY + HOUR, 5.0),
    ]
    days = [0, 1, 2, 3, 5, 8, 13, 21, 34, 40]
    for day in days:
        with time_machine.travel(BEGIN + day * DAY, tick=False):
            office.serve(*(visit(campaign, f"c{n}", plan="pro") for n in range(6)))
        if day == 0:
            # All that will happen is known to the database already, and to nobody else.
            make_events(
                [
                    event_row(customer, name, at=at, value=value)
                    for customer in Customer.objects.filter(external_key__startswith="c")
                    for name, at, value in events
                ]
            )
    decisions = Decision.objects.exclude(arm="hold-out").select_related("customer")
    assert len({decision.offer for decision in decisions}) == 3
    for decision in decisions:
        np.testing.assert_allclose(
            decision.features, recomputed(campaign, decision, events), rtol=0, atol=1e-9
        )
        assert replay(decision.pk).is_confirmed


def test_nobody_else_tells_of_contacts(campaign: Campaign, office: Office) -> None:
    with time_machine.travel(BEGIN, tick=False):
        office.serve(visit(campaign, "liar", plan="pro", **{LAST_WEEK: 99}))
    decision = Decision.objects.get()
    assert decision.features == recomputed(campaign, decision, [])


def test_two_questions_at_once_count_each_other(campaign: Campaign, office: Office) -> None:
    with time_machine.travel(BEGIN, tick=False):
        office.serve(*(visit(campaign, "ada") for _ in range(12)))
    spec = FeatureSpec.from_json(campaign.policy.__class__.objects.get().features)
    column = spec.names.index(LAST_WEEK)
    seen = [row[column] for row in Decision.objects.values_list("features", flat=True)]
    given = Decision.objects.exclude(offer="nothing").exclude(offer=None).count()
    assert max(seen) >= spec.encode({LAST_WEEK: given - 1})[column]


def test_what_a_visitor_was_offered_counts_for_the_customer(
    campaign: Campaign, office: Office
) -> None:
    with time_machine.travel(BEGIN, tick=False):
        while not Decision.objects.filter(offer__in=["mug", "cap"]).exists():
            office.serve(visit(campaign, "visitor"))
    visitor = Customer.objects.get(external_key="visitor")
    with time_machine.travel(BEGIN + DAY, tick=False):
        office.serve(visit(campaign, "ada"))
        merge(visitor, into=Customer.objects.get(external_key="ada"))
    with time_machine.travel(BEGIN + 2 * DAY, tick=False):
        office.serve(visit(campaign, "ada"))
    last = Decision.objects.latest("decided_at")
    spec = FeatureSpec.from_json(campaign.policy.__class__.objects.get().features)
    month = spec.names.index("contact.last_30_days")
    assert last.features[month] >= spec.encode({"contact.last_30_days": 1})[month]


def test_without_the_database_nothing_is_said_of_contacts(
    campaign: Campaign, tmp_path: Path
) -> None:
    with time_machine.travel(BEGIN, tick=False), open_office(tmp_path / "spool", NOWHERE) as office:
        (outcome,) = office.serve(visit(campaign, "ada", plan="pro"))
        assert outcome.is_degraded
        office.drain()
    decision = Decision.objects.get()
    spec = FeatureSpec.from_json(campaign.policy.__class__.objects.get().features)
    assert decision.features == spec.encode({"plan": "pro"}).tolist()


def test_it_learns_from_what_followed_and_makes_no_leaves(
    campaign: Campaign, office: Office
) -> None:
    for day in range(4):
        with time_machine.travel(BEGIN + day * DAY, tick=False):
            office.serve(*(visit(campaign, f"c{n}") for n in range(30)))
            happy = Decision.objects.filter(offer="mug", decided_at=BEGIN + day * DAY)
            make_events(
                [
                    event_row(
                        decision.customer, ORDER, at=decision.decided_at + timedelta(minutes=5)
                    )
                    for decision in happy.select_related("customer")[::2]
                ]
            )
    now = BEGIN + 4 * DAY
    learned = learn_batch(campaign.policy_id, now=now)
    assert learned is not None
    assert learned.version == 1
    campaign.policy.refresh_from_db()
    lessons = Decision.objects.filter(reward__is_lesson=True)
    steps = read_steps(campaign.policy, now=now)
    # Of each customer the last one is waited for; nobody can tell yet what follows.
    people = lessons.values("customer").distinct().count()
    assert len(steps.reward) == lessons.count() - people
    assert set(steps.days.tolist()) == {1.0}
    assert steps.reward.sum() > 0
    odds = Odds.from_bytes(bytes(campaign.policy.versions.get().odds))
    assert odds.temperature is not None
    assert not PolicyLeaves.objects.exists()
    # A month later it is known that nothing followed.
    later = read_steps(campaign.policy, now=now + 31 * DAY)
    assert len(later.reward) == lessons.count()
    ended = ~later.next_eligible.any(axis=1)
    assert ended.sum() == people
    with time_machine.travel(now, tick=False):
        office.runner.run(office.snapshot.get())
        office.serve(*(visit(campaign, f"c{n}") for n in range(30)))
    newest = Decision.objects.filter(policy_version=1)
    for decision in newest:
        assert replay(decision.pk).is_confirmed


def test_it_can_be_chosen_for_a_draft() -> None:
    campaign = make_campaign(started_at=None, offers=[])
    add_offers(campaign, [make_offer(), find_nothing()])
    change_learning(
        campaign,
        features=FeatureSpec(()),
        reward_window_seconds=60,
        kind="sequential",
        landmarks=[],
        margin=None,
    )
    campaign.policy.full_clean()
    start_campaign(campaign, by=None, now=BEGIN)
    campaign.policy.refresh_from_db()
    assert sees_contacts(FeatureSpec.from_json(campaign.policy.features))
