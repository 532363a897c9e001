"""Log decisions, each with the reward that it is waiting for."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection, AsyncCursor

from recommender.decision_ids import DECISIONS

# One statement for any number of decisions: a pending reward is made with its decision or not
# at all. Lists come as PostgreSQL writes them, which it reads several times faster than JSON.
# A decision that is there already, because what was spooled is logged a second time, stays so.
LOG = f"""
    WITH item AS (
        SELECT customer.id AS customer_id, item.* FROM unnest(
            %(ids)s::uuid[], %(times)s::timestamptz[], %(customers)s::text[],
            %(campaigns)s::text[], %(placements)s::text[], %(positions)s::smallint[],
            %(arms)s::text[], %(policies)s::bigint[], %(versions)s::integer[], %(offers)s::text[],
            %(propensities)s::double precision[], %(eligible)s::text[], %(weights)s::text[],
            %(features)s::text[], %(reasons)s::text[], %(held_back)s::boolean[],
            %(due)s::timestamptz[]) AS item (
            id, decided_at, customer_key, campaign, placement, position, arm, policy_id,
            policy_version, offer, propensity, eligible, weights, features, reasons, held_back,
            due_at)
        JOIN audience_customer AS customer ON customer.external_key = item.customer_key
    ), logged AS (
        INSERT INTO {DECISIONS} (id, decided_at, customer_id, campaign, placement, position, arm,
            policy_id, policy_version, offer, propensity, eligible, weights, features, reasons,
            held_back)
        SELECT id, decided_at, customer_id, campaign, placement, position, arm,
            policy_id, policy_version, offer, propensity, eligible::text[],
            weights::double precision[], features::double precision[], reasons::jsonb, held_back
        FROM item
        ON CONFLICT (id) DO NOTHING
        RETURNING id
    ), pending AS (
        INSERT INTO recommender_reward (decision_id, policy_id, due_at)
        SELECT item.id, item.policy_id, item.due_at FROM item JOIN logged ON logged.id = item.id
        WHERE item.policy_id IS NOT NULL
    )
    SELECT id FROM logged
"""


@dataclass(frozen=True, slots=True)
class Logged:
    """A decision as it is written to the log; `weights` belong to `eligible`, place by place.

    `customer_key` is the key of the row of the customer, and what the draw hashed.
    """

    id: uuid.UUID
    decided_at: datetime
    customer_key: str
    campaign: str
    placement: str
    arm: str
    policy_id: int | None
    policy_version: int | None
    offer: str | None
    propensity: float
    due_at: datetime
    position: int = 0
    eligible: Sequence[str] = ()
    weights: Sequence[float] = ()
    features: Sequence[float] = ()
    reasons: Sequence[str] = field(default_factory=tuple)
    held_back: bool = False


async def log_decisions(
    connection: AsyncConnection[Any], decisions: Sequence[Logged]
) -> AsyncCursor[Any]:
    """Log decisions in the transaction at hand; the customers are there already.

    The cursor has the ids of those that were not logged before.
    """
    return await connection.execute(LOG, to_columns(decisions))


def to_columns(decisions: Sequence[Logged]) -> dict[str, list[Any]]:
    """Write decisions as the parameters of `LOG`."""
    return {
        "ids": [d.id for d in decisions],
        "times": [d.decided_at for d in decisions],
        "customers": [d.customer_key for d in decisions],
        "campaigns": [d.campaign for d in decisions],
        "placements": [d.placement for d in decisions],
        "positions": [d.position for d in decisions],
        "arms": [d.arm for d in decisions],
        "policies": [d.policy_id for d in decisions],
        "versions": [d.policy_version for d in decisions],
        "offers": [d.offer for d in decisions],
        "propensities": [d.propensity for d in decisions],
        "eligible": [write_texts(d.eligible) for d in decisions],
        "weights": [write_numbers(d.weights) for d in decisions],
        "features": [write_numbers(d.features) for d in decisions],
        "reasons": [msgspec.json.encode(d.reasons).decode() for d in decisions],
        "held_back": [d.held_back for d in decisions],
        "due": [d.due_at for d in decisions],
    }


def write_numbers(numbers: Iterable[float]) -> str:
    """Write numbers as PostgreSQL writes a list."""
    return f"{{{','.join(map(repr, numbers))}}}"


def write_texts(texts: Sequence[str]) -> str:
    """Write texts as PostgreSQL writes a list."""
    if not texts:
        return "{}"
    joined = '","'.join(texts)
    if "\\" in joined or joined.count('"') > 2 * (len(texts) - 1):
        joined = '","'.join(t.replace("\\", r"\\").replace('"', r"\"") for t in texts)
    return f'{{"{joined}"}}'
