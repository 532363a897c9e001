"""Keeps campaigns to their dates: starts what is scheduled, finishes what is over."""

import logging
from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from campaigns.lifecycle.reviewing import reopen_draft
from campaigns.lifecycle.status import finish_campaign, start_campaign
from campaigns.models import LIVE, Campaign, Status

logger = logging.getLogger(__name__)

ENDED = "its end has passed, and what it earned has been counted"


def start_due(*, now: datetime) -> int:
    """Start the campaigns whose time has come, and return how many were.

    One that cannot be started goes back to its makers, with the reason.
    """
    started = 0
    for campaign in Campaign.objects.filter(status=Status.SCHEDULED, starts_at__lte=now):
        try:
            start_campaign(campaign, by=None, now=now, reason="as scheduled")
        except ValidationError as error:
            why = " ".join(error.messages)
            logger.warning("%s could not be started: %s", campaign, why)
            _give_back(campaign, now=now, reason=f"could not be started: {why}")
        else:
            started += 1
    return started


def finish_due(*, now: datetime) -> int:
    """Finish the campaigns that are over, once the last decision was credited; return how many."""
    finished = 0
    for campaign in find_ended(now=now):
        window = timedelta(seconds=campaign.policy.reward_window_seconds)
        if campaign.ends_at is not None and campaign.ends_at + window <= now:
            finish_campaign(campaign, by=None, now=now, reason=ENDED)
            finished += 1
    return finished


def find_ended(*, now: datetime) -> QuerySet[Campaign]:
    """Find the campaigns that still count as live after their end."""
    return Campaign.objects.filter(status__in=LIVE, ends_at__lte=now).select_related("policy")


def _give_back(campaign: Campaign, *, now: datetime, reason: str) -> None:
    try:
        reopen_draft(campaign, by=None, now=now, reason=reason[:1000])
    except ValidationError:
        # Somebody was quicker.
        logger.info("%s is scheduled no more", campaign)
