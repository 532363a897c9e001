"""What is already known of a customer when an offer is asked for, in one query."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg import AsyncConnection

from audience.finding import Name, find_or_make
from experiments.exposures import MET_ARMS, to_met_arms
from recommender.decision_ids import first_id_at

# One customer and one campaign at a time, the newest first, is what `decision_of_customer` holds.
# Asked for all at once, the planner would rather read the ids of everybody's recent decisions.
LAST_DECISIONS: LiteralString = """,
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
    name: Name,
    *,
    experiments: Sequence[int],
    holds: Mapping[str, int],
    now: datetime,
) -> Known:
    """Find a customer, or make one, with what these experiments and campaigns gave before.

    Args:
        connection: Where to ask.
        name: Of the customer.
        experiments: Ids of the experiments that matter.
        holds: For how many seconds each campaign lets a customer keep an offer.
        now: The time of the request.
    """
    since = first_id_at(now - timedelta(seconds=max(holds.values(), default=0)))
    found = await find_or_make(
        connection,
        name,
        besides=MET_ARMS + LAST_DECISIONS,
        params={"experiments": list(experiments), "campaigns": list(holds), "since": since},
    )
    arms, held = found.besides or ({}, {})
    return Known(
        id=found.id,
        attributes=found.attributes,
        arms=to_met_arms(arms),
        held={campaign: _to_held(decision) for campaign, decision in held.items()},
    )


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
