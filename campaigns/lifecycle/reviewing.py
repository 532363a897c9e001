"""Let a second person see a campaign before customers do: ask, answer, take back."""

from datetime import datetime

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from campaigns.lifecycle.design import describe_campaign, digest_document
from campaigns.lifecycle.preflight import count_audience
from campaigns.lifecycle.status import check_issues, lock_campaign, set_status
from campaigns.models import UNSTARTED, Campaign, CampaignReview, Status
from experiments.lifecycle.status import record_change


def request_review(campaign: Campaign, *, by: User, now: datetime, note: str = "") -> None:
    """Ask somebody else to agree with a draft as it is now.

    Raises:
        ValidationError: It is no draft, or something has to be put right first.
    """
    with transaction.atomic():
        locked = lock_campaign(campaign)
        if locked.status != Status.DRAFT:
            raise ValidationError("Only a draft can be sent to review.")
        check_issues(locked, now=now)
        document = describe_campaign(locked)
        CampaignReview.objects.create(
            campaign=locked,
            document=document,
            digest=digest_document(document),
            audience_size=count_audience(locked),
            requested_by=by,
            requested_at=now,
        )
        set_status(locked, Status.IN_REVIEW)
        record_change(locked.experiment, "review requested", by=by, now=now, reason=note)
    campaign.refresh_from_db()


def answer_review(
    campaign: Campaign, *, by: User, now: datetime, is_approved: bool, note: str = ""
) -> None:
    """Approve what was asked for, or send it back to be changed.

    Raises:
        ValidationError: Nothing was asked, or by the same person, or it is another by now.
    """
    with transaction.atomic():
        locked = lock_campaign(campaign)
        if locked.status != Status.IN_REVIEW:
            raise ValidationError("There is no open review.")
        review = locked.reviews.select_for_update().get(answered_at=None)
        if review.requested_by_id == by.pk:
            # The database says so too (`nobody_approves_their_own_campaign`).
            raise ValidationError("Somebody other than who asked has to answer a review.")
        if is_approved and review.digest != digest_document(describe_campaign(locked)):
            raise ValidationError(
                "It was changed since it was asked for, perhaps by a change of an offer or of the "
                "audience: send it back, so that it is asked for again."
            )
        review.answered_by, review.answered_at = by, now
        review.is_approved, review.note = is_approved, note
        review.save()
        set_status(locked, Status.APPROVED if is_approved else Status.DRAFT)
        done = "approved" if is_approved else "sent back"
        record_change(locked.experiment, done, by=by, now=now, reason=note)
    campaign.refresh_from_db()


def reopen_draft(
    campaign: Campaign, *, by: User | None, now: datetime, reason: str = "changed"
) -> None:
    """Go back to a draft, to change it; an approval given or asked for is void by that.

    Raises:
        ValidationError: It was started.
    """
    with transaction.atomic():
        locked = lock_campaign(campaign)
        if locked.status not in UNSTARTED:
            raise ValidationError("Only what was not started can be changed.")
        if locked.status != Status.DRAFT:
            locked.reviews.filter(answered_at=None).delete()
            set_status(locked, Status.DRAFT)
            record_change(
                locked.experiment,
                "back to draft, which voids its review",
                by=by,
                now=now,
                reason=reason,
            )
    campaign.refresh_from_db()
