"""Takes deliveries that are due, so that no other worker does, and says what became of them.

A delivery is leased first, and begun before its message leaves: by writing down the name that the
receiving side will know it by. Both are committed before anything is sent. If the lease runs out,
what was not begun waits again, and of what was begun nobody knows whether it went: it is in doubt.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

import msgspec
from django.db import connection

# Longer than any batch takes. A worker that is slower finds its deliveries with somebody else.
LEASE = timedelta(seconds=60)

CLAIM: LiteralString = """
    WITH due AS (
        SELECT id FROM campaigns_delivery
        WHERE campaign_id = %(campaign)s AND state = 'queued' AND send_after <= %(now)s
        ORDER BY send_after, id LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    ), leased AS (
        UPDATE campaigns_delivery AS delivery
        SET state = 'leased', leased_until = %(until)s, provider_id = ''
        FROM due WHERE delivery.id = due.id
        RETURNING delivery.*)
    SELECT leased.id, leased.step_id, leased.customer_id, leased.occurrence, leased.attempts,
           leased.decision_id, leased.offer, leased.reason, leased.created_at,
           customer.external_key, customer.attributes, customer.merged_into_id,
           (SELECT value FROM audience_identity
            WHERE customer_id = customer.id AND kind = 'email' ORDER BY id LIMIT 1)
    FROM leased JOIN audience_customer AS customer ON customer.id = leased.customer_id
    ORDER BY leased.send_after, leased.id
"""
# The place of the customer's attributes among these columns.
ATTRIBUTES = 10
# Only what is still leased by this very lease, of a campaign that runs at this moment.
BEGIN: LiteralString = """
    UPDATE campaigns_delivery AS delivery
    SET provider_id = named.message_id, attempts = delivery.attempts + 1
    FROM unnest(%(ids)s::bigint[], %(message_ids)s::text[]) AS named (id, message_id),
         campaigns_campaign AS campaign
    WHERE delivery.id = named.id AND delivery.state = 'leased' AND delivery.provider_id = ''
      AND delivery.leased_until = %(until)s
      AND campaign.id = delivery.campaign_id AND campaign.status = 'running'
    RETURNING delivery.id
"""
UNBEGIN: LiteralString = """
    UPDATE campaigns_delivery SET provider_id = '', attempts = GREATEST(attempts - 1, 0)
    WHERE id = ANY(%(ids)s) AND state = 'leased' AND leased_until = %(until)s
"""
GIVE_BACK: LiteralString = """
    UPDATE campaigns_delivery SET state = 'queued', leased_until = NULL
    WHERE id = ANY(%(ids)s) AND state = 'leased' AND leased_until = %(until)s AND provider_id = ''
"""
EXPIRE: LiteralString = """
    UPDATE campaigns_delivery
    SET state = CASE provider_id WHEN '' THEN 'queued' ELSE 'in_doubt' END,
        reason = CASE provider_id WHEN '' THEN reason ELSE %(reason)s END,
        leased_until = NULL
    WHERE id IN (SELECT id FROM campaigns_delivery
                 WHERE state = 'leased' AND leased_until < %(now)s
                 ORDER BY leased_until LIMIT 10000 FOR UPDATE SKIP LOCKED)
    RETURNING state
"""
DOUBT: LiteralString = """
    UPDATE campaigns_delivery SET state = 'in_doubt', reason = %(reason)s, leased_until = NULL
    WHERE state = 'leased'
       OR (state = 'queued' AND (send_after <= %(now)s OR created_at >= %(now)s))
    RETURNING campaign_id
"""
# A worker that was slow may still know what became of what was taken for doubtful meanwhile.
RECORD: LiteralString = """
    UPDATE campaigns_delivery AS delivery
    SET state = told.state, reason = told.reason, leased_until = NULL,
        sent_at = CASE WHEN told.state = 'sent' THEN %(now)s ELSE delivery.sent_at END,
        send_after = COALESCE(told.again_at, delivery.send_after),
        provider_id = CASE WHEN told.state = 'queued' THEN ''
                           ELSE COALESCE(NULLIF(told.provider_id, ''), delivery.provider_id) END
    FROM unnest(%(ids)s::bigint[], %(states)s::text[], %(reasons)s::text[],
                %(again)s::timestamptz[], %(provider_ids)s::text[])
        AS told (id, state, reason, again_at, provider_id)
    WHERE delivery.id = told.id
      AND ((delivery.state = 'leased' AND delivery.leased_until = %(until)s)
           OR (delivery.state = 'in_doubt' AND told.state <> 'queued'))
    RETURNING delivery.id
"""
FOLLOW: LiteralString = """
    INSERT INTO campaigns_delivery
        (campaign_id, step_id, customer_id, occurrence, state, reason, send_after, attempts,
         offer, provider_id, created_at)
    SELECT done.campaign_id, next.step_id, done.customer_id, done.occurrence, 'queued', '',
           next.send_after, 0, '', '', %(now)s
    FROM unnest(%(ids)s::bigint[], %(steps)s::bigint[], %(times)s::timestamptz[])
        AS next (id, step_id, send_after)
    JOIN campaigns_delivery AS done ON done.id = next.id
    ON CONFLICT DO NOTHING
"""
BROKEN_OFF = "The worker ended while it was being sent."
RESTORED = "The database was restored, and this may have been sent since the backup."


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that this worker has, and its customer."""

    id: int
    step_id: int
    customer_id: int
    occurrence: int
    attempts: int
    decision_id: Any
    offer: str
    reason: str
    created_at: datetime
    customer_key: str
    attributes: Mapping[str, Any]
    merged_into: int | None
    email: str | None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a delivery.

    Attributes:
        id: Of the delivery.
        state: As `DeliveryState` has them; `queued` is tried again at `again_at`.
        reason: Why it was not sent.
        again_at: When it is due again.
        provider_id: The name that the receiving side gave it, if it did.
    """

    id: int
    state: str
    reason: str = ""
    again_at: datetime | None = None
    provider_id: str = ""


@dataclass(frozen=True, slots=True)
class Next:
    """A step that follows for a delivery's customer."""

    after: int
    step_id: int
    send_after: datetime


def claim(campaign_id: int, *, limit: int, now: datetime, until: datetime) -> Sequence[Claimed]:
    """Lease up to `limit` deliveries that are due."""
    params: dict[str, Any] = {"campaign": campaign_id, "limit": limit, "now": now, "until": until}
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, params)
        rows = [list(row) for row in cursor.fetchall()]
    for row in rows:
        # Django has JSON come as it is written.
        row[ATTRIBUTES] = msgspec.json.decode(row[ATTRIBUTES])
    return [Claimed(*row) for row in rows]


def begin(names: Mapping[int, str], *, until: datetime) -> set[int]:
    """Write down that messages are about to leave; return those that may.

    Args:
        names: The name of each delivery's message.
        until: When the lease by which they are held ends, which tells it from others.
    """
    with connection.cursor() as cursor:
        ids, message_ids = list(names), [name[:200] for name in names.values()]
        cursor.execute(BEGIN, {"ids": ids, "message_ids": message_ids, "until": until})
        return {row[0] for row in cursor.fetchall()}


def unbegin(ids: Iterable[int], *, until: datetime) -> None:
    """Take back that messages were about to leave, of which nothing left."""
    if listed := list(ids):
        with connection.cursor() as cursor:
            cursor.execute(UNBEGIN, {"ids": listed, "until": until})


def give_back(ids: Iterable[int], *, until: datetime) -> None:
    """Let others have what was claimed and not begun."""
    if listed := list(ids):
        with connection.cursor() as cursor:
            cursor.execute(GIVE_BACK, {"ids": listed, "until": until})


def expire_leases(*, now: datetime) -> Mapping[str, int]:
    """Settle what workers that ended had in hand; return how many wait again or are in doubt."""
    with connection.cursor() as cursor:
        cursor.execute(EXPIRE, {"now": now, "reason": BROKEN_OFF})
        states = [row[0] for row in cursor.fetchall()]
    return {state: states.count(state) for state in set(states)}


def doubt_due(*, now: datetime) -> Mapping[int, int]:
    """Put in doubt what is due, in hand, or was put down only now: the last may have had its time.

    Returns:
        Of how many deliveries, by the campaign's id.
    """
    with connection.cursor() as cursor:
        cursor.execute(DOUBT, {"now": now, "reason": RESTORED})
        return Counter(row[0] for row in cursor.fetchall())


def record(results: Sequence[Result], *, now: datetime, until: datetime) -> set[int]:
    """Write down what became of deliveries; return those that were still this worker's to tell."""
    if not results:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            RECORD,
            {
                "ids": [result.id for result in results],
                "states": [result.state for result in results],
                "reasons": [result.reason[:200] for result in results],
                "again": [result.again_at for result in results],
                "provider_ids": [result.provider_id[:200] for result in results],
                "now": now,
                "until": until,
            },
        )
        return {row[0] for row in cursor.fetchall()}


def follow(nexts: Sequence[Next], *, now: datetime) -> None:
    """Put customers down for their next step."""
    if not nexts:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            FOLLOW,
            {
                "ids": [each.after for each in nexts],
                "steps": [each.step_id for each in nexts],
                "times": [each.send_after for each in nexts],
                "now": now,
            },
        )
