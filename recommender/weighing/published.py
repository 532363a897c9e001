"""Reads what policies published, from the asynchronous hot paths: each version once.

What was published under a number never changes, so whoever keeps it need not read it again.
"""

import logging
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from psycopg import AsyncConnection

from recommender.weighing.leaves import Leaves
from recommender.weighing.odds import Odds

logger = logging.getLogger(__name__)

T = TypeVar("T")

# A policy's id and the number of its version.
Version = tuple[int, int]

ODDS = """
    SELECT policy_id, number, odds FROM recommender_policyversion
    JOIN unnest(%s::bigint[], %s::integer[]) AS wanted (policy_id, number) USING (policy_id, number)
"""
LEAVES = """
    SELECT policy_id, leaf.version, leaf.table FROM recommender_policyleaves AS leaf
    JOIN unnest(%s::bigint[], %s::integer[]) AS wanted (policy_id, version)
        USING (policy_id, version)
"""


async def read_odds(
    connection: AsyncConnection[Any], versions: Collection[Version]
) -> dict[Version, Odds]:
    """Read versions' odds; what is damaged or gone is left out."""
    return await _read(connection, ODDS, versions, _unpack_odds, what="odds")


async def read_leaves(
    connection: AsyncConnection[Any], versions: Collection[Version]
) -> dict[Version, Leaves]:
    """Read versions' leaves; what is damaged or gone is left out."""
    return await _read(connection, LEAVES, versions, Leaves.from_json, what="leaves")


async def _read(
    connection: AsyncConnection[Any],
    statement: Any,
    versions: Collection[Version],
    unpack: Callable[[Any], T],
    *,
    what: str,
) -> dict[Version, T]:
    if not versions:
        return {}
    policies, numbers = zip(*sorted(versions), strict=True)
    cursor = await connection.execute(statement, [list(policies), list(numbers)])
    found: dict[Version, T] = {}
    for policy, number, packed in await cursor.fetchall():
        try:
            found[policy, number] = unpack(packed)
        except ValueError:
            # One damaged version must not keep the others from being read.
            logger.exception("The %s of policy %s cannot be read: %s", what, policy, number)
    return found


def _unpack_odds(blob: Any) -> Odds:
    return Odds.from_bytes(bytes(blob))
