"""Settle what decisions earned: join each with the events of its window, once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from recommender.models import Policy

# Events arrive a little after they happen; a window is settled when they have had time to.
GRACE = timedelta(seconds=3)

# An event that names its decision counts for that decision alone. Any other counts for the last
# decision that the policy made for the customer before it, so that nothing is earned twice.
# The claim and the value are one statement: whoever runs it second finds nothing pending.
SETTLE = """
    WITH due AS (
        SELECT decision_id FROM recommender_reward
        WHERE policy_id = %(policy)s AND settled_at IS NULL AND due_at <= %(settled)s
        ORDER BY due_at, decision_id LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    ), decision AS (
        SELECT decision.*, COALESCE(customer.merged_into_id, customer.id) AS person,
               LEAST(decision.decided_at + make_interval(secs => %(window)s),
                     (SELECT min(later.decided_at) FROM recommender_decision AS later
                      WHERE later.customer_id = decision.customer_id
                        AND later.policy_id = decision.policy_id
                        AND later.campaign = decision.campaign
                        AND later.decided_at > decision.decided_at)) AS until
        FROM due
        JOIN recommender_decision AS decision ON decision.id = due.decision_id
        JOIN audience_customer AS customer ON customer.id = decision.customer_id
    ), earned AS (
        SELECT decision.id,
               CASE %(kind)s WHEN 'any' THEN LEAST(count(event.id), 1)
                             WHEN 'count' THEN count(event.id)
                             ELSE COALESCE(sum(event.value), 0) END AS value
        FROM decision
        LEFT JOIN LATERAL (
            SELECT event.id, event.value
            FROM audience_customer AS customer
            JOIN audience_event AS event ON event.customer_id = customer.id
            WHERE (customer.id = decision.person OR customer.merged_into_id = decision.person)
              AND event.name = %(event)s
              AND event.occurred_at >= decision.decided_at
              AND event.occurred_at
                  < decision.decided_at + make_interval(secs => %(window)s)
              AND CASE WHEN event.properties ? 'decision_id'
                       THEN event.properties ->> 'decision_id' = decision.id::text
                       ELSE event.occurred_at < decision.until END
        ) AS event ON true
        GROUP BY decision.id
    ), settled AS (
        UPDATE recommender_reward AS reward
        SET value = earned.value, settled_at = %(now)s
        FROM earned WHERE reward.decision_id = earned.id
        RETURNING reward.decision_id, reward.value
    )
    SELECT decision.offer, decision.held_back, decision.features, settled.value
    FROM settled JOIN decision ON decision.id = settled.decision_id
    ORDER BY settled.decision_id
"""


@dataclass(frozen=True, slots=True)
class Settled:
    """A decision whose reward is known: what was shown to whom, and what it earned."""

    offer: str | None
    held_back: bool
    features: Sequence[float]
    value: float


def settle_rewards(policy: Policy, *, now: datetime, limit: int) -> list[Settled]:
    """Settle up to `limit` rewards whose window has passed, in the transaction at hand."""
    with connection.cursor() as cursor:
        cursor.execute(
            SETTLE,
            {
                "policy": policy.pk,
                "settled": now - GRACE,
                "now": now,
                "limit": limit,
                "window": policy.reward_window_seconds,
                "event": policy.reward_event,
                "kind": policy.reward_kind,
            },
        )
        return [Settled(*row) for row in cursor.fetchall()]
