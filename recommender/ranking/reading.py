"""Read customers' served lists with what rules and pages need to know of them.

All is asked through a `Fetch`, so that hot paths and pages read by the same statements.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, LiteralString

import msgspec
from psycopg import AsyncConnection

from audience.commerce import EACH_PRODUCT, ORDERED, PRODUCT_KEY
from audience.customers.finding import Name
from recommender.listing.lists import Listed, Rules
from recommender.listing.products import Product, read_product
from recommender.listing.reranking import Followers

BY_KEY: LiteralString = """
    SELECT COALESCE(merged_into_id, id) FROM audience_customer WHERE external_key = %(key)s
"""
BY_ANONYMOUS_ID: LiteralString = """
    SELECT COALESCE(customer.merged_into_id, customer.id) FROM audience_identity AS identity
    JOIN audience_customer AS customer ON customer.id = identity.customer_id
    WHERE identity.kind = 'anonymous_id' AND identity.value = %(anonymous_id)s
"""
SERVED: LiteralString = """
    SELECT ranking.key, version.id, version.number, to_jsonb(ranking)::text
    FROM recommender_ranking AS ranking
    JOIN recommender_rankerversion AS version
        ON version.ranking_id = ranking.id AND version.status = 'served'
    WHERE ranking.key = ANY(%(rankings)s)
"""
LISTS: LiteralString = """
    SELECT listed.version_id, COALESCE(listed.customer_id, 0), listed.items, listed.scores
    FROM recommender_toppicks AS listed
    WHERE listed.version_id = ANY(%(versions)s)
      AND (listed.customer_id IS NULL OR listed.customer_id IN (
          SELECT COALESCE(merged_into_id, id) FROM audience_customer WHERE id = ANY(%(people)s)))
"""
PEOPLE: LiteralString = """
    SELECT id, COALESCE(merged_into_id, id) FROM audience_customer WHERE id = ANY(%(people)s)
"""
# What people bought, and what they did anything with.
HIDDEN: LiteralString = f"""
    SELECT DISTINCT COALESCE(same.merged_into_id, same.id),
           {PRODUCT_KEY}
    FROM audience_customer AS same
    JOIN audience_event AS event ON event.customer_id = same.id
    CROSS JOIN LATERAL {EACH_PRODUCT}
    WHERE (same.id = ANY(%(people)s) OR same.merged_into_id = ANY(%(people)s))
      AND event.name = ANY(%(names)s)
      AND event.occurred_at > LEAST(%(bought_since)s, %(met_since)s)
      AND event.occurred_at <= %(until)s
      AND (event.name = %(ordered)s AND event.occurred_at > %(bought_since)s
           OR event.name = ANY(%(met)s) AND event.occurred_at > %(met_since)s)
      AND {PRODUCT_KEY} <> ''
"""
PRODUCTS: LiteralString = """
    SELECT key, facts::text FROM recommender_product WHERE key = ANY(%(keys)s)
"""
FOLLOWERS = "SELECT followers FROM recommender_rankerversion WHERE id = %s"

Fetch = Callable[[LiteralString, Mapping[str, Any]], Awaitable[Sequence[Any]]]


class Watched(msgspec.Struct):
    """Which events a ranking learns from, and what each counts."""

    event_weights: dict[str, float]


@dataclass(frozen=True, slots=True)
class Served:
    """The version that a ranking serves: its id, its number, and the ranking's rules."""

    version_id: int
    version: int
    rules: Rules
    events: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lists:
    """What rankings list for some customers.

    Attributes:
        served: Of each ranking that serves a version, by its key.
        listed: Items and scores by the version and the person, who is 0 for newcomers.
        people: The person that each customer turned out to be.
        hidden: What rules keep from a person, by ranking and person.
        products: What is said of all that is listed, and of what was asked for besides.
    """

    served: Mapping[str, Served] = field(default_factory=dict)
    listed: Mapping[tuple[int, int], tuple[Sequence[str], Sequence[float]]] = field(
        default_factory=dict
    )
    people: Mapping[int, int] = field(default_factory=dict)
    hidden: Mapping[tuple[str, int], frozenset[str]] = field(default_factory=dict)
    products: Mapping[str, Product] = field(default_factory=dict)

    def find(
        self, ranking: str, customer_id: int | None, *, of_everybody: bool = False
    ) -> Listed | None:
        """Return what a ranking lists for a customer; None where it serves nothing.

        Args:
            ranking: Its key.
            customer_id: Who; a customer without a list of their own gets the one of newcomers.
            of_everybody: Whether it is that one anyway; rules keep the customer's own things out.
        """
        served = self.served.get(ranking)
        if served is None:
            return None
        person = self.people.get(customer_id or 0, 0)
        newcomers = self.listed.get((served.version_id, 0), ((), ()))
        own = newcomers if of_everybody else self.listed.get((served.version_id, person), newcomers)
        return Listed(
            ranking=ranking,
            version_id=served.version_id,
            version=served.version,
            items=tuple(own[0]),
            scores=tuple(own[1]),
            products=self.products,
            hidden=self.hidden.get((ranking, person), frozenset()),
            rules=served.rules,
        )

    def product(self, key: str) -> Product:
        """Return what is said of a product; of one that nobody spoke of, its key."""
        return self.products.get(key) or Product(key)


def fetch_by(connection: AsyncConnection[Any]) -> Fetch:
    """Return how to ask through a connection of the hot paths."""

    async def fetch(statement: LiteralString, params: Mapping[str, Any]) -> Sequence[Any]:
        return await (await connection.execute(statement, params)).fetchall()

    return fetch


async def find_person(fetch: Fetch, name: Name) -> int | None:
    """Find the person whom a client names; None for somebody unknown."""
    statement = BY_ANONYMOUS_ID if name.customer_key is None else BY_KEY
    asked = {"key": name.customer_key, "anonymous_id": name.anonymous_id}
    rows = await fetch(statement, asked)
    return rows[0][0] if rows else None


async def read_lists(
    fetch: Fetch,
    rankings: Iterable[str],
    customers: Iterable[int | None],
    *,
    now: datetime,
    besides: Iterable[str] = (),
) -> Lists:
    """Read what rankings list for customers, and for newcomers.

    Args:
        fetch: How to ask.
        rankings: Their keys.
        customers: Their ids; None is somebody unknown.
        now: Until when events count for the rules.
        besides: Keys of further products of which it is asked what is said.
    """
    ids = sorted({customer for customer in customers if customer is not None})
    served = {
        key: Served(
            version_id,
            version,
            msgspec.json.decode(row, type=Rules),
            tuple(msgspec.json.decode(row, type=Watched).event_weights),
        )
        for key, version_id, version, row in await fetch(SERVED, {"rankings": [*rankings]})
    }
    people: dict[int, int] = dict(await fetch(PEOPLE, {"people": ids})) if ids else {}
    versions = [one.version_id for one in served.values()]
    rows = await fetch(LISTS, {"versions": versions, "people": ids}) if versions else ()
    listed = {(version, person): (items, scores) for version, person, items, scores in rows}
    hidden: dict[tuple[str, int], frozenset[str]] = {}
    for key, one in served.items():
        hidden |= await _read_hidden(fetch, key, one, set(people.values()), now=now)
    keys = {item for items, _ in listed.values() for item in items} | set(besides)
    return Lists(served, listed, people, hidden, await read_products(fetch, keys))


async def read_products(fetch: Fetch, keys: Collection[str]) -> dict[str, Product]:
    """Read what is said of products, by key; of whom nothing is said is left out."""
    if not keys:
        return {}
    rows = await fetch(PRODUCTS, {"keys": sorted(keys)})
    return {key: read_product(key, msgspec.json.decode(facts)) for key, facts in rows}


async def _read_hidden(
    fetch: Fetch, ranking: str, served: Served, people: Collection[int], *, now: datetime
) -> dict[tuple[str, int], frozenset[str]]:
    rules = served.rules
    if not people or not (rules.bought_days or rules.met_days):
        return {}
    asked = {
        "people": sorted(people),
        "names": sorted({ORDERED, *served.events}),
        "ordered": ORDERED,
        "met": list(served.events),
        # What is of no days is asked of no time at all.
        "bought_since": now - timedelta(days=rules.bought_days),
        "met_since": now - timedelta(days=rules.met_days),
        "until": now,
    }
    found: dict[tuple[str, int], set[str]] = {}
    for person, item in await fetch(HIDDEN, asked):
        found.setdefault((ranking, person), set()).add(item)
    return {who: frozenset(items) for who, items in found.items()}


async def read_followers(connection: AsyncConnection[Any], version_id: int) -> Followers | None:
    """Read the table of a version; None if it was forgotten meanwhile.

    Raises:
        ValueError: It is damaged.
    """
    cursor = await connection.execute(FOLLOWERS, [version_id])
    row = await cursor.fetchone()
    return None if row is None or row[0] is None else Followers.from_bytes(bytes(row[0]))
