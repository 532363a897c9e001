"""Let a second person see an experiment before customers do: ask, answer, take back."""

from datetime import datetime

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from experiments.lifecycle.design import digest_design
from experiments.lifecycle.preflight import find_issues
from experiments.lifecycle.status import check_design, lock, record_change, require
from experiments.models import UNSTARTED, Experiment, Review, Status


def request_review(experiment: Experiment, *, by: User, now: datetime, note: str = "") -> None:
    """Ask somebody else to agree with a draft as it is now.

    Raises:
        ValidationError: It is no draft, or something has to be put right first.
    """
    with transaction.atomic():
        locked = lock(experiment)
        require(locked, Status.DRAFT, message="Only a draft can be sent to review.")
        check_design(locked)
        blocking = [issue.sentence for issue in find_issues(locked, now=now) if issue.is_blocking]
        if blocking:
            raise ValidationError(blocking)
        Review.objects.create(
            experiment=locked, digest=digest_design(locked), requested_by=by, requested_at=now
        )
        locked.status = Status.IN_REVIEW
        locked.save(update_fields=["status"])
        record_change(locked, "review requested", by=by, now=now, reason=note)
    experiment.refresh_from_db()


def answer_review(
    experiment: Experiment, *, by: User, now: datetime, is_approved: bool, note: str = ""
) -> None:
    """Approve what was asked for, or send it back to be changed.

    Raises:
        ValidationError: Nothing was asked, or by the same person.
    """
    with transaction.atomic():
        locked = lock(experiment)
        require(locked, Status.IN_REVIEW, message="There is no open review.")
        review = locked.reviews.select_for_update().get(answered_at=None)
        if review.requested_by_id == by.pk:
            # The database says so too (`nobody_answers_their_own_review`).
            raise ValidationError("Somebody other than who asked has to answer a review.")
        review.answered_by, review.answered_at = by, now
        review.is_approved, review.note = is_approved, note
        review.save()
        locked.status = Status.APPROVED if is_approved else Status.DRAFT
        locked.save(update_fields=["status"])
        done = "approved" if is_approved else "sent back"
        record_change(locked, done, by=by, now=now, reason=note)
    experiment.refresh_from_db()


def reopen_draft(experiment: Experiment, *, by: User, now: datetime) -> None:
    """Go back to a draft, to change it; an approval given or asked for is void by that.

    Raises:
        ValidationError: It was started.
    """
    with transaction.atomic():
        locked = lock(experiment)
        require(locked, *UNSTARTED, message="Only what was not started can be changed.")
        if locked.status != Status.DRAFT:
            locked.reviews.filter(answered_at=None).delete()
            locked.status = Status.DRAFT
            locked.save(update_fields=["status"])
            record_change(locked, "changed, which voids its review", by=by, now=now)
    experiment.refresh_from_db()
