"""A second person agrees before customers meet an experiment, and agrees with what it is."""

import pytest
from django.conf import LazySettings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from experiments.lifecycle.reviewing import answer_review, reopen_draft, request_review
from experiments.lifecycle.status import start_experiment
from experiments.models import Experiment, Metric, Review, Status
from tests.makers import (
    HOUR,
    NOW,
    make_customer,
    make_event,
    make_experiment,
    make_metric,
    make_user,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def draft() -> Experiment:
    """A draft with nothing to put right."""
    make_event(make_customer(), "Order Completed", at=NOW - HOUR)
    return make_experiment(guardrails={make_metric(): None}, is_standalone=True, started_at=None)


def test_what_somebody_else_approved_can_be_started(draft: Experiment) -> None:
    ann, bob = make_user(), make_user()
    request_review(draft, by=ann, now=NOW, note="please")
    assert draft.status == Status.IN_REVIEW
    answer_review(draft, by=bob, now=NOW, is_approved=True, note="fine")
    assert draft.status == Status.APPROVED
    start_experiment(draft, by=ann, now=NOW)
    assert draft.status == Status.RUNNING
    review = draft.reviews.get()
    assert (review.requested_by, review.answered_by, review.note) == (ann, bob, "fine")
    assert list(draft.changes.values_list("action", "reason")) == [
        ("started", ""),
        ("approved", "fine"),
        ("review requested", "please"),
    ]


def test_nobody_approves_what_they_asked_for(draft: Experiment) -> None:
    ann = make_user()
    request_review(draft, by=ann, now=NOW)
    with pytest.raises(ValidationError, match="other than who asked"):
        answer_review(draft, by=ann, now=NOW, is_approved=True)
    with pytest.raises(IntegrityError, match="nobody_answers"), transaction.atomic():
        Review.objects.update(answered_by=ann, answered_at=NOW, is_approved=True)


def test_what_was_sent_back_is_a_draft_again(draft: Experiment) -> None:
    request_review(draft, by=make_user(), now=NOW)
    answer_review(draft, by=make_user(), now=NOW, is_approved=False, note="no margin")
    assert draft.status == Status.DRAFT
    with pytest.raises(ValidationError, match="Only what is approved"):
        start_experiment(draft, by=None, now=NOW)


def test_a_change_voids_the_review(draft: Experiment) -> None:
    ann = make_user()
    request_review(draft, by=ann, now=NOW)
    reopen_draft(draft, by=ann, now=NOW)
    assert (draft.status, draft.reviews.count()) == (Status.DRAFT, 0)
    request_review(draft, by=ann, now=NOW)
    answer_review(draft, by=make_user(), now=NOW, is_approved=True)
    reopen_draft(draft, by=ann, now=NOW)
    with pytest.raises(ValidationError, match="Only what is approved"):
        start_experiment(draft, by=ann, now=NOW)


def test_a_metric_that_changed_since_voids_it_too(draft: Experiment) -> None:
    request_review(draft, by=make_user(), now=NOW)
    answer_review(draft, by=make_user(), now=NOW, is_approved=True)
    goal = draft.measured.get(role="goal").metric
    Metric.objects.filter(pk=goal.pk).update(params={"event": "Something Else"})
    with pytest.raises(ValidationError, match="no longer what was approved"):
        start_experiment(draft, by=None, now=NOW)


def test_what_has_to_be_put_right_is_not_sent_to_review() -> None:
    bare = make_experiment(is_standalone=True, started_at=None)
    with pytest.raises(ValidationError) as caught:
        request_review(bare, by=make_user(), now=NOW)
    assert any("guardrail" in message for message in caught.value.messages)
    assert any("no such event came" in message for message in caught.value.messages)
    assert bare.status == Status.DRAFT


def test_two_reviews_at_once_are_one(draft: Experiment) -> None:
    request_review(draft, by=make_user(), now=NOW)
    with pytest.raises(ValidationError, match="Only a draft"):
        request_review(draft, by=make_user(), now=NOW)
    with pytest.raises(ValidationError, match="no open review"):
        answer_review(make_experiment(), by=make_user(), now=NOW, is_approved=True)


def test_what_runs_cannot_be_made_a_draft(draft: Experiment) -> None:
    with pytest.raises(ValidationError, match="not started"):
        reopen_draft(make_experiment(), by=make_user(), now=NOW)


def test_a_site_may_do_without_reviews(draft: Experiment, settings: LazySettings) -> None:
    settings.REVIEW_IS_REQUIRED = False
    start_experiment(draft, by=None, now=NOW)
    assert draft.status == Status.RUNNING
