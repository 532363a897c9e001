"""How often a customer may be written to by a channel, over all campaigns.

What may have left counts: what was sent, what is on its way, and what is in doubt.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, LiteralString

from django.db import connection

from campaigns.deciding.limits import opens_at, say_window
from campaigns.models import Cap, Counted

# Whoever looks at a customer's messages waits for another worker that is about to send one.
TAKE_TURNS: LiteralString = """
    SELECT id FROM audience_customer WHERE id = ANY(%(ids)s) ORDER BY id FOR NO KEY UPDATE
"""
COUNT: LiteralString = """
    SELECT asked.place, count(delivery.id)
    FROM unnest(%(ids)s::bigint[], %(since)s::timestamptz[])
        WITH ORDINALITY AS asked (id, since, place)
    JOIN campaigns_delivery AS delivery ON delivery.customer_id = asked.id
    JOIN campaigns_campaign AS campaign ON campaign.id = delivery.campaign_id
    JOIN campaigns_placement AS placement ON placement.id = campaign.placement_id
    WHERE placement.channel = %(channel)s
      AND ((delivery.state IN ('sent', 'bounced') AND delivery.sent_at >= asked.since)
           OR delivery.state = 'in_doubt'
           OR (delivery.state = 'leased' AND delivery.provider_id <> ''))
    GROUP BY asked.place
"""
EVER = datetime(1970, 1, 1, tzinfo=UTC)


def find_channel_caps(channel: str) -> Sequence[Cap]:
    """Return how often a channel may be used for one customer."""
    return list(Cap.objects.filter(channel=channel, is_per_customer=True, counts=Counted.DECISION))


def take_turns(ids: Sequence[int]) -> None:
    """Keep others from sending anything to these customers until the transaction at hand ends."""
    with connection.cursor() as cursor:
        cursor.execute(TAKE_TURNS, {"ids": list(ids)})


def find_capped(
    caps: Sequence[Cap], customers: Mapping[int, Any], *, channel: str, now: datetime
) -> Mapping[int, str]:
    """Return who got as many messages as one may, and the limit in words.

    Args:
        caps: The channel's.
        customers: The zone of each customer's clock, by the customer's id.
        channel: Which channel.
        now: The time.
    """
    capped: dict[int, str] = {}
    ids = list(customers)
    for cap in caps:
        opened = (opens_at(cap.window, now, customers[id_], hours=cap.hours) for id_ in ids)
        since = [at or EVER for at in opened]
        within = say_window(cap.window, hours=cap.hours) or "so far"
        with connection.cursor() as cursor:
            cursor.execute(COUNT, {"ids": ids, "since": since, "channel": channel})
            counts = {ids[place - 1]: times for place, times in cursor.fetchall()}
        for id_, times in counts.items():
            if times >= cap.limit:
                capped.setdefault(id_, f"The customer got {times} messages {within}.")
    return capped
