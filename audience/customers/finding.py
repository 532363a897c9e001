"""Finds the customer whom a client names, or makes one, from the asynchronous hot paths."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, LiteralString

import msgspec
from psycopg import AsyncConnection

from audience.incoming import ANONYMOUS_ID_LENGTH, ANONYMOUS_PREFIX, KEY_LENGTH
from wire.messages import Problem

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=KEY_LENGTH)]
AnonymousId = Annotated[str, msgspec.Meta(min_length=1, max_length=ANONYMOUS_ID_LENGTH)]

# `person.ids` are all the customers that this one turned out to be; an own id comes first. They are
# found once, behind a fence: written into each place that names them, PostgreSQL 18 found them for
# the first customer of several and answered for the others with that one's.
PERSON: LiteralString = """
    CROSS JOIN LATERAL (
        SELECT ARRAY(SELECT customer.id UNION ALL
                     SELECT id FROM audience_customer WHERE merged_into_id = customer.id) AS ids
        OFFSET 0
    ) AS person
"""
FIND: LiteralString = f"""
    SELECT customer.id, customer.external_key, customer.attributes {{columns}}
    FROM audience_customer AS customer {PERSON}
"""
BY_KEY = "WHERE customer.external_key = %(key)s"
BY_ANONYMOUS_ID = """
    JOIN audience_identity AS identity ON identity.customer_id = customer.id
    WHERE identity.kind = 'anonymous_id' AND identity.value = %(anonymous_id)s
"""

# Two first requests of one customer may race: both end with the same row.
MAKE = """
    INSERT INTO audience_customer (external_key, attributes) VALUES (%(key)s, '{}')
    ON CONFLICT (external_key) DO UPDATE SET external_key = EXCLUDED.external_key
    RETURNING id, external_key, attributes
"""
IDENTIFY = """
    INSERT INTO audience_identity (kind, value, customer_id)
    VALUES ('anonymous_id', %(anonymous_id)s, %(customer)s) ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Name:
    """By what a client names a customer: exactly one of both.

    The id of a browser may belong to a known customer by now.
    """

    customer_key: str | None = None
    anonymous_id: str | None = None

    @property
    def key(self) -> str:
        """The customer's key, or the one that a visitor has until it turns out who it is."""
        if self.customer_key is not None:
            return self.customer_key
        return f"{ANONYMOUS_PREFIX}{self.anonymous_id}"


def name_of(customer: str | None, anonymous_id: str | None) -> Name:
    """Return how a question names its customer.

    Raises:
        Problem: By neither of the two, or by both (422).
    """
    if (customer is None) == (anonymous_id is None):
        raise Problem(422, "Name the customer by exactly one of `customer` and `anonymous_id`.")
    return Name(customer, anonymous_id)


@dataclass(frozen=True, slots=True)
class Found:
    """A customer, and what was asked for besides: nothing of one who was made just now.

    A stranger, who was not made, has the id 0.
    """

    id: int
    key: str
    attributes: Mapping[str, Any]
    besides: tuple[Any, ...] | None


async def find_or_make(
    connection: AsyncConnection,
    name: Name,
    *,
    besides: LiteralString,
    params: Mapping[str, Any],
) -> Found:
    """Find a customer in one query, or make one.

    Args:
        connection: Where to ask.
        name: Of the customer.
        besides: More columns, each after a comma, over `customer.id` and `person.ids`: the ids of
            the customer and of the visitors who turned out to be this customer.
        params: Their parameters.
    """
    where: LiteralString = BY_ANONYMOUS_ID if name.customer_key is None else BY_KEY
    cursor = await connection.execute(
        FIND.format(columns=besides) + where,
        {"key": name.customer_key, "anonymous_id": name.anonymous_id, **params},
    )
    row = await cursor.fetchone()
    if row is None:
        return await _make(connection, name)
    id_, key, attributes, *columns = row
    return Found(id_, key, attributes, tuple(columns))


async def _make(connection: AsyncConnection, name: Name) -> Found:
    async with connection.transaction():
        cursor = await connection.execute(MAKE, {"key": name.key})
        row = await cursor.fetchone()
        assert row is not None, "an upsert returns its row"
        if name.customer_key is None:
            await connection.execute(
                IDENTIFY, {"anonymous_id": name.anonymous_id, "customer": row[0]}
            )
    id_, key, attributes = row
    return Found(id_, key, attributes, None)
