"""Schedule, start, pause and finish campaigns; `reviewing.py` has what is before."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from campaigns.lifecycle.design import describe_campaign, digest_document
from campaigns.lifecycle.preflight import find_issues
from campaigns.models import LIVE, UNSTARTED, Campaign, Status
from campaigns.offers.knowledge import know_offers
from experiments.lifecycle.adjusting import change_weights
from experiments.lifecycle.status import record_change, start_experiment, stop_experiment
from recommender.bandits import SEQUENCE_KINDS
from recommender.models import Policy
from recommender.weighing.contacts import with_contacts
from recommender.weighing.features import FeatureSpec
from wire.notices import announce_change


def schedule_campaign(
    campaign: Campaign, *, by: User | None, now: datetime, reason: str = ""
) -> None:
    """Let an approved campaign start by itself when its time comes.

    Raises:
        ValidationError: It is not approved as it is, has no start that is still to come, or
            something that it needs is missing.
    """
    with transaction.atomic():
        locked = lock_campaign(campaign)
        if locked.status not in {Status.DRAFT, Status.APPROVED}:
            raise _refusal(locked, "scheduled")
        if locked.starts_at is None or locked.starts_at <= now:
            raise ValidationError("Its start is not to come: start it now instead.")
        if settings.REVIEW_IS_REQUIRED:
            check_approval(locked)
        check_issues(locked, now=now)
        record_change(locked.experiment, "campaign scheduled", by=by, now=now, reason=reason)
        set_status(locked, Status.SCHEDULED)
    campaign.refresh_from_db()


def start_campaign(campaign: Campaign, *, by: User | None, now: datetime, reason: str = "") -> None:
    """Let a campaign decide that was not started yet or is paused.

    Nobody starts by hand what nobody else has approved. What has no person behind it, an import or
    a simulation, asks nobody.

    Raises:
        ValidationError: It runs or is over, was not approved as it is, or something that it needs
            is missing.
    """
    with transaction.atomic():
        locked = lock_campaign(campaign)
        if locked.status not in {*UNSTARTED, Status.PAUSED}:
            raise _refusal(locked, "started")
        is_new = locked.status in UNSTARTED
        if is_new and (by is not None or locked.status == Status.SCHEDULED):
            if settings.REVIEW_IS_REQUIRED:
                check_approval(locked)
            check_issues(locked, now=now)
        _check_offers(locked, now=now)
        if is_new:
            start_experiment(locked.experiment, by=by, now=now, reason=reason)
        record_change(locked.experiment, "campaign started", by=by, now=now, reason=reason)
        set_status(locked, Status.RUNNING)
    campaign.refresh_from_db()


def pause_campaign(campaign: Campaign, *, by: User | None, now: datetime, reason: str) -> None:
    """Stop deciding within about a second; the experiment goes on measuring.

    Raises:
        ValidationError: It does not run.
    """
    with transaction.atomic():
        locked = lock_campaign(campaign)
        if locked.status != Status.RUNNING:
            raise _refusal(locked, "paused")
        record_change(locked.experiment, "campaign paused", by=by, now=now, reason=reason)
        set_status(locked, Status.PAUSED)
    campaign.refresh_from_db()


def finish_campaign(campaign: Campaign, *, by: User | None, now: datetime, reason: str) -> None:
    """End the campaign and its experiment for good.

    Raises:
        ValidationError: It was never started or is over.
    """
    with transaction.atomic():
        locked = lock_campaign(campaign)
        if locked.status not in LIVE:
            raise _refusal(locked, "finished")
        record_change(locked.experiment, "campaign finished", by=by, now=now, reason=reason)
        stop_experiment(locked.experiment, by=by, now=now, reason=reason)
        set_status(locked, Status.FINISHED)
    campaign.refresh_from_db()


def divide_campaign(
    campaign: Campaign, weights: Mapping[str, int], *, by: User | None, now: datetime, reason: str
) -> None:
    """Give a running campaign's arms other shares of the customers to come, within about a second.

    Raises:
        ValidationError: Its experiment does not run, or the shares make no comparison.
    """
    change_weights(campaign.experiment, weights, by=by, now=now, reason=reason)
    campaign.refresh_from_db()


def check_approval(campaign: Campaign) -> None:
    """Refuse a campaign that somebody has still to approve, or that is another by now.

    Raises:
        ValidationError: In words for whoever wants to start it.
    """
    review = campaign.reviews.filter(is_approved=True).first()
    if review is None or campaign.status not in {Status.APPROVED, Status.SCHEDULED}:
        raise ValidationError("Somebody else has to approve it first.")
    if review.digest != digest_document(describe_campaign(campaign)):
        raise ValidationError("It was changed since it was approved: ask for another review.")


def check_issues(campaign: Campaign, *, now: datetime) -> None:
    """Refuse a campaign of which the pre-flight says that something has to be put right.

    Raises:
        ValidationError: All that it found.
    """
    blocking = [issue.sentence for issue in find_issues(campaign, now=now) if issue.is_blocking]
    if blocking:
        raise ValidationError(blocking)


def lock_campaign(campaign: Campaign) -> Campaign:
    """Read a campaign again, for nobody else to change until the transaction ends."""
    return (
        Campaign.objects.select_for_update(no_key=True, of=("self",))
        .select_related("experiment", "policy", "placement", "audience", "fallback")
        .get(pk=campaign.pk)
    )


def set_status(campaign: Campaign, status: Status) -> None:
    """Write a status, and let the deciding know; the transitions here and reviews call it."""
    campaign.status = status
    campaign.save(update_fields=["status"])
    announce_change()


def _check_offers(campaign: Campaign, *, now: datetime) -> None:
    """Refuse a campaign without anything to show, and tell its policy what there is."""
    if campaign.ends_at is not None and campaign.ends_at <= now:
        raise ValidationError("The campaign's end has passed.")
    if campaign.policy.ranking is not None:
        if campaign.policy.ranking.served_version is None:
            raise ValidationError(f"{campaign.policy.ranking} serves no version yet.")
        return
    shown = [
        choice
        for choice in campaign.choices.select_related("offer")
        if choice.offer.can_be_shown(now)
    ]
    if not shown:
        raise ValidationError("A campaign needs at least one offer that can be shown.")
    if not any(choice.baseline_weight > 0 for choice in shown):
        raise ValidationError("At least one offer needs a share of the control arm.")
    tell_policy_its_offers(campaign)


def tell_policy_its_offers(campaign: Campaign) -> None:
    """Let the policy know the campaign's offers, and what is known of these.

    What it learned of earlier ones it keeps.
    """
    policy = Policy.objects.select_for_update(no_key=True).get(pk=campaign.policy_id)
    offers = [choice.offer for choice in campaign.choices.select_related("offer")]
    keys = [offer.key for offer in offers]
    known = [] if campaign.status in UNSTARTED else policy.offers
    policy.offers = [*known, *(key for key in keys if key not in known)]
    if campaign.status in UNSTARTED and policy.kind in SEQUENCE_KINDS:
        policy.features = _see_contacts(campaign, policy)
    know_offers(policy, offers)
    policy.save(update_fields=["offers", "offer_facts", "features"])


def _see_contacts(campaign: Campaign, policy: Policy) -> dict[str, Any]:
    """Let a policy that decides over time look at what customers were offered.

    Raises:
        ValidationError: It looks at too much besides.
    """
    given = campaign.choices.filter(offer__is_nothing=False)
    offers = list(given.values_list("offer__key", flat=True))
    try:
        return with_contacts(FeatureSpec.from_json(policy.features), offers).to_json()
    except ValueError as error:
        raise ValidationError(str(error)) from error


def _refusal(campaign: Campaign, deed: str) -> ValidationError:
    label = Status(campaign.status).label.lower()
    return ValidationError(f"{campaign.name} is {label}: it cannot be {deed}.")
