"""Writes what was decided, in one statement: who is new, decisions, their rewards, arms met."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import msgspec
import psycopg
from psycopg import AsyncConnection, AsyncCursor

from audience.customers.meeting import IDENTIFY_BY_KEY, MAKE_BY_KEY, to_visitors
from experiments.assigning.exposures import EXPOSED
from recommender.decisions import ITEMS, LOGGED, Logged, to_json
from wire.pg_values import write_numbers, write_texts

# Customers are made only if nobody made them meanwhile: then their decisions have no customer, and
# the statement is refused as a whole.
WRITE: LiteralString = f"""
    WITH stranger AS ({MAKE_BY_KEY} RETURNING id, external_key), identified AS (
        {IDENTIFY_BY_KEY.format(made="stranger")}
    ), customer AS (
        SELECT id, external_key FROM stranger
        UNION ALL
        SELECT id, key FROM unnest(%(known_ids)s::bigint[], %(known_keys)s::text[])
            AS known (id, key)
    ), item AS (
        SELECT customer.id AS customer_id, item.*
        FROM {ITEMS} LEFT JOIN customer ON customer.external_key = item.customer_key
    ), {LOGGED}, met AS (
        SELECT customer.id AS customer_id, met.*
        FROM json_to_recordset(%(met)s::json)
            AS met (customer_key text, experiment_id bigint, arm_id bigint, at timestamptz)
        LEFT JOIN customer ON customer.external_key = met.customer_key
    ), exposed AS ({EXPOSED})
    SELECT count(*) FROM logged
"""
# Raised where others wanted the same rows in another order, or made or erased somebody meanwhile. A
# second try finds what they left.
OVERTAKEN = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.ForeignKeyViolation,
    psycopg.errors.NotNullViolation,
)


@dataclass(frozen=True, slots=True)
class NewlyMet:
    """A customer, by key, met an arm."""

    customer_key: str
    experiment_id: int
    arm_id: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Unlogged:
    """What one transaction has to write; `added` is what it has to count."""

    decisions: Sequence[Logged]
    met: Sequence[NewlyMet]
    added: Mapping[str, int]

    @property
    def keys(self) -> set[str]:
        """The keys of all customers it is about."""
        return {d.customer_key for d in self.decisions} | {met.customer_key for met in self.met}


async def write(
    connection: AsyncConnection[Any], unlogged: Unlogged, ids: Mapping[str, int]
) -> AsyncCursor[Any]:
    """Write all but what is counted; whoever is not known is made.

    Args:
        connection: What it writes is committed at once, or with the transaction at hand.
        unlogged: What to write.
        ids: Of the customers who are known, by their keys.

    Returns:
        A cursor with one row of one number: how many decisions were not logged before.

    Raises:
        psycopg.Error: Nothing was written; where it is one of `OVERTAKEN`, because others were
            faster.
    """
    keys = unlogged.keys
    strangers, known = sorted(keys - ids.keys()), sorted(keys & ids.keys())
    return await connection.execute(
        WRITE,
        {
            **to_visitors(strangers),
            "known_ids": write_numbers([ids[key] for key in known]),
            "known_keys": write_texts(known),
            "items": to_json(unlogged.decisions),
            "met": msgspec.json.encode(unlogged.met).decode(),
        },
    )
