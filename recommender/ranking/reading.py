"""Read the served lists and tables, from the asynchronous hot paths."""

from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import AsyncConnection

from audience.finding import Name
from recommender.reranking import Followers

BY_KEY: LiteralString = """
    SELECT COALESCE(merged_into_id, id) FROM audience_customer WHERE external_key = %(key)s
"""
BY_ANONYMOUS_ID: LiteralString = """
    SELECT COALESCE(customer.merged_into_id, customer.id) FROM audience_identity AS identity
    JOIN audience_customer AS customer ON customer.id = identity.customer_id
    WHERE identity.kind = 'anonymous_id' AND identity.value = %(anonymous_id)s
"""
# A customer without a list of their own, newly come for instance, gets the one of newcomers.
PICKS: LiteralString = """
    SELECT version.id, version.number, listed.items, listed.scores
    FROM recommender_ranking AS ranking
    JOIN recommender_rankerversion AS version
        ON version.ranking_id = ranking.id AND version.status = 'served'
    JOIN recommender_toppicks AS listed ON listed.version_id = version.id
    WHERE ranking.key = %(ranking)s
      AND (listed.customer_id = ({person}) OR listed.customer_id IS NULL)
    ORDER BY listed.customer_id NULLS LAST LIMIT 1
"""
FOLLOWERS = "SELECT followers FROM recommender_rankerversion WHERE id = %s"


@dataclass(frozen=True, slots=True)
class Picks:
    """A customer's list, best first, and the version that made it: its id and its number."""

    version_id: int
    version: int
    items: tuple[str, ...]
    scores: tuple[float, ...]


async def read_picks(connection: AsyncConnection[Any], ranking: str, name: Name) -> Picks | None:
    """Read what a ranking shows a customer; None where no version is served."""
    person = BY_ANONYMOUS_ID if name.customer_key is None else BY_KEY
    cursor = await connection.execute(
        PICKS.format(person=person),
        {"ranking": ranking, "key": name.customer_key, "anonymous_id": name.anonymous_id},
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    version_id, version, items, scores = row
    return Picks(version_id, version, tuple(items), tuple(scores))


async def read_followers(connection: AsyncConnection[Any], version_id: int) -> Followers | None:
    """Read the table of a version; None if it was forgotten meanwhile.

    Raises:
        ValueError: It is damaged.
    """
    cursor = await connection.execute(FOLLOWERS, [version_id])
    row = await cursor.fetchone()
    return None if row is None or row[0] is None else Followers.from_bytes(bytes(row[0]))
