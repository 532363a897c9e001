"""Read lists from pages and tasks, by the statements that the hot paths ask."""

from collections.abc import Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, LiteralString, TypeVar

from django.db import connection

from recommender.listing.products import Product
from recommender.ranking.reading import Lists, read_lists, read_products

T = TypeVar("T")


def find_lists(
    rankings: Iterable[str],
    customers: Iterable[int | None],
    *,
    now: datetime,
    besides: Iterable[str] = (),
) -> Lists:
    """Read what rankings list for customers, as `read_lists` does."""
    return _finish(read_lists(_fetch, rankings, customers, now=now, besides=besides))


def find_products(keys: Iterable[str]) -> Mapping[str, Product]:
    """Read what is said of products, by key."""
    return _finish(read_products(_fetch, set(keys)))


async def _fetch(statement: LiteralString, params: Mapping[str, Any]) -> Sequence[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        rows: Sequence[Any] = cursor.fetchall()
    return rows


def _finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits, because `_fetch` does not, on this thread's connection."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        found: T = done.value
        return found
    raise RuntimeError("It waited, and nobody is there to wake it.")
