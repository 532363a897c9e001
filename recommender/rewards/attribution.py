"""Says in SQL which events are a decision's, and what is left of them."""

from typing import Any

from audience.commerce import ORDER_ID, ORDERED, REVERSALS
from recommender.delays import UNDONE
from recommender.models import Policy

# An event that names its decision counts for that decision alone. Any other counts for the last
# decision that the policy made for the person before it, so that nothing is earned twice; whoever
# was merged is one person. `age` is how far it is looked; it never passes the window.
# OFFSET 0 keeps a look-up apart, so that each row finds its own month and index range; the planner
# would rather read whole tables, which grow without end.
# Ids begin with the time in milliseconds (see `decision_ids.py`), so "not before this millisecond"
# spares the search in the partitions of earlier months.
# Its offer's cost counts only where the policy is rewarded by what is left of orders.
# It stands on `due`, rows of rewards. What was settled as no lesson never becomes one.
DECIDED = """
    SELECT decision.id, decision.offer, decision.features, decision.decided_at,
           due.settled_at IS NULL AS is_pending,
           CASE WHEN due.is_lesson THEN due.value END AS before,
           due.is_lesson
           OR due.settled_at IS NULL AND NOT decision.held_back
              AND COALESCE(decision.offer = ANY(%(offers)s), false) AS is_lesson,
           CASE WHEN %(margin)s::float8 IS NULL THEN 0 ELSE decision.cost_cents / 100::float8 END
               AS cost,
           person.id AS person,
           LEAST(decision.decided_at + make_interval(secs => %(age)s),
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
"""

# The events of one row of `decision`.
FOUND = f"""
    SELECT event.id, event.value, event.occurred_at, {ORDER_ID} AS order_id
    FROM audience_customer AS same
    CROSS JOIN LATERAL (
        SELECT * FROM audience_event
        WHERE customer_id = same.id
          AND name = %(event)s
          AND occurred_at >= decision.decided_at
          AND occurred_at < decision.decided_at + make_interval(secs => %(age)s)
          AND CASE WHEN properties ->> 'decision_id' IS NULL
                   THEN occurred_at < decision.until
                   ELSE properties ->> 'decision_id' = decision.id::text END
        OFFSET 0
    ) AS event
    WHERE same.id = decision.person OR same.merged_into_id = decision.person
"""

# What takes one row of `found` back, of the same person's.
REVERSED = f"""
    SELECT event.occurred_at, COALESCE(abs(event.value), 0) AS amount
    FROM audience_customer AS same
    CROSS JOIN LATERAL (
        SELECT * FROM audience_event
        WHERE customer_id = same.id
          AND name = ANY(%(reversals)s)
          AND occurred_at >= found.occurred_at
          AND occurred_at < decision.decided_at + make_interval(secs => %(reversed_by)s)
          AND {ORDER_ID} = found.order_id
        OFFSET 0
    ) AS event
    WHERE same.id = decision.person OR same.merged_into_id = decision.person
"""

# What each row of `decision` earned, before its cost. An order that is taken back wholly never was
# one.
EARNED = f"""
    SELECT decision.id, bool_and(decision.is_lesson) AS is_lesson, max(decision.cost) AS cost,
           CASE %(kind)s WHEN 'any' THEN LEAST(count(event.id), 1)
                         WHEN 'count' THEN count(event.id)
                         ELSE COALESCE(%(margin)s::float8, 1) * COALESCE(sum(event.value), 0)
           END AS value
    FROM decision
    LEFT JOIN LATERAL (
        SELECT found.id, found.value - COALESCE(taken.amount, 0) AS value
        FROM ({FOUND}) AS found
        CROSS JOIN LATERAL (SELECT sum(amount) AS amount FROM ({REVERSED}) AS event) AS taken
        WHERE taken.amount IS NULL OR COALESCE(found.value, 0) - taken.amount >= {UNDONE}
    ) AS event ON true
    GROUP BY decision.id
"""


def parameters(policy: Policy) -> dict[str, Any]:
    """Return what the statements need to know of a policy."""
    return {
        "policy": policy.pk,
        "event": policy.reward_event,
        "kind": policy.reward_kind,
        "margin": policy.margin,
        "offers": policy.offers,
        "reversals": list(REVERSALS) if policy.reward_event == ORDERED else [],
    }
