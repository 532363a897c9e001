"""What is already known of a customer when an offer is asked for, in one query."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

from audience.incoming import ANONYMOUS_PREFIX
from recommender.decision_ids import first_id_at

# Whom a visitor turned out to be inherits the visitor's arms and offers; an own arm comes first.
# One customer and one campaign at a time, the newest first, is what `decision_of_customer` holds.
# Asked for all at once, the planner would rather read the ids of everybody's recent decisions.
RECALL = """
    SELECT customer.id, customer.attributes,
        (SELECT COALESCE(jsonb_object_agg(experiment_id, arm_id), '{}')
         FROM (SELECT DISTINCT ON (experiment_id) experiment_id, arm_id
               FROM experiments_exposure
               WHERE customer_id = ANY(person.ids) AND experiment_id = ANY(%(experiments)s)
               ORDER BY experiment_id, customer_id <> customer.id, exposed_at) AS met),
        (SELECT COALESCE(jsonb_object_agg(wanted.campaign, held.decision), '{}')
         FROM unnest(%(campaigns)s::text[]) AS wanted (campaign)
         CROSS JOIN LATERAL (
             SELECT jsonb_build_object(
                 'id', last.id, 'decided_at', last.decided_at, 'arm', last.arm,
                 'offer', last.offer, 'propensity', last.propensity,
                 'policy_version', last.policy_version, 'reasons', last.reasons) AS decision
             FROM unnest(person.ids) AS same (id)
             CROSS JOIN LATERAL (
                 SELECT decision.* FROM recommender_decision AS decision
                 WHERE decision.customer_id = same.id AND decision.campaign = wanted.campaign
                   AND decision.id >= %(since)s
                 ORDER BY decision.decided_at DESC LIMIT 1) AS last
             ORDER BY last.decided_at DESC, last.id DESC LIMIT 1) AS held)
    FROM audience_customer AS customer
    CROSS JOIN LATERAL (
        SELECT ARRAY(SELECT customer.id UNION ALL
                     SELECT id FROM audience_customer WHERE merged_into_id = customer.id) AS ids
    ) AS person
"""
BY_KEY = RECALL + " WHERE customer.external_key = %(key)s"
BY_ANONYMOUS_ID = (
    RECALL
    + """
    JOIN audience_identity AS identity ON identity.customer_id = customer.id
    WHERE identity.kind = 'anonymous_id' AND identity.value = %(anonymous_id)s
"""
)

# Two first requests of one customer may race: both end with the same row.
CREATE = """
    INSERT INTO audience_customer (external_key, attributes) VALUES (%(key)s, '{}')
    ON CONFLICT (external_key) DO UPDATE SET external_key = EXCLUDED.external_key
    RETURNING id, attributes
"""
IDENTIFY = """
    INSERT INTO audience_identity (kind, value, customer_id)
    VALUES ('anonymous_id', %(anonymous_id)s, %(customer)s) ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Held:
    """The last decision that a campaign made for a customer."""

    id: uuid.UUID
    decided_at: datetime
    arm: str
    offer: str | None
    propensity: float
    policy_version: int | None
    reasons: Sequence[str]


@dataclass(frozen=True, slots=True)
class Known:
    """A customer with the arms met and the last decisions, by experiment and by campaign."""

    id: int
    attributes: Mapping[str, Any]
    arms: Mapping[int, int]
    held: Mapping[str, Held]


async def recall(
    connection: AsyncConnection,
    *,
    customer_key: str | None,
    anonymous_id: str | None,
    experiments: Sequence[int],
    holds: Mapping[str, int],
    now: datetime,
) -> Known:
    """Find a customer, or make one, with what these experiments and campaigns gave before.

    Args:
        connection: Where to ask.
        customer_key: The customer's key; or
        anonymous_id: the id of a browser, which may belong to a known customer by now.
        experiments: Ids of the experiments that matter.
        holds: For how many seconds each campaign lets a customer keep an offer.
        now: The time of the request.
    """
    since = first_id_at(now - timedelta(seconds=max(holds.values(), default=0)))
    query = BY_ANONYMOUS_ID if customer_key is None else BY_KEY
    cursor = await connection.execute(
        query,
        {
            "key": customer_key,
            "anonymous_id": anonymous_id,
            "experiments": list(experiments),
            "campaigns": list(holds),
            "since": since,
        },
    )
    row = await cursor.fetchone()
    if row is None:
        return await _create(connection, customer_key=customer_key, anonymous_id=anonymous_id)
    id_, attributes, arms, held = row
    return Known(
        id=id_,
        attributes=attributes,
        arms={int(experiment): arm for experiment, arm in arms.items()},
        held={campaign: _to_held(decision) for campaign, decision in held.items()},
    )


async def _create(
    connection: AsyncConnection, *, customer_key: str | None, anonymous_id: str | None
) -> Known:
    key = f"{ANONYMOUS_PREFIX}{anonymous_id}" if customer_key is None else customer_key
    async with connection.transaction():
        cursor = await connection.execute(CREATE, {"key": key})
        row = await cursor.fetchone()
        assert row is not None, "an upsert returns its row"
        if customer_key is None:
            await connection.execute(IDENTIFY, {"anonymous_id": anonymous_id, "customer": row[0]})
    return Known(id=row[0], attributes=row[1], arms={}, held={})


def _to_held(decision: Mapping[str, Any]) -> Held:
    return Held(
        id=uuid.UUID(decision["id"]),
        decided_at=datetime.fromisoformat(decision["decided_at"]),
        arm=decision["arm"],
        offer=decision["offer"],
        propensity=decision["propensity"],
        policy_version=decision["policy_version"],
        reasons=decision["reasons"],
    )
