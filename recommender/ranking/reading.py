"""Read the served lists, from the asynchronous hot paths."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

# A customer without a list of their own, newly come for instance, gets the one of newcomers.
PICKS = """
    SELECT asked.customer_id, version.number, picks.items, picks.scores
    FROM recommender_ranking AS ranking
    JOIN recommender_rankerversion AS version
        ON version.ranking_id = ranking.id AND version.status = 'served'
    CROSS JOIN unnest(%s::bigint[]) AS asked (customer_id)
    CROSS JOIN LATERAL (
        SELECT items, scores FROM recommender_toppicks AS listed
        WHERE listed.version_id = version.id
          AND (listed.customer_id = asked.customer_id OR listed.customer_id IS NULL)
        ORDER BY listed.customer_id NULLS LAST LIMIT 1
    ) AS picks
    WHERE ranking.key = %s
"""


@dataclass(frozen=True, slots=True)
class Picks:
    """A customer's list, best first, and the version that made it."""

    version: int
    items: tuple[str, ...]
    scores: tuple[float, ...]


async def read_picks(
    connection: AsyncConnection[Any], ranking: str, customer_ids: Collection[int]
) -> dict[int, Picks]:
    """Read what a ranking shows some customers; nobody is in it where no version is served."""
    cursor = await connection.execute(PICKS, [list(customer_ids), ranking])
    return {
        customer: Picks(number, tuple(items), tuple(scores))
        for customer, number, items, scores in await cursor.fetchall()
    }
