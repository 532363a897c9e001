"""What customers are to see, a second person sees first."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError

from audience.audiences.saving import save_rule
from audience.models import Audience
from campaigns.lifecycle.cloning import clone_campaign
from campaigns.lifecycle.reviewing import answer_review, reopen_draft, request_review
from campaigns.lifecycle.scheduling import finish_due, start_due
from campaigns.lifecycle.status import schedule_campaign, start_campaign
from campaigns.models import Campaign, CampaignReview, Cap, Message, Offer, Status, Step
from tests.makers import DAY, HOUR, NOW, make_campaign, make_customers, make_user, unique

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann() -> User:
    return make_user()


@pytest.fixture
def bob() -> User:
    return make_user()


def in_countries(*countries: str) -> dict[str, Any]:
    return {"all": [{"attribute": "country", "is": "one of", "value": list(countries)}]}


def make_audience() -> Audience:
    audience = Audience.objects.create(key=unique("audience"), name="Germans")
    return save_rule(audience, in_countries("de"))


def approved(ann: User, bob: User, **plan: Any) -> Campaign:
    campaign = make_campaign(started_at=None, **plan)
    request_review(campaign, by=ann, now=NOW)
    answer_review(campaign, by=bob, now=NOW, is_approved=True)
    return campaign


def test_what_somebody_else_approved_can_be_started(ann: User, bob: User) -> None:
    campaign = approved(ann, bob)
    assert campaign.status == Status.APPROVED
    start_campaign(campaign, by=ann, now=NOW)
    assert campaign.status == Status.RUNNING


def test_nobody_starts_what_nobody_approved(ann: User) -> None:
    campaign = make_campaign(started_at=None)
    with pytest.raises(ValidationError, match="Somebody else has to approve"):
        start_campaign(campaign, by=ann, now=NOW)
    request_review(campaign, by=ann, now=NOW)
    with pytest.raises(ValidationError, match="Somebody else has to approve"):
        start_campaign(campaign, by=ann, now=NOW)


def test_without_the_rule_a_draft_can_be_started(ann: User, settings: LazySettings) -> None:
    settings.REVIEW_IS_REQUIRED = False
    campaign = make_campaign(started_at=None)
    start_campaign(campaign, by=ann, now=NOW)
    assert campaign.status == Status.RUNNING


def test_nobody_answers_their_own_review(ann: User) -> None:
    campaign = make_campaign(started_at=None)
    request_review(campaign, by=ann, now=NOW)
    with pytest.raises(ValidationError, match="other than who asked"):
        answer_review(campaign, by=ann, now=NOW, is_approved=True)
    review = CampaignReview.objects.get()
    review.answered_by, review.answered_at, review.is_approved = ann, NOW, True
    with pytest.raises(IntegrityError, match="nobody_approves_their_own_campaign"):
        review.save()


def test_what_was_sent_back_is_a_draft_again(ann: User, bob: User) -> None:
    campaign = make_campaign(started_at=None)
    request_review(campaign, by=ann, now=NOW)
    answer_review(campaign, by=bob, now=NOW, is_approved=False, note="wrong price")
    assert campaign.status == Status.DRAFT
    assert campaign.experiment.changes.latest("id").reason == "wrong price"
    request_review(campaign, by=ann, now=NOW)
    assert campaign.status == Status.IN_REVIEW


def test_a_draft_taken_back_has_to_be_approved_again(ann: User, bob: User) -> None:
    campaign = approved(ann, bob)
    reopen_draft(campaign, by=ann, now=NOW)
    with pytest.raises(ValidationError, match="Somebody else has to approve"):
        start_campaign(campaign, by=ann, now=NOW)
    start_campaign(campaign, by=None, now=NOW)
    with pytest.raises(ValidationError, match="not started"):
        reopen_draft(campaign, by=ann, now=NOW)


@pytest.mark.parametrize("what", ["offer", "budget", "limit", "hours", "arms"])
def test_a_change_behind_the_reviewers_back_voids_the_approval(
    ann: User, bob: User, what: str
) -> None:
    campaign = make_campaign(started_at=None)
    Cap.objects.create(campaign=campaign, limit=3, window="rolling", hours=24)
    request_review(campaign, by=ann, now=NOW)
    answer_review(campaign, by=bob, now=NOW, is_approved=True)
    match what:
        case "offer":
            Offer.objects.filter(campaigns=campaign).update(headline="Everything is free")
        case "budget":
            Campaign.objects.update(budget_cents=10**9)
        case "limit":
            Cap.objects.create(campaign=campaign, limit=3, window="ever")
        case "hours":
            Cap.objects.update(hours=1)
        case "arms":
            campaign.experiment.arms.filter(key="hold-out").update(weight=1)
    with pytest.raises(ValidationError, match="changed since it was approved"):
        start_campaign(campaign, by=ann, now=NOW)


def test_what_was_changed_since_it_was_asked_for_cannot_be_approved(ann: User, bob: User) -> None:
    campaign = make_campaign(started_at=None)
    request_review(campaign, by=ann, now=NOW)
    Offer.objects.filter(campaigns=campaign).update(headline="Everything is free")
    with pytest.raises(ValidationError, match="send it back"):
        answer_review(campaign, by=bob, now=NOW, is_approved=True)


def test_an_audience_that_is_another_one_by_now_voids_the_approval(ann: User, bob: User) -> None:
    make_customers(4, attributes={"country": "de"})
    make_customers(4, attributes={"country": "fr"})
    audience = make_audience()
    campaign = approved(ann, bob, audience=audience)
    assert CampaignReview.objects.get().audience_size == 4
    save_rule(audience, in_countries("de", "fr"))
    with pytest.raises(ValidationError, match="changed since it was approved"):
        start_campaign(campaign, by=ann, now=NOW)


def test_an_audience_that_grew_much_needs_another_look(ann: User, bob: User) -> None:
    make_customers(4, attributes={"country": "de"})
    campaign = approved(ann, bob, audience=make_audience())
    make_customers(1, attributes={"country": "de"})
    make_customers(2, attributes={"country": "de"})
    with pytest.raises(ValidationError, match="7 customers, and had 4"):
        start_campaign(campaign, by=ann, now=NOW)


def test_a_scheduled_campaign_starts_and_finishes_by_itself(ann: User, bob: User) -> None:
    campaign = approved(ann, bob, starts_at=NOW + DAY, ends_at=NOW + 9 * DAY)
    schedule_campaign(campaign, by=ann, now=NOW)
    assert start_due(now=NOW) == 0
    assert start_due(now=NOW + DAY) == 1
    campaign.refresh_from_db()
    assert campaign.status == Status.RUNNING
    window = timedelta(seconds=campaign.policy.reward_window_seconds)
    assert finish_due(now=NOW + 9 * DAY) == 0
    assert finish_due(now=NOW + 9 * DAY + window) == 1
    campaign.refresh_from_db()
    assert campaign.status == Status.FINISHED


def test_only_what_is_approved_and_has_a_start_can_be_scheduled(ann: User, bob: User) -> None:
    with pytest.raises(ValidationError, match="approve it first"):
        schedule_campaign(make_campaign(started_at=None, starts_at=NOW + DAY), by=ann, now=NOW)
    campaign = approved(ann, bob)
    with pytest.raises(ValidationError, match="start it now"):
        schedule_campaign(campaign, by=ann, now=NOW)
    start_campaign(campaign, by=ann, now=NOW)
    with pytest.raises(ValidationError, match="cannot be scheduled"):
        schedule_campaign(campaign, by=ann, now=NOW)


def test_a_scheduled_campaign_that_cannot_start_goes_back_with_the_reason(
    ann: User, bob: User
) -> None:
    campaign = approved(ann, bob, starts_at=NOW + HOUR)
    schedule_campaign(campaign, by=ann, now=NOW)
    Offer.objects.filter(campaigns=campaign).update(is_active=False)
    assert start_due(now=NOW + HOUR) == 0
    campaign.refresh_from_db()
    assert campaign.status == Status.DRAFT
    assert "changed since it was approved" in campaign.experiment.changes.latest("id").reason


def test_a_copy_says_the_same_and_has_everything_before_it(ann: User, bob: User) -> None:
    campaign = approved(ann, bob, budget_cents=700, audience=None)
    Cap.objects.create(campaign=campaign, limit=3, window="rolling", hours=24)
    step = Step.objects.create(campaign=campaign, name="Hello")
    Message.objects.create(step=step, subject="Hi", body="Hello")
    copy = clone_campaign(campaign, by=ann, now=NOW)
    assert copy.status == Status.DRAFT
    assert copy.key != campaign.key
    assert copy.experiment.seed != campaign.experiment.seed
    assert copy.budget_cents == 700
    assert [str(cap) for cap in copy.caps.all()] == [str(cap) for cap in campaign.caps.all()]
    assert [message.subject for step in copy.steps.all() for message in step.messages.all()] == [
        "Hi"
    ]
    assert list(copy.choices.values_list("offer")) == list(campaign.choices.values_list("offer"))
    with pytest.raises(ValidationError, match="would never be seen"):
        request_review(copy, by=ann, now=NOW)
    Campaign.objects.filter(pk=campaign.pk).update(status=Status.FINISHED)
    request_review(copy, by=ann, now=NOW)
