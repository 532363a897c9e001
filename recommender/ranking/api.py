"""Answer `POST /api/v1/picks`: products for a customer, by the served list and the session."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import numpy as np
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from audience.customers.finding import AnonymousId, Key, name_of
from audience.models import Scope
from audience.sources.keyring import Keyring, key_of
from recommender.arrays import FloatArray, IntArray
from recommender.listing.lists import Listed, Sorted
from recommender.listing.reranking import Followers
from recommender.ranking.reading import (
    fetch_by,
    find_person,
    read_followers,
    read_lists,
    read_products,
)
from wire.bodies import parse
from wire.messages import Request, Response, answer
from wire.routes import Handler

# What a sure follower of the newest event counts beside the best of the list.
SESSION_STRENGTH = 2.0
# Tables of so many rankings are kept; a site has a few.
MOST_TABLES = 20

Product = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Positive = Annotated[float, msgspec.Meta(ge=0)]


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """Who asks for products, what happened in the session so far, and what must not be shown.

    The session is oldest first; what is in it is not shown. Prices are in the shop's own currency;
    what is asked here goes before the ranking's own rules.
    """

    ranking: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
    customer: Key | None = None
    anonymous_id: AnonymousId | None = None
    count: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10
    session: Annotated[list[Product], msgspec.Meta(max_length=100)] = []
    exclude: Annotated[list[Product], msgspec.Meta(max_length=1000)] = []
    price_from: Positive | None = None
    price_to: Positive | None = None
    most_of_category: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Reply(msgspec.Struct, forbid_unknown_fields=True):
    """Products, best first, and the version that they are from; none where nothing is served."""

    version: int | None
    products: list[str]


class PicksApi:
    """The handler of the picks API."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection], keyring: Keyring) -> None:
        """Read through this pool, and know clients by this keyring."""
        self._pool = pool
        self._keyring = keyring
        self._tables: dict[str, tuple[int, Followers]] = {}

    def routes(self) -> Mapping[tuple[str, str], Handler]:
        """Return the path of the API with its handler."""
        return {("POST", "/api/v1/picks"): self.pick}

    async def pick(self, request: Request) -> Response:
        """Read the customer's list, rank it anew by the session, apply the rules.

        Raises:
            Problem: The key may not ask (401, 403), or the customer is not named once (422).
        """
        await self._keyring.find(key_of(request), scope=Scope.DECIDE)
        question = parse(request, Question)
        name = name_of(question.customer, question.anonymous_id)
        async with self._pool.connection() as connection:
            fetch, now = fetch_by(connection), datetime.now(UTC)
            person = await find_person(fetch, name)
            lists = await read_lists(fetch, [question.ranking], [person], now=now)
            listed = lists.find(question.ranking, person)
            table = listed and await self._table(connection, listed)
            if not listed or not table:
                return answer(Reply(None, []))
            followers = [table.numbers[key] for key in question.session if key in table.numbers]
            more = {table.keys[item] for item in table.follow(followers).tolist()}
            said = await read_products(fetch, more - listed.products.keys())
        listed = replace(listed, products={**listed.products, **said})
        return answer(Reply(listed.version, choose(table, listed, question)))

    async def _table(self, connection: AsyncConnection, listed: Listed) -> Followers | None:
        """Return the table of the version, which is read once."""
        held = self._tables.get(listed.ranking)
        if held is not None and held[0] == listed.version_id:
            return held[1]
        table = await read_followers(connection, listed.version_id)
        if table is not None:
            if len(self._tables) >= MOST_TABLES:
                self._tables.clear()
            self._tables[listed.ranking] = (listed.version_id, table)
        return table


def choose(table: Followers, listed: Listed, question: Question) -> list[str]:
    """Rank list and followers by the session, leave out what may not be shown, and cut."""
    numbers = table.numbers
    session = [numbers[key] for key in question.session if key in numbers]
    candidates, scores = _candidates(table, listed, session)
    total = table.rescore(candidates, scores, session, strength=SESSION_STRENGTH)
    order = np.argsort(-total, kind="stable")
    rules = {
        name: value
        for name in ("price_from", "price_to", "most_of_category")
        if (value := getattr(question, name)) is not None
    }
    ranked = replace(
        listed,
        items=tuple(table.keys[item] for item in candidates[order].tolist()),
        scores=tuple(total[order].tolist()),
        hidden=listed.hidden.union(question.session, question.exclude),
        rules=msgspec.structs.replace(listed.rules, **rules),
    )
    return Sorted(ranked).best(question.count)


def _candidates(
    table: Followers, listed: Listed, session: list[int]
) -> tuple[IntArray, FloatArray]:
    """Join the list with what follows the session, whose scores in the list are 0."""
    items = np.array([table.numbers[key] for key in listed.items], dtype=np.int64)
    # Scores of some rankers may be negative; the list's order is what they say.
    worth = np.array(listed.scores, dtype=np.float64)
    worth = worth - min(float(worth.min(initial=0.0)), 0.0)
    more = np.setdiff1d(table.follow(session), items)
    return np.concatenate([items, more]), np.concatenate([worth, np.zeros(len(more))])
