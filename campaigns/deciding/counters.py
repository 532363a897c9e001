"""Reads and moves the counters of limits, in the transaction that logs what they count."""

from collections.abc import Collection, Mapping
from typing import Any

from psycopg import AsyncConnection

MAKE = """
    INSERT INTO campaigns_counter (name, used)
    SELECT wanted, 0 FROM unnest(%(names)s::text[]) AS wanted ORDER BY wanted
    ON CONFLICT DO NOTHING
"""
# In one order, so that two transactions never wait for each other in a circle.
LOCK = """
    SELECT name, used FROM campaigns_counter
    WHERE name = ANY(%(names)s) ORDER BY name FOR NO KEY UPDATE
"""
READ = "SELECT name, used FROM campaigns_counter WHERE name = ANY(%(names)s)"
ADD = """
    UPDATE campaigns_counter AS counter SET used = GREATEST(counter.used + more.amount, 0)
    FROM unnest(%(names)s::text[], %(amounts)s::bigint[]) AS more (name, amount)
    WHERE counter.name = more.name
"""


async def lock_counters(connection: AsyncConnection[Any], names: Collection[str]) -> dict[str, int]:
    """Keep everybody else from counting these until the transaction ends; return what is used."""
    if not names:
        return {}
    wanted = {"names": sorted(names)}
    await connection.execute(MAKE, wanted)
    cursor = await connection.execute(LOCK, wanted)
    return dict(await cursor.fetchall())


async def read_counters(connection: AsyncConnection[Any], names: Collection[str]) -> dict[str, int]:
    """Return what is used, as far as it is committed; others may go on counting."""
    if not names:
        return {}
    cursor = await connection.execute(READ, {"names": list(names)})
    return dict(await cursor.fetchall())


async def move_counters(connection: AsyncConnection[Any], added: Mapping[str, int]) -> None:
    """Add to counters that this transaction has locked."""
    if added:
        await connection.execute(ADD, {"names": list(added), "amounts": list(added.values())})
