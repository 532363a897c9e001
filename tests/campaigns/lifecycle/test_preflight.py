"""What must not meet customers is found before it does, in words that say what to do."""

from typing import Any

import psycopg
import pytest

from audience.audiences.saving import save_rule
from audience.models import Audience
from campaigns.lifecycle.drafting import find_nothing
from campaigns.lifecycle.preflight import find_issues
from campaigns.models import (
    Campaign,
    Message,
    Offer,
    OfferContent,
    Pacing,
    Placement,
    Status,
    Step,
)
from recommender.models import Policy
from tests.asgi import database_url
from tests.makers import (
    DAY,
    NOW,
    event_row,
    make_campaign,
    make_customers,
    make_events,
    make_metric,
    make_offer,
    make_placement,
)

pytestmark = pytest.mark.django_db


def codes(campaign: Campaign, *, blocking: bool = True) -> set[str]:
    campaign = Campaign.objects.get(pk=campaign.pk)
    return {issue.code for issue in find_issues(campaign, now=NOW) if issue.is_blocking is blocking}


def draft(**plan: Any) -> Campaign:
    return make_campaign(started_at=None, **plan)


def mail_campaign() -> tuple[Campaign, Step]:
    placement = Placement.objects.create(key="mail", name="E-mail", channel="email")
    campaign = draft(placement=placement)
    return campaign, Step.objects.create(campaign=campaign, name="Hello")


def test_a_sound_campaign_has_nothing_to_put_right() -> None:
    (ann,) = make_customers(1)
    make_events([event_row(ann, "Order Completed", at=NOW - DAY)])
    campaign = draft()
    assert codes(campaign) == codes(campaign, blocking=False) == set()


def test_a_goal_that_nobody_reaches_is_worth_knowing() -> None:
    assert codes(draft(), blocking=False) == {"no_events"}


def test_a_policy_that_looks_ahead_should_be_able_to_wait() -> None:
    assert "cannot_wait" in codes(draft(bandit="sequential"), blocking=False)
    waiting = draft(bandit="sequential", offers=[make_offer(), find_nothing()])
    assert "cannot_wait" not in codes(waiting, blocking=False)


@pytest.mark.django_db(transaction=True)
def test_a_goal_is_not_searched_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = draft()
    monkeypatch.setattr("experiments.lifecycle.preflight.PATIENCE_MS", 50)
    with psycopg.connect(database_url()) as other:
        other.execute("LOCK TABLE audience_event IN ACCESS EXCLUSIVE MODE")
        assert codes(campaign, blocking=False) == {"unknown_event"}
    assert codes(campaign, blocking=False) == {"no_events"}


def test_an_audience_of_nobody_blocks() -> None:
    rule = {"all": [{"attribute": "country", "is": "one of", "value": ["de"]}]}
    audience = save_rule(Audience.objects.create(key="de", name="Germans"), rule)
    campaign = draft(audience=audience)
    assert codes(campaign) == {"audience"}
    make_customers(1, attributes={"country": "de"})
    assert codes(campaign) == set()


def test_offers_that_cannot_be_shown_or_say_nothing_block() -> None:
    assert "offers" in codes(draft(offers=[]))
    assert codes(draft(offers=[make_offer(is_active=False)])) == {"offers"}
    assert codes(draft(offers=[make_offer(ends_at=NOW)])) == {"offers"}
    silent = make_offer()
    Offer.objects.filter(pk=silent.pk).update(headline="")
    campaign = draft(offers=[silent], fallback=silent)
    assert codes(campaign) == {"content", "fallback"}
    OfferContent.objects.create(offer=silent, placement=campaign.placement, headline="Hello")
    assert codes(campaign) == set()
    campaign.choices.update(baseline_weight=0)
    assert codes(campaign) == {"shares"}


def test_an_offer_that_ends_early_is_worth_knowing() -> None:
    campaign = draft(offers=[make_offer(ends_at=NOW + DAY)], ends_at=NOW + 30 * DAY)
    assert "offer_ends" in codes(campaign, blocking=False)


def test_a_campaign_that_sends_needs_a_message_with_a_way_out() -> None:
    campaign, step = mail_campaign()
    assert codes(campaign) == {"language"}
    message = Message.objects.create(step=step, body="Hello")
    assert codes(campaign) == {"subject", "unsubscribe"}
    message.subject, message.body = "Hi", "Hello {{ unsubscribe_url }}"
    message.save()
    assert codes(campaign) == set()
    message.language = "de"
    message.save()
    assert codes(campaign) == {"language"}
    step.delete()
    assert codes(campaign) == {"message"}


def test_a_webhook_needs_no_way_out() -> None:
    placement = Placement.objects.create(key="crm", name="CRM", channel="webhook")
    campaign = draft(placement=placement)
    step = Step.objects.create(campaign=campaign, name="Tell")
    Message.objects.create(step=step, body="{}")
    assert codes(campaign) == set()


def test_a_campaign_that_would_never_be_seen_blocks() -> None:
    placement = make_placement()
    first = draft(placement=placement)
    second = draft(placement=placement)
    assert codes(second) == set()
    Campaign.objects.filter(pk=first.pk).update(status=Status.SCHEDULED, starts_at=NOW)
    assert codes(second) == {"overlap"}
    Campaign.objects.filter(pk=first.pk).update(starts_at=NOW + 9 * DAY)
    Campaign.objects.filter(pk=second.pk).update(ends_at=NOW + 8 * DAY)
    assert codes(second) == set()
    Campaign.objects.filter(pk=second.pk).update(ends_at=NOW + 10 * DAY)
    assert codes(second) == {"overlap"}
    audience = save_rule(Audience.objects.create(key="all", name="All"), {})
    Campaign.objects.filter(pk=first.pk).update(audience=audience)
    assert codes(second) == set()
    assert "overlap" in codes(second, blocking=False)


def test_dates_that_leave_no_time_are_found() -> None:
    assert "end" in codes(draft(ends_at=NOW))
    campaign = draft(starts_at=NOW - DAY, ends_at=NOW + DAY)
    assert codes(campaign, blocking=False) == {"start", "too_short", "no_events"}


def test_a_policy_that_cannot_learn_from_its_goal_blocks() -> None:
    campaign = draft(goal=make_metric(kind="mean"), bandit="beta_thompson")
    assert codes(campaign) == {"kind"}
    Policy.objects.update(reward_kind="any")
    assert codes(campaign) == set()


def test_what_offers_cost_is_seen_or_said() -> None:
    offers = [make_offer(cost_cents=100), make_offer(cost_cents=5, currency="SEK"), make_offer()]
    campaign = draft(goal=make_metric(kind="mean"), offers=offers)
    assert codes(campaign) == set()
    assert "costs" in codes(campaign, blocking=False)
    Policy.objects.update(margin=0.4)
    assert codes(campaign) == {"currencies"}
    Offer.objects.update(currency="EUR")
    assert codes(campaign) == set()
    assert "costs" not in codes(campaign, blocking=False)


def test_a_budget_is_spent_where_it_earns_most_only_if_something_can_be_spared() -> None:
    campaign = draft(budget_pacing=Pacing.DUAL, ends_at=NOW + 30 * DAY, bandit="logistic_thompson")
    assert codes(campaign) == {"prices", "nothing_scarce"}
    Policy.objects.update(kind="randomised_ucb")
    Offer.objects.update(cap_total=10)
    assert codes(campaign) == set()
    assert "all_scarce" in codes(campaign, blocking=False)
    Offer.objects.filter(pk=Offer.objects.earliest("pk").pk).update(cap_total=None)
    assert "all_scarce" not in codes(campaign, blocking=False)
