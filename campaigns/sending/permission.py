"""Which customers may be written to now, and why not the others."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, LiteralString

from django.db import connection

from audience.audiences.saving import find_holding
from audience.consent.record import find_refusals
from audience.models import Channel
from audience.rules.grammar import NoRule
from campaigns.models import Campaign, Step
from campaigns.sending.claiming import Claimed
from campaigns.sending.step_conditions import resolve_condition

GOAL = "The customer reached the goal."
NOT_MET = "The step's condition does not hold for the customer."

REACHED: LiteralString = """
    SELECT asked.id FROM unnest(%(ids)s::bigint[], %(since)s::timestamptz[]) AS asked (id, since)
    WHERE EXISTS (
        SELECT FROM audience_customer AS same
        JOIN audience_event AS event ON event.customer_id = same.id
        WHERE (same.id = asked.id OR same.merged_into_id = asked.id)
          AND event.name = %(event)s AND event.occurred_at >= asked.since)
"""
JOINED: LiteralString = """
    SELECT DISTINCT ON (delivery.customer_id) delivery.customer_id, delivery.created_at
    FROM campaigns_delivery AS delivery
    JOIN unnest(%(ids)s::bigint[], %(occurrences)s::integer[]) AS asked (id, occurrence)
      ON delivery.customer_id = asked.id AND delivery.occurrence = asked.occurrence
    WHERE delivery.campaign_id = %(campaign)s
    ORDER BY delivery.customer_id, delivery.created_at
"""

logger = logging.getLogger(__name__)


def find_objections(
    customer_ids: Sequence[int], *, channel: str, purpose: str
) -> Mapping[int, str]:
    """Return who may not be written to, and why; it is asked right before anything leaves.

    Args:
        customer_ids: Of a batch.
        channel: By what.
        purpose: About what.
    """
    refusals = find_refusals(customer_ids, channel=Channel(channel), purpose=purpose)
    return {id_: f"{refusal.label}." for id_, refusal in refusals.items()}


def find_arrived(
    campaign: Campaign, claimed: Sequence[Claimed], *, event: str
) -> Mapping[int, str]:
    """Return whose goal is reached since they joined the campaign, by delivery."""
    if not claimed or not campaign.stops_on_goal or not event:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            JOINED,
            {
                "campaign": campaign.pk,
                "ids": [each.customer_id for each in claimed],
                "occurrences": [each.occurrence for each in claimed],
            },
        )
        joined = dict(cursor.fetchall())
        params: dict[str, Any] = {
            "ids": [each.customer_id for each in claimed],
            "since": [joined.get(each.customer_id, each.created_at) for each in claimed],
            "event": event,
        }
        cursor.execute(REACHED, params)
        arrived = {row[0] for row in cursor.fetchall()}
    return {each.id: GOAL for each in claimed if each.customer_id in arrived}


def find_unmet(step: Step, claimed: Sequence[Claimed], *, now: datetime) -> Mapping[int, str]:
    """Return for whom a step's condition does not hold, by delivery."""
    if not step.only_if or not claimed:
        return {}
    try:
        rule = resolve_condition(step)
    except NoRule:
        logger.exception("The condition of %s means nothing, so nobody meets it", step)
        return {each.id: NOT_MET for each in claimed}
    meets = find_holding(rule, [each.customer_id for each in claimed], now=now)
    return {each.id: NOT_MET for each in claimed if each.customer_id not in meets}
