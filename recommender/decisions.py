"""Log decisions, each with the reward that it is waiting for."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection, AsyncCursor
from psycopg.types.json import Jsonb

from recommender.decision_ids import DECISIONS

# One statement for any number of decisions: a pending reward is made with its decision or not
# at all. Lists come as PostgreSQL writes them, which it reads several times faster than JSON.
# A decision that is there already, because what was spooled is logged a second time, stays so.
LOG = f"""
    WITH item AS (
        SELECT customer.id AS customer_id, item.* FROM json_to_recordset(%(items)s::json) AS item (
            id uuid, decided_at timestamptz, customer_key text, campaign text, placement text,
            position smallint, arm text, policy_id bigint, policy_version integer, offer text,
            propensity double precision, eligible text, weights text, features text, reasons jsonb,
            held_back boolean, due_at timestamptz, products text, ranker_version bigint,
            cost_cents integer)
        JOIN audience_customer AS customer ON customer.external_key = item.customer_key
    ), logged AS (
        INSERT INTO {DECISIONS} (id, decided_at, customer_id, campaign, placement, position, arm,
            policy_id, policy_version, offer, propensity, eligible, weights, features, reasons,
            held_back, products, ranker_version, cost_cents)
        SELECT id, decided_at, customer_id, campaign, placement, position, arm,
            policy_id, policy_version, offer, propensity, eligible::text[],
            weights::double precision[], features::double precision[], reasons, held_back,
            products::text[], ranker_version, cost_cents
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


# What each decision fills, and what its reward waits for.
COLUMNS = (
    "id", "decided_at", "customer_id", "campaign", "placement", "position", "arm", "policy_id",
    "policy_version", "offer", "propensity", "eligible", "weights", "features", "reasons",
    "held_back", "cost_cents",
)  # fmt: skip
COPY = f"COPY {DECISIONS} ({', '.join(COLUMNS)}) FROM STDIN"
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
    connection: AsyncConnection[Any], decisions: Sequence[tuple[int, Logged]]
) -> None:
    """Log many decisions, each with its customer's id, in the transaction at hand.

    None of them may have been logged before, and the connection must not be in a pipeline.
    """
    async with connection.cursor() as cursor:
        async with cursor.copy(COPY) as copy:
            for customer_id, d in decisions:
                row = (
                    d.id,
                    d.decided_at,
                    customer_id,
                    d.campaign,
                    d.placement,
                    d.position,
                    d.arm,
                    d.policy_id,
                    d.policy_version,
                    d.offer,
                    d.propensity,
                    write_texts(d.eligible),
                    write_numbers(d.weights),
                    write_numbers(d.features),
                    Jsonb(list(d.reasons)),
                    d.held_back,
                    d.cost_cents,
                )
                await copy.write_row(row)
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
    rows = [
        _Row(
            d.id,
            d.decided_at,
            d.customer_key,
            d.campaign,
            d.placement,
            d.position,
            d.arm,
            d.policy_id,
            d.policy_version,
            d.offer,
            d.propensity,
            write_texts(d.eligible),
            write_numbers(d.weights),
            write_numbers(d.features),
            d.reasons,
            d.held_back,
            d.due_at,
            write_texts(d.products),
            d.ranker_version,
            d.cost_cents,
        )
        for d in decisions
    ]
    return msgspec.json.encode(rows).decode()


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
