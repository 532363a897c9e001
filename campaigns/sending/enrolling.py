"""Puts the customers of a campaign's audience down for its first message, each once."""

import logging
from datetime import datetime, timedelta
from typing import Any, LiteralString

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet

from audience.audiences.saving import find_rule
from audience.rules.grammar import EVERYBODY
from audience.rules.sql import Compiled, members_of
from campaigns.channels.base import Refused, Unsure
from campaigns.deciding.zones import find_zone
from campaigns.models import ONSITE, Campaign, Enrolment, Status, Step
from campaigns.sending.showing import send_to_seeds
from campaigns.sending.timing import Hours, next_moment
from campaigns.templating.templates import Unrenderable

logger = logging.getLogger(__name__)

# How long after a run another one looks for who joined.
CONTINUOUS_EVERY = timedelta(seconds=30)
ZONE: LiteralString = "COALESCE(customer.attributes ->> 'timezone', '')"

# Of an earlier time in the campaign the last one counts; who never was in it has none.
JOINING: LiteralString = f"""
    SELECT customer.id, {ZONE} AS zone, last.occurrence
    FROM ({{members}}) AS member
    JOIN audience_customer AS customer ON customer.id = member.id
    LEFT JOIN LATERAL (
        SELECT delivery.occurrence, delivery.created_at FROM campaigns_delivery AS delivery
        WHERE delivery.campaign_id = %(campaign)s AND delivery.step_id = %(step)s
          AND delivery.customer_id = customer.id
        ORDER BY delivery.occurrence DESC LIMIT 1) AS last ON true
    WHERE last.occurrence IS NULL OR last.created_at <= %(again)s
"""
ZONES: LiteralString = f"SELECT DISTINCT zone FROM ({JOINING}) AS joining"
ENROL: LiteralString = f"""
    INSERT INTO campaigns_delivery
        (campaign_id, step_id, customer_id, occurrence, state, reason, send_after, attempts,
         offer, provider_id, created_at)
    SELECT %(campaign)s, %(step)s, joining.id, COALESCE(joining.occurrence + 1, 0), 'queued', '',
           due.at, 0, '', '', %(now)s
    FROM ({JOINING}) AS joining
    JOIN unnest(%(zones)s::text[], %(times)s::timestamptz[]) AS due (zone, at) USING (zone)
    ON CONFLICT DO NOTHING
"""


def find_audience_members(campaign: Campaign, *, now: datetime) -> Compiled:
    """Write whom a campaign is for: who is nobody else's other name, and in its audience now."""
    rule = EVERYBODY if campaign.audience is None else find_rule(campaign.audience)
    return members_of(rule, now=now)


def hours_of(campaign: Campaign) -> Hours:
    """Return when a campaign may write."""
    return Hours(campaign.send_time, campaign.quiet_from, campaign.quiet_until)


def enrol_due(*, now: datetime) -> int:
    """Go through every campaign that is sent and runs; return how many customers joined one."""
    joined = 0
    for campaign in find_running():
        joining = enrol(campaign, now=now)
        if joining and campaign.enrolled_at is None:
            _tell_seeds(campaign, now=now)
        joined += joining
    return joined


def find_running() -> QuerySet[Campaign]:
    """Find the campaigns that are sent and run."""
    running = Campaign.objects.filter(status=Status.RUNNING).exclude(placement__channel=ONSITE)
    return running.select_related("audience", "placement")


def _tell_seeds(campaign: Campaign, *, now: datetime) -> None:
    """Let the seed list see what goes out; what is wrong with it keeps nothing back."""
    try:
        send_to_seeds(campaign, now=now)
    except (Refused, Unsure, Unrenderable) as error:
        logger.warning("The seed list was not sent %s: %s", campaign, error)


def enrol(campaign: Campaign, *, now: datetime) -> int:
    """Put down who is to get a campaign and is not yet; return how many.

    All of them or nobody: killed in between, it begins anew, and nobody is put down twice.
    """
    with transaction.atomic():
        locked = (
            Campaign.objects.select_for_update(no_key=True, of=("self",), skip_locked=True)
            .filter(pk=campaign.pk, status=Status.RUNNING)
            .first()
        )
        step = None if locked is None else locked.steps.first()
        if locked is None or step is None or not is_due(locked, now=now):
            return 0
        joined = _enrol(locked, step, now=now)
        locked.enrolled_at = now
        locked.save(update_fields=["enrolled_at"])
    return joined


def is_due(campaign: Campaign, *, now: datetime) -> bool:
    """Tell whether the audience is to be gone through now."""
    if campaign.starts_at is not None and now < campaign.starts_at:
        return False
    if campaign.ends_at is not None and now >= campaign.ends_at:
        return False
    if campaign.enrolled_at is None:
        return True
    if campaign.enrolment == Enrolment.CONTINUOUS:
        return now - campaign.enrolled_at >= CONTINUOUS_EVERY
    again = campaign.again_after_days
    return again is not None and now - campaign.enrolled_at >= timedelta(days=again)


def _enrol(campaign: Campaign, step: Step, *, now: datetime) -> int:
    members = find_audience_members(campaign, now=now)
    again = campaign.again_after_days
    params: dict[str, Any] = {
        **members.params,
        "campaign": campaign.pk,
        "step": step.pk,
        "now": now,
        # Without a time after which it comes again nothing was long enough ago.
        "again": None if again is None else now - timedelta(days=again),
    }
    hours, earliest = hours_of(campaign), now + timedelta(minutes=step.wait_minutes)
    with connection.cursor() as cursor:
        cursor.execute(ZONES.format(members=members.sql), params)
        zones = [row[0] for row in cursor.fetchall()]
        times = [
            next_moment(hours, earliest, zone=find_zone(name, otherwise=settings.SITE_ZONE))
            for name in zones
        ]
        cursor.execute(
            ENROL.format(members=members.sql), {**params, "zones": zones, "times": times}
        )
        return int(cursor.rowcount)
