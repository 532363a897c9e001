"""Answer `POST /api/v1/picks`: products for a customer, by the served list and the session."""

from collections.abc import Mapping
from typing import Annotated

import msgspec
import numpy as np
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from audience.finding import AnonymousId, Key, name_of
from audience.keyring import Keyring, key_of
from audience.models import Scope
from recommender.arrays import FloatArray, IntArray
from recommender.business_rules import (
    Ranked,
    cap_categories,
    leave_out,
    only_in_stock,
    within_prices,
)
from recommender.ranking.reading import Picks, read_followers, read_picks
from recommender.reranking import Followers
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

    The session is oldest first; what is in it is not shown. Prices are in the shop's own currency.
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
            picks = await read_picks(connection, question.ranking, name)
            table = picks and await self._table(connection, question.ranking, picks)
        if not picks or not table:
            return answer(Reply(None, []))
        return answer(Reply(picks.version, choose(table, picks, question)))

    async def _table(
        self, connection: AsyncConnection, ranking: str, picks: Picks
    ) -> Followers | None:
        """Return the table of the version, which is read once."""
        held = self._tables.get(ranking)
        if held is not None and held[0] == picks.version_id:
            return held[1]
        table = await read_followers(connection, picks.version_id)
        if table is not None:
            if len(self._tables) >= MOST_TABLES:
                self._tables.clear()
            self._tables[ranking] = (picks.version_id, table)
        return table


def choose(table: Followers, picks: Picks, question: Question) -> list[str]:
    """Rank list and followers by the session, leave out what may not be shown, and cut."""
    numbers = table.numbers
    session = [numbers[key] for key in question.session if key in numbers]
    candidates, scores = _candidates(table, picks, session)
    order = table.rerank(candidates, scores, session, strength=SESSION_STRENGTH)
    # Their order is all that counts from here on.
    ranked = Ranked(candidates[order], np.arange(len(order), 0, -1, dtype=np.float64))
    shown_not = [numbers[key] for key in question.exclude if key in numbers]
    ranked = leave_out(only_in_stock(ranked, table.shelf), [*session, *shown_not])
    if question.price_from is not None or question.price_to is not None:
        low, high = question.price_from or 0.0, question.price_to
        ranked = within_prices(
            ranked, table.shelf, low=low, high=float("inf") if high is None else high
        )
    if question.most_of_category is not None:
        ranked = cap_categories(ranked, table.shelf, most=question.most_of_category)
    return [table.keys[item] for item in ranked.items[: question.count].tolist()]


def _candidates(table: Followers, picks: Picks, session: list[int]) -> tuple[IntArray, FloatArray]:
    """Join the list with what follows the session, whose scores in the list are 0."""
    listed = np.array([table.numbers[key] for key in picks.items], dtype=np.int64)
    # Scores of some rankers may be negative; the list's order is what they say.
    worth = np.array(picks.scores)
    worth = worth - min(float(worth.min(initial=0.0)), 0.0)
    more = np.setdiff1d(table.follow(session), listed)
    return np.concatenate([listed, more]), np.concatenate([worth, np.zeros(len(more))])
