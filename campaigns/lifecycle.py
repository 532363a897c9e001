"""Start, pause and finish campaigns. Nothing else changes a status."""

from collections.abc import Mapping
from datetime import datetime

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from campaigns.models import Campaign, Status
from experiments.lifecycle import record_change, start_experiment, stop_experiment
from experiments.steering import change_weights
from recommender.models import Policy
from wire.notices import announce_change


def start_campaign(campaign: Campaign, *, by: User | None, now: datetime, reason: str = "") -> None:
    """Let a draft, or a paused campaign, decide.

    Raises:
        ValidationError: It runs or is over, or something that it needs is missing.
    """
    with transaction.atomic():
        locked = _lock(campaign)
        if locked.status not in {Status.DRAFT, Status.PAUSED}:
            raise _refusal(locked, "started")
        _check_offers(locked, now=now)
        if locked.status == Status.DRAFT:
            start_experiment(locked.experiment, by=by, now=now, reason=reason)
        record_change(locked.experiment, "campaign started", by=by, now=now, reason=reason)
        _set_status(locked, Status.RUNNING)
    campaign.refresh_from_db()


def pause_campaign(campaign: Campaign, *, by: User | None, now: datetime, reason: str) -> None:
    """Stop deciding within about a second; the experiment goes on measuring.

    Raises:
        ValidationError: It does not run.
    """
    with transaction.atomic():
        locked = _lock(campaign)
        if locked.status != Status.RUNNING:
            raise _refusal(locked, "paused")
        record_change(locked.experiment, "campaign paused", by=by, now=now, reason=reason)
        _set_status(locked, Status.PAUSED)
    campaign.refresh_from_db()


def finish_campaign(campaign: Campaign, *, by: User | None, now: datetime, reason: str) -> None:
    """End the campaign and its experiment for good.

    Raises:
        ValidationError: It was never started or is over.
    """
    with transaction.atomic():
        locked = _lock(campaign)
        if locked.status not in {Status.RUNNING, Status.PAUSED}:
            raise _refusal(locked, "finished")
        record_change(locked.experiment, "campaign finished", by=by, now=now, reason=reason)
        stop_experiment(locked.experiment, by=by, now=now, reason=reason)
        _set_status(locked, Status.FINISHED)
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


def _lock(campaign: Campaign) -> Campaign:
    return (
        Campaign.objects.select_for_update(no_key=True, of=("self",))
        .select_related("experiment", "policy")
        .get(pk=campaign.pk)
    )


def _set_status(campaign: Campaign, status: Status) -> None:
    campaign.status = status
    campaign.save(update_fields=["status"])
    announce_change()


def _check_offers(campaign: Campaign, *, now: datetime) -> None:
    """Refuse a campaign without anything to show, and tell its policy what there is."""
    shown = [
        choice
        for choice in campaign.choices.select_related("offer")
        if choice.offer.is_active and not (choice.offer.ends_at and choice.offer.ends_at <= now)
    ]
    if not shown:
        raise ValidationError("A campaign needs at least one offer that can be shown.")
    if not any(choice.baseline_weight > 0 for choice in shown):
        raise ValidationError("At least one offer needs a share of the control arm.")
    if campaign.ends_at is not None and campaign.ends_at <= now:
        raise ValidationError("The campaign's end has passed.")
    tell_policy_its_offers(campaign)


def tell_policy_its_offers(campaign: Campaign) -> None:
    """Let the policy know the campaign's offers; what it learned of earlier ones it keeps."""
    policy = Policy.objects.select_for_update(no_key=True).get(pk=campaign.policy_id)
    keys = list(campaign.choices.values_list("offer__key", flat=True))
    known = [] if campaign.status == Status.DRAFT else policy.offers
    policy.offers = [*known, *(key for key in keys if key not in known)]
    policy.save(update_fields=["offers"])


def _refusal(campaign: Campaign, deed: str) -> ValidationError:
    label = Status(campaign.status).label.lower()
    return ValidationError(f"{campaign.name} is {label}: it cannot be {deed}.")
