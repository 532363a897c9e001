"""Log decisions, each with the reward that it is waiting for."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString

import msgspec
from psycopg import AsyncConnection, AsyncCursor
from psycopg.types.json import Jsonb

from recommender.decision_ids import DECISIONS
from wire.pg_values import write_numbers, write_texts

# What a decision fills beside its customer, and as what PostgreSQL reads it. Lists come as it
# writes them itself, which it reads several times faster than lists in JSON.
TYPES = {
    "id": "uuid",
    "decided_at": "timestamptz",
    "campaign": "text",
    "placement": "text",
    "position": "smallint",
    "arm": "text",
    "policy_id": "bigint",
    "policy_version": "integer",
    "offer": "text",
    "propensity": "double precision",
    "eligible": "text[]",
    "weights": "double precision[]",
    "features": "double precision[]",
    "reasons": "jsonb",
    "held_back": "boolean",
    "products": "text[]",
    "ranker_version": "bigint",
    "cost_cents": "integer",
}
COLUMNS = ", ".join(TYPES)

ITEMS: LiteralString = f"""
    json_to_recordset(%(items)s::json) AS item (
        customer_key text, due_at timestamptz, {", ".join(map(" ".join, TYPES.items()))})
"""
# Part of a statement that names what is to be logged `item`, for any number of decisions: a pending
# reward is made with its decision or not at all. A decision that is there already, because what was
# spooled is logged a second time, stays so.
LOGGED: LiteralString = f"""
    logged AS (
        INSERT INTO {DECISIONS} (customer_id, {COLUMNS}) SELECT customer_id, {COLUMNS} FROM item
        ON CONFLICT (id) DO NOTHING
        RETURNING id
    ), pending AS (
        INSERT INTO recommender_reward (decision_id, policy_id, due_at)
        SELECT item.id, item.policy_id, item.due_at FROM item JOIN logged ON logged.id = item.id
        WHERE item.policy_id IS NOT NULL
    )
"""
LOG: LiteralString = f"""
    WITH item AS (
        SELECT customer.id AS customer_id, item.* FROM {ITEMS}
        CROSS JOIN LATERAL (
            SELECT id FROM audience_customer WHERE external_key = item.customer_key OFFSET 0
        ) AS customer
    ), {LOGGED}
    SELECT id FROM logged
"""
COPY = f"COPY {DECISIONS} (customer_id, {COLUMNS}) FROM STDIN"
COPY_REWARDS = "COPY recommender_reward (decision_id, policy_id, due_at) FROM STDIN"


@dataclass(frozen=True, slots=True)
class Logged:
    """A decision as it is written to the log; `weights` belong to `eligible`, place by place.

    `customer_key` is the key of the row of the customer, and what the draw hashed. `products` came
    with the offer, of the version with the id `ranker_version`, and `cost_cents` is what the offer
    costs then.
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
    products: Sequence[str] = ()
    ranker_version: int | None = None
    cost_cents: int = 0


async def log_decisions(
    connection: AsyncConnection[Any], decisions: Sequence[Logged]
) -> AsyncCursor[Any]:
    """Log decisions in the transaction at hand; the customers are there already.

    The cursor has the ids of those that were not logged before.
    """
    return await connection.execute(LOG, {"items": to_json(decisions)})


async def copy_decisions(
    connection: AsyncConnection[Any], decisions: Sequence[tuple[int | None, Logged]]
) -> None:
    """Log many decisions, each with its customer's id, in the transaction at hand.

    None of them may have been logged before, and the connection must not be in a pipeline.

    Raises:
        psycopg.IntegrityError: A customer is not known, or not any more.
    """
    async with connection.cursor() as cursor:
        async with cursor.copy(COPY) as copy:
            for customer_id, decision in decisions:
                row = _to_row(decision)
                reasons = Jsonb(list(row.reasons))
                values = (reasons if name == "reasons" else getattr(row, name) for name in TYPES)
                await copy.write_row((customer_id, *values))
        async with cursor.copy(COPY_REWARDS) as copy:
            for _, d in decisions:
                if d.policy_id is not None:
                    await copy.write_row((d.id, d.policy_id, d.due_at))


class _Row(msgspec.Struct):
    """A decision with its lists as PostgreSQL writes them."""

    id: uuid.UUID
    decided_at: datetime
    customer_key: str
    campaign: str
    placement: str
    position: int
    arm: str
    policy_id: int | None
    policy_version: int | None
    offer: str | None
    propensity: float
    eligible: str
    weights: str
    features: str
    reasons: Sequence[str]
    held_back: bool
    due_at: datetime
    products: str
    ranker_version: int | None
    cost_cents: int


def to_json(decisions: Iterable[Logged]) -> str:
    """Write decisions as the parameter of `LOG`."""
    return msgspec.json.encode([_to_row(decision) for decision in decisions]).decode()


def _to_row(d: Logged) -> _Row:
    return _Row(
        id=d.id,
        decided_at=d.decided_at,
        customer_key=d.customer_key,
        campaign=d.campaign,
        placement=d.placement,
        position=d.position,
        arm=d.arm,
        policy_id=d.policy_id,
        policy_version=d.policy_version,
        offer=d.offer,
        propensity=d.propensity,
        eligible=write_texts(d.eligible),
        weights=write_numbers(d.weights),
        features=write_numbers(d.features),
        reasons=d.reasons,
        held_back=d.held_back,
        due_at=d.due_at,
        products=write_texts(d.products),
        ranker_version=d.ranker_version,
        cost_cents=d.cost_cents,
    )
