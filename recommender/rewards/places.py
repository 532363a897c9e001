"""Say what each place of a slate of products earned, by the products that events name."""

from audience.commerce import EACH_PRODUCT, ORDER_ID, PRODUCT_KEY
from recommender.delays import UNDONE
from recommender.rewards.reversals import SETTLED

# Places whose window has passed.
PENDING = """
    SELECT decision_id, settled_at FROM recommender_reward
    WHERE policy_id = %(policy)s AND settled_at IS NULL AND due_at <= %(settled)s
    ORDER BY due_at, decision_id LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
"""


def _lines(event: str) -> str:
    """Write the products that an event names, a row each: the key, and what the line comes to."""
    return f"""
    SELECT line.item, COALESCE(line.price * line.quantity, {event}.value / line.lines) AS earned
    FROM (
        SELECT {PRODUCT_KEY} AS item,
               CASE WHEN jsonb_typeof(properties -> 'products') = 'array'
                     AND jsonb_typeof(product -> 'price') = 'number'
                    THEN (product ->> 'price')::float8 END AS price,
               CASE WHEN jsonb_typeof(product -> 'quantity') = 'number'
                    THEN (product ->> 'quantity')::float8 ELSE 1 END AS quantity,
               count(*) OVER () AS lines
        FROM {EACH_PRODUCT}
    ) AS line WHERE line.item IS NOT NULL
    """


# What is taken back of one place's part of an order. A reversal that names products takes back
# their lines, or as much of them as it says; any other takes the same share of every line. Of an
# order that is taken back wholly nothing is left.
TAKEN = f"""
    SELECT CASE
               WHEN COALESCE(found.value, 0) - all_.value < {UNDONE} THEN COALESCE(share.earned, 0)
               WHEN all_.amount > share.earned THEN share.earned ELSE all_.amount END AS amount
    FROM (SELECT sum(back.value) AS value, sum(CASE
              WHEN NOT share.is_line THEN back.value
              WHEN back.items = '{{}}' THEN back.value * share.earned / NULLIF(found.value, 0)
              ELSE back.earned * LEAST(1, back.value / NULLIF(
                  back.total * found.value / NULLIF(named.total, 0), 0)) END) AS amount
    FROM (
        SELECT abs(event.value) AS value, lines.*
        FROM audience_customer AS same
        CROSS JOIN LATERAL (
            SELECT * FROM audience_event
            WHERE customer_id = same.id AND name = ANY(%(reversals)s)
              AND occurred_at >= found.occurred_at
              AND occurred_at < decision.decided_at + make_interval(secs => %(reversed_by)s)
              AND {ORDER_ID} = found.order_id
            OFFSET 0) AS event
        CROSS JOIN LATERAL (
            SELECT COALESCE(array_agg(line.item), '{{}}') AS items, sum(line.earned) AS total,
                   sum(line.earned) FILTER (WHERE line.item = decision.offer) AS earned
            FROM ({_lines("event")}) AS line) AS lines
        WHERE same.id = decision.person OR same.merged_into_id = decision.person
    ) AS back) AS all_
"""


# As with offers (`settling.py`), an event that names its decision counts for that slate alone, and
# any other for the last slate before it. Within the slate it counts for the place whose product it
# names; what names none of its products counts for the decision that it names, or for the first
# place. A place that shows no product, as of a hold-out, is compared with whole slates: it earns
# all that happens. Of an order's sum a product earns its own lines, less what was taken back of
# them; what is taken back wholly never was one.
def _settle(due: str) -> str:
    """Write the statement that values the places that are due."""
    return f"""
    WITH due AS ({due}), decision AS (
        SELECT place.id, place.offer, place.features, place.decided_at, person.id AS person,
               due.settled_at IS NULL AS is_pending,
               CASE WHEN %(margin)s::float8 IS NULL THEN 0
                    ELSE place.cost_cents / 100::float8 END AS cost,
               place.position, place.ranker_version IS NOT NULL AS is_product, slate.ids,
               slate.items,
               LEAST(place.decided_at + make_interval(secs => %(window)s), (
                   SELECT min(later.decided_at)
                   FROM audience_customer AS same
                   JOIN recommender_decision AS later ON later.customer_id = same.id
                   WHERE (same.id = person.id OR same.merged_into_id = person.id)
                     AND later.campaign = place.campaign
                     AND later.decided_at > place.decided_at
                     AND later.id >= (left(place.id::text, 13)
                                      || '-0000-0000-000000000000')::uuid)) AS until
        FROM due
        CROSS JOIN LATERAL (
            SELECT * FROM recommender_decision WHERE id = due.decision_id OFFSET 0) AS place
        JOIN audience_customer AS customer ON customer.id = place.customer_id
        CROSS JOIN LATERAL (
            SELECT COALESCE(customer.merged_into_id, customer.id) AS id) AS person
        CROSS JOIN LATERAL (
            SELECT array_agg(other.id::text) AS ids, array_agg(other.offer::text) AS items
            FROM recommender_decision AS other
            WHERE other.customer_id = place.customer_id AND other.campaign = place.campaign
              AND other.decided_at = place.decided_at
              AND other.id >= (left(place.id::text, 13) || '-0000-0000-000000000000')::uuid
        ) AS slate
    ), earned AS (
        SELECT decision.id, max(decision.cost) AS cost,
               CASE %(kind)s WHEN 'any' THEN LEAST(count(event.id), 1)
                             WHEN 'count' THEN count(event.id)
                             ELSE COALESCE(%(margin)s::float8, 1)
                                  * COALESCE(sum(event.earned), 0) END AS value
        FROM decision
        LEFT JOIN LATERAL (
            SELECT found.id, share.earned - COALESCE(taken.amount, 0) AS earned
            FROM audience_customer AS same
            CROSS JOIN LATERAL (
                SELECT event.id, event.value, event.properties, event.occurred_at,
                       event.properties ->> 'decision_id' AS decided_by,
                       {ORDER_ID} AS order_id
                FROM audience_event AS event
                WHERE event.customer_id = same.id AND event.name = %(event)s
                  AND event.occurred_at >= decision.decided_at
                  AND event.occurred_at
                      < decision.decided_at + make_interval(secs => %(window)s)
                OFFSET 0) AS found
            CROSS JOIN LATERAL (
                SELECT COALESCE(array_agg(line.item), '{{}}') AS items,
                       COALESCE(sum(line.earned) FILTER (WHERE line.item = decision.offer), 0)
                           AS earned,
                       sum(line.earned) AS total
                FROM ({_lines("found")}) AS line) AS named
            CROSS JOIN LATERAL (
                SELECT decision.is_product AND decision.offer = ANY(named.items) AS is_line,
                       CASE WHEN decision.is_product AND decision.offer = ANY(named.items)
                            THEN named.earned ELSE found.value END AS earned) AS share
            CROSS JOIN LATERAL ({TAKEN}) AS taken
            WHERE (same.id = decision.person OR same.merged_into_id = decision.person)
              AND CASE WHEN found.decided_by IS NULL THEN found.occurred_at < decision.until
                       ELSE found.decided_by = ANY(decision.ids) END
              AND CASE WHEN NOT decision.is_product THEN true
                       WHEN decision.offer = ANY(named.items) THEN true
                       WHEN named.items && decision.items THEN false
                       WHEN found.decided_by IS NULL THEN decision.position = 0
                       ELSE found.decided_by = decision.id::text END
              AND (taken.amount IS NULL OR COALESCE(share.earned, 0) - taken.amount >= {UNDONE})
        ) AS event ON true
        GROUP BY decision.id
    ), settled AS (
        UPDATE recommender_reward AS reward
        SET value = earned.value - earned.cost, cost = earned.cost,
            settled_at = COALESCE(reward.settled_at, %(now)s), is_lesson = false
        FROM earned WHERE reward.decision_id = earned.id
        RETURNING reward.decision_id, reward.value
    )
    SELECT decision.offer, false, decision.features, settled.value, NULL, NULL, decision.is_pending
    FROM settled JOIN decision ON decision.id = settled.decision_id
    ORDER BY settled.decision_id
    """


SETTLE_PLACES, SETTLE_PLACES_AGAIN = _settle(PENDING), _settle(SETTLED)
