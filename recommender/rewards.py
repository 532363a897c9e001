"""Settle what decisions earned: join each with the events of its window, once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Exists, OuterRef

from recommender.models import Policy, Reward
from recommender.place_rewards import SETTLE_PLACES

# Events arrive a little after they happen; a window is settled when they have had time to.
GRACE = timedelta(seconds=3)

# An event that names its decision counts for that decision alone. Any other counts for the last
# decision that the policy made for the person before it, so that nothing is earned twice; whoever
# was merged is one person. The claim and the value are one statement: whoever runs it second finds
# nothing pending.
# OFFSET 0 keeps a look-up apart, so that each row finds its own month and index range; the planner
# would rather read whole tables, which grow without end.
# Ids begin with the time in milliseconds (see `decision_ids.py`), so "not before this millisecond"
# spares the search in the partitions of earlier months.
SETTLE = """
    WITH due AS (
        SELECT decision_id FROM recommender_reward
        WHERE policy_id = %(policy)s AND settled_at IS NULL AND due_at <= %(settled)s
        ORDER BY due_at, decision_id LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    ), decision AS (
        SELECT decision.id, decision.offer, decision.features, decision.decided_at,
               NOT decision.held_back
               AND COALESCE(decision.offer = ANY(%(offers)s), false) AS is_lesson,
               person.id AS person,
               LEAST(decision.decided_at + make_interval(secs => %(window)s),
                     (SELECT min(later.decided_at)
                      FROM audience_customer AS same
                      JOIN recommender_decision AS later ON later.customer_id = same.id
                      WHERE (same.id = person.id OR same.merged_into_id = person.id)
                        AND later.policy_id = decision.policy_id
                        AND later.campaign = decision.campaign
                        AND (later.decided_at, later.id) > (decision.decided_at, decision.id)
                        AND later.id >= (left(decision.id::text, 13)
                                         || '-0000-0000-000000000000')::uuid)) AS until
        FROM due
        CROSS JOIN LATERAL (
            SELECT * FROM recommender_decision WHERE id = due.decision_id OFFSET 0) AS decision
        JOIN audience_customer AS customer ON customer.id = decision.customer_id
        CROSS JOIN LATERAL (
            SELECT COALESCE(customer.merged_into_id, customer.id) AS id) AS person
    ), earned AS (
        SELECT decision.id, bool_and(decision.is_lesson) AS is_lesson,
               CASE %(kind)s WHEN 'any' THEN LEAST(count(event.id), 1)
                             WHEN 'count' THEN count(event.id)
                             ELSE COALESCE(sum(event.value), 0) END AS value
        FROM decision
        LEFT JOIN LATERAL (
            SELECT found.id, found.value
            FROM audience_customer AS same
            CROSS JOIN LATERAL (
                SELECT event.id, event.value FROM audience_event AS event
                WHERE event.customer_id = same.id
                  AND event.name = %(event)s
                  AND event.occurred_at >= decision.decided_at
                  AND event.occurred_at
                      < decision.decided_at + make_interval(secs => %(window)s)
                  AND CASE WHEN event.properties ->> 'decision_id' IS NULL
                           THEN event.occurred_at < decision.until
                           ELSE event.properties ->> 'decision_id' = decision.id::text END
                OFFSET 0
            ) AS found
            WHERE same.id = decision.person OR same.merged_into_id = decision.person
        ) AS event ON true
        GROUP BY decision.id
    ), settled AS (
        UPDATE recommender_reward AS reward
        SET value = earned.value, settled_at = %(now)s, is_lesson = earned.is_lesson
        FROM earned WHERE reward.decision_id = earned.id
        RETURNING reward.decision_id, reward.value, reward.is_lesson
    )
    SELECT decision.offer, settled.is_lesson, decision.features, settled.value
    FROM settled JOIN decision ON decision.id = settled.decision_id
    ORDER BY settled.decision_id
"""


@dataclass(frozen=True, slots=True)
class Settled:
    """A decision whose reward is known: what was shown to whom, and what it earned.

    It is a lesson if the policy learns from it: of one of its offers, to a customer not held back.
    """

    offer: str | None
    is_lesson: bool
    features: Sequence[float]
    value: float


def find_due_policies(*, now: datetime) -> list[Policy]:
    """Find the policies with a reward to settle, by one look into the index for each."""
    due = Reward.objects.filter(policy=OuterRef("pk"), settled_at=None, due_at__lte=now - GRACE)
    return list(Policy.objects.filter(Exists(due)).order_by("pk"))


def settle_rewards(policy: Policy, *, now: datetime, limit: int) -> list[Settled]:
    """Settle up to `limit` rewards whose window has passed, in the transaction at hand."""
    with connection.cursor() as cursor:
        cursor.execute(
            SETTLE if policy.ranking_id is None else SETTLE_PLACES,
            {
                "policy": policy.pk,
                "settled": now - GRACE,
                "now": now,
                "limit": limit,
                "window": policy.reward_window_seconds,
                "event": policy.reward_event,
                "kind": policy.reward_kind,
                "offers": policy.offers,
            },
        )
        return [Settled(*row) for row in cursor.fetchall()]
