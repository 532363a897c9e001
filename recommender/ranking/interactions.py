"""Read which products customers met, and what their events say of the products."""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection

from audience.commerce import EACH_PRODUCT, PRODUCT_KEY
from recommender.interactions.files import Interactions, join
from recommender.interactions.histories import Histories
from recommender.interactions.item_facts import ItemFacts
from recommender.listing.products import price_of

# One event a minute through all of the 16 hours that people are awake: programs do more.
BOT_EVENTS_PER_DAY = 1000
EVER = datetime(1970, 1, 1, tzinfo=UTC)
WORD = re.compile(r"\w+")

# An event is about its own product, or about each of its products, as orders are.
TOUCHED = f"""
    SELECT COALESCE(customer.merged_into_id, customer.id) AS person, event.occurred_at, event.name,
           event.id, {PRODUCT_KEY} AS item, product
    FROM audience_event AS event
    JOIN audience_customer AS customer ON customer.id = event.customer_id
    CROSS JOIN LATERAL {EACH_PRODUCT}
    WHERE event.name = ANY(%(names)s)
      AND event.occurred_at >= %(since)s AND event.occurred_at < %(until)s
      AND {PRODUCT_KEY} <> ''
"""
HISTORIES = f"""
    WITH touched AS ({TOUCHED}), bots AS (
        SELECT DISTINCT person FROM touched
        GROUP BY person, date_trunc('day', occurred_at, 'UTC') HAVING count(*) > %(busiest)s
    ), numbered AS (
        SELECT person, item, occurred_at, name, id,
               row_number() OVER (PARTITION BY person ORDER BY occurred_at DESC, id DESC) AS place
        FROM touched WHERE person NOT IN (SELECT person FROM bots)
    )
    SELECT person, item, extract(epoch FROM occurred_at)::float8, name FROM numbered
    WHERE place <= %(most)s ORDER BY person, occurred_at, id, item
"""
PRODUCTS = f"""
    SELECT DISTINCT ON (item) item, product FROM ({TOUCHED}) AS touched
    WHERE item = ANY(%(items)s) ORDER BY item, occurred_at DESC, id DESC
"""


@dataclass(frozen=True, slots=True, eq=False)
class SiteData:
    """What a site knows at one time.

    Attributes:
        customers: Ids, in the order of the histories.
        items: Products' keys, in the order of their numbers.
        histories: With times.
        facts: What events said of the products: name, category, brand and price.
        categories: Of each product; empty where nothing says one.
        digest: The same for the same events, so that a version can say what it learned from.
    """

    customers: tuple[int, ...]
    items: tuple[str, ...]
    histories: Histories
    facts: ItemFacts
    categories: tuple[str, ...]
    digest: str


def read_site(
    weights: Mapping[str, float], *, since: datetime, until: datetime, per_customer: int
) -> SiteData:
    """Read customers' newest events in a stretch of time; programs are left out.

    Customers who turned out to be one are one.

    Args:
        weights: What each event counts; others are not read.
        since: Of the first event.
        until: Just after the last one.
        per_customer: How many of the newest events of each customer.

    Raises:
        ValueError: There is no such event.
    """
    asked: dict[str, Any] = {
        "names": list(weights),
        "since": since,
        "until": until,
        "busiest": BOT_EVENTS_PER_DAY,
        "most": per_customer,
    }
    with connection.cursor() as cursor:
        cursor.execute(HISTORIES, asked)
        rows = cursor.fetchall()
        if not rows:
            raise ValueError("No event names a product yet, so there is nothing to learn from.")
        read = join((str(person), item, at, weights[name]) for person, item, at, name in rows)
        cursor.execute(PRODUCTS, asked | {"items": list(read.items)})
        # Django has JSON come as text.
        said = {item: json.loads(product) for item, product in cursor.fetchall()}
    return SiteData(
        customers=tuple(map(int, read.customers)),
        items=read.items,
        histories=read.histories,
        facts=_facts(read.items, said),
        categories=tuple(str(said.get(item, {}).get("category") or "") for item in read.items),
        digest=_digest(read),
    )


def read_history(
    customer_id: int, weights: Mapping[str, float], *, until: datetime, most: int
) -> list[tuple[datetime, str, str, str]]:
    """Return a customer's newest events: when, what, the product's key and its name, if any."""
    statement = f"""
        SELECT occurred_at, name, item, COALESCE(product ->> 'name', '') FROM ({TOUCHED}) AS touched
        WHERE person = %(person)s ORDER BY occurred_at DESC, id DESC LIMIT %(most)s
    """
    with connection.cursor() as cursor:
        cursor.execute(
            statement,
            {
                "names": list(weights),
                "since": EVER,
                "until": until,
                "person": customer_id,
                "most": most,
            },
        )
        rows: list[tuple[datetime, str, str, str]] = cursor.fetchall()
    return rows


def read_names(
    weights: Mapping[str, float], items: Collection[str], *, until: datetime
) -> dict[str, str]:
    """Return what products are called, by their keys, as far as events say so."""
    asked: dict[str, Any] = {
        "names": list(weights),
        "since": EVER,
        "until": until,
        "items": list(items),
    }
    with connection.cursor() as cursor:
        cursor.execute(PRODUCTS, asked)
        said = {item: json.loads(product).get("name") for item, product in cursor.fetchall()}
    return {item: name for item, name in said.items() if isinstance(name, str) and name}


def _facts(items: Iterable[str], said: Mapping[str, Any]) -> ItemFacts:
    products = [said.get(item, {}) for item in items]
    return ItemFacts.of(
        [words_of(each) for each in products],
        prices=list(map(price_of, products)),
        texts=[sentence_of(each) for each in products],
    )


def words_of(product: Mapping[str, Any]) -> list[str]:
    """Return the words of a product's name, and its category, brand and variant as they are."""
    name = product.get("name")
    words = WORD.findall(name.lower()) if isinstance(name, str) else []
    whole = [
        f"{key}={product[key]}"
        for key in ("category", "brand", "variant")
        if isinstance(product.get(key), str)
    ]
    return [*words, *whole]


def sentence_of(product: Mapping[str, Any]) -> str:
    """Return what is said of a product as one text: its name, category, brand and variant."""
    said = (product.get(key) for key in ("name", "category", "brand", "variant"))
    return ", ".join(text.strip() for text in said if isinstance(text, str) and text.strip())


def _digest(read: Interactions) -> str:
    hashed = hashlib.sha256("\n".join((*read.customers, *read.items)).encode())
    histories = read.histories
    for array in (histories.starts, histories.items, histories.weights, histories.times):
        hashed.update(array.tobytes())
    return hashed.hexdigest()
