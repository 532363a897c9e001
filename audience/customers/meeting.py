"""Finds everybody who asks at the same time, and makes who is new."""

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

from psycopg import AsyncConnection

from audience.customers.finding import PERSON, Found, Name
from audience.incoming import ANONYMOUS_PREFIX
from wire.pg_values import write_texts

ASKED = "unnest(%(keys)s::text[], %(anonymous_ids)s::text[]) AS asked (key, anonymous_id)"

# Two first requests of one customer may race: the second waits here for the first, and finds, in
# the next statement, all that the first one did. In one order, so that nobody waits in a circle.
MAKE = f"""
    INSERT INTO audience_customer (external_key, attributes)
    SELECT DISTINCT asked.key, '{{}}'::jsonb FROM {ASKED}
    WHERE (SELECT id FROM audience_customer WHERE external_key = asked.key) IS NULL
      AND (SELECT id FROM audience_identity
           WHERE kind = 'anonymous_id' AND value = asked.anonymous_id) IS NULL
    ORDER BY asked.key
    ON CONFLICT (external_key) DO NOTHING
"""
IDENTIFY = f"""
    INSERT INTO audience_identity (kind, value, customer_id)
    SELECT DISTINCT ON (asked.anonymous_id) 'anonymous_id', asked.anonymous_id, customer.id
    FROM {ASKED} JOIN audience_customer AS customer ON customer.external_key = asked.key
    WHERE asked.anonymous_id IS NOT NULL
      AND (SELECT id FROM audience_identity
           WHERE kind = 'anonymous_id' AND value = asked.anonymous_id) IS NULL
    ORDER BY asked.anonymous_id
    ON CONFLICT (kind, value) DO NOTHING
"""
# One person's requests, wherever they arrive, take turns until their transactions end.
TAKE_TURNS = f"""
    SELECT FROM audience_customer AS customer
    WHERE id IN (SELECT id FROM audience_customer JOIN {ASKED} ON external_key = asked.key
                 UNION
                 SELECT customer_id FROM audience_identity JOIN {ASKED}
                     ON kind = 'anonymous_id' AND value = asked.anonymous_id)
    ORDER BY external_key FOR NO KEY UPDATE
"""
# Whoever is not known yet has no row: is nobody's visitor, has no attributes and the id 0.
FIND: LiteralString = f"""
    SELECT asked.place - 1, customer.id, customer.external_key, customer.attributes {{columns}}
    FROM unnest(%(keys)s::text[], %(anonymous_ids)s::text[])
        WITH ORDINALITY AS asked (key, anonymous_id, place)
    LEFT JOIN LATERAL (
        SELECT known.id, known.external_key, known.attributes
        FROM audience_identity AS identity
        JOIN audience_customer AS known ON known.id = identity.customer_id
        WHERE identity.kind = 'anonymous_id' AND identity.value = asked.anonymous_id
        UNION ALL
        SELECT known.id, known.external_key, known.attributes
        FROM audience_customer AS known
        WHERE known.external_key = asked.key
          AND (SELECT id FROM audience_identity
               WHERE kind = 'anonymous_id' AND value = asked.anonymous_id) IS NULL
    ) AS known ON true
    CROSS JOIN LATERAL (
        SELECT COALESCE(known.id, 0) AS id, COALESCE(known.external_key, asked.key) AS external_key,
               COALESCE(known.attributes, '{{{{}}}}') AS attributes
    ) AS customer {PERSON}
"""
MAKE_BY_KEY: LiteralString = """
    INSERT INTO audience_customer (external_key, attributes, merged_into_id)
    SELECT DISTINCT ON (wanted.key) wanted.key, '{}'::jsonb,
           COALESCE(owner.merged_into_id, owner.id)
    FROM unnest(%(keys)s::text[]) AS wanted (key)
    LEFT JOIN unnest(%(visitors)s::text[], %(anonymous_ids)s::text[])
        AS visitor (key, anonymous_id) USING (key)
    LEFT JOIN audience_identity AS identity
        ON identity.kind = 'anonymous_id' AND identity.value = visitor.anonymous_id
    LEFT JOIN audience_customer AS owner ON owner.id = identity.customer_id
    ORDER BY wanted.key
    ON CONFLICT (external_key) DO NOTHING
"""
# `made` is where the visitors' rows are looked for.
IDENTIFY_BY_KEY: LiteralString = """
    INSERT INTO audience_identity (kind, value, customer_id)
    SELECT DISTINCT ON (visitor.anonymous_id) 'anonymous_id', visitor.anonymous_id, made.id
    FROM unnest(%(visitors)s::text[], %(anonymous_ids)s::text[]) AS visitor (key, anonymous_id)
    JOIN {made} AS made ON made.external_key = visitor.key
    ORDER BY visitor.anonymous_id
    ON CONFLICT (kind, value) DO NOTHING
"""


async def find(
    connection: AsyncConnection[Any],
    names: Sequence[Name],
    *,
    besides: LiteralString,
    params: Mapping[str, Any],
) -> Sequence[Found]:
    """Find customers, each as who they are by now, and strangers as what they would be.

    Args:
        connection: Where to ask.
        names: Of the customers; the same one may be asked for more than once.
        besides: More columns, as for `find_or_make`.
        params: Their parameters.
    """
    asked = _to_arrays(names)
    cursor = await connection.execute(FIND.format(columns=besides), {**asked, **params})
    found = {
        place: Found(id_, key, attributes, tuple(columns))
        for place, id_, key, attributes, *columns in await cursor.fetchall()
    }
    return [found[place] for place in range(len(names))]


async def take_turns(connection: AsyncConnection[Any], names: Sequence[Name]) -> None:
    """Keep other requests of these customers waiting until the transaction at hand ends.

    Strangers are made for it. In a pipeline it takes no round trip.
    """
    asked = _to_arrays(names)
    await connection.execute(MAKE, asked)
    if any(name.anonymous_id is not None for name in names):
        await connection.execute(IDENTIFY, asked)
    await connection.execute(TAKE_TURNS, asked)


def _to_arrays(names: Sequence[Name]) -> dict[str, Any]:
    return {
        "keys": write_texts([name.key for name in names]),
        "anonymous_ids": write_texts([name.anonymous_id for name in names]),
    }


async def make_by_key(connection: AsyncConnection[Any], keys: Sequence[str]) -> None:
    """Make the customers that are not there, by the keys of their rows, in the transaction at hand.

    A visitor's key tells the browser. If that belongs to a customer by now, the visitor turned out
    to be that customer.
    """
    wanted = to_visitors(keys)
    await connection.execute(MAKE_BY_KEY, wanted)
    await connection.execute(IDENTIFY_BY_KEY.format(made="audience_customer"), wanted)


def to_visitors(keys: Sequence[str]) -> dict[str, str]:
    """Write the parameters of `MAKE_BY_KEY`: the keys, and whose browsers they tell."""
    visitors = [key for key in keys if key.startswith(ANONYMOUS_PREFIX)]
    return {
        "keys": write_texts(keys),
        "visitors": write_texts(visitors),
        "anonymous_ids": write_texts([key.removeprefix(ANONYMOUS_PREFIX) for key in visitors]),
    }


async def find_by_key(connection: AsyncConnection[Any], keys: Sequence[str]) -> dict[str, int]:
    """Return the ids of customers by the keys of their rows."""
    cursor = await connection.execute(
        "SELECT external_key, id FROM audience_customer WHERE external_key = ANY(%s)", [list(keys)]
    )
    return dict(await cursor.fetchall())
