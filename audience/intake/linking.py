"""Find the customers that messages are about: make strangers, join visitors to customers.

Two batches at once may be about the same people. They wait for each other in a circle unless all
take their locks in one order, so every statement here sorts, and the tables come in turn: customers
that are made, identities that are made, identities that move, customers that change.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from psycopg import AsyncConnection

from audience.incoming import ANONYMOUS_PREFIX, Incoming
from audience.intake.orders import order_id_in

CREATE_CUSTOMERS = """
    INSERT INTO audience_customer (external_key, attributes)
    SELECT key, '{}' FROM unnest(%(keys)s::text[]) AS key ORDER BY key
    ON CONFLICT (external_key) DO NOTHING
"""

FIND_CUSTOMERS = """
    SELECT external_key, id, merged_into_id FROM audience_customer
    WHERE external_key = ANY(%(keys)s::text[])
"""

# An anonymous id that nobody has yet belongs to whoever came with it, or to itself.
CREATE_IDENTITIES = """
    INSERT INTO audience_identity (kind, value, customer_id)
    SELECT 'anonymous_id', link.anonymous_id, link.customer_id
    FROM unnest(%(anonymous_ids)s::text[], %(customers)s::bigint[])
        AS link (anonymous_id, customer_id)
    ORDER BY link.anonymous_id
    ON CONFLICT (kind, value) DO NOTHING
"""

# A browser that somebody else used before belongs to whoever uses it now.
HAND_OVER_IDENTITIES = """
    WITH moving AS (
        SELECT identity.id, link.customer_id
        FROM unnest(%(anonymous_ids)s::text[], %(customers)s::bigint[])
            AS link (anonymous_id, customer_id)
        JOIN audience_identity AS identity
          ON identity.kind = 'anonymous_id' AND identity.value = link.anonymous_id
        WHERE identity.customer_id <> link.customer_id
        ORDER BY identity.value
        FOR NO KEY UPDATE OF identity)
    UPDATE audience_identity AS identity SET customer_id = moving.customer_id
    FROM moving WHERE identity.id = moving.id
"""

FIND_OWNERS = """
    SELECT value, customer_id FROM audience_identity
    WHERE kind = 'anonymous_id' AND value = ANY(%(anonymous_ids)s::text[])
"""

LOCK_CUSTOMERS = """
    SELECT id FROM audience_customer
    WHERE id = ANY(%(described)s::bigint[])
       OR (external_key = ANY(%(visitors)s::text[]) AND merged_into_id IS NULL)
    ORDER BY external_key
    FOR NO KEY UPDATE
"""

# A visitor who logs in turns out to be a customer. Once merged, a visitor stays so: what another
# customer did with the same browser later is that customer's own.
MERGE_VISITORS = """
    UPDATE audience_customer AS visitor
    SET merged_into_id = COALESCE(customer.merged_into_id, customer.id), updated_at = now()
    FROM unnest(%(visitors)s::text[], %(customers)s::bigint[]) AS link (visitor, customer_id)
    JOIN audience_customer AS customer ON customer.id = link.customer_id
    WHERE visitor.external_key = link.visitor AND visitor.merged_into_id IS NULL
      AND visitor.id <> COALESCE(customer.merged_into_id, customer.id)
    RETURNING visitor.id
"""

NOBODY: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Found:
    """The ids of customers.

    Attributes:
        by_key: By their own keys.
        by_anonymous_id: By their anonymous ids.
        joined: Of visitors who turned out to be another just now.
    """

    by_key: Mapping[str, int]
    by_anonymous_id: Mapping[str, int]
    joined: Sequence[int] = ()

    def customer_of(self, message: Incoming) -> int:
        """Return the id of the customer that a message is about."""
        if message.customer_key is not None:
            return self.by_key[message.customer_key]
        assert message.anonymous_id is not None, "a message names somebody"
        return self.by_anonymous_id[message.anonymous_id]


async def find_customers(
    connection: AsyncConnection,
    messages: Sequence[Incoming],
    *,
    remembered: Mapping[str, int] = NOBODY,
) -> Found:
    """Find everybody that the messages name, in the transaction at hand.

    Who is not known is made, who logs in is joined to what they did before, and the customers
    whom the messages describe are locked until the transaction ends, as are visitors who send
    orders. Where everybody is known, which is nearly always, nothing is written.

    Args:
        connection: In a transaction.
        messages: In the order in which they came.
        remembered: The ids of customers by their keys, as they were found before. They are not
            looked up again for plain events.
    """
    links = [
        (message.anonymous_id, message.customer_key)
        for message in messages
        if message.anonymous_id is not None and message.customer_key is not None
    ]
    linked = {anonymous_id for anonymous_id, _ in links}
    asked = {
        message.anonymous_id
        for message in messages
        if message.anonymous_id is not None and message.customer_key is None
    }
    visitors = {anonymous_id: ANONYMOUS_PREFIX + anonymous_id for anonymous_id in linked}
    plain: dict[str, int] = {
        message.customer_key: remembered[message.customer_key]
        for message in messages
        if message.customer_key is not None and message.customer_key in remembered
    }
    keys = {
        message.customer_key
        for message in messages
        if message.customer_key is not None
        and (message.traits or message.anonymous_id or message.customer_key not in plain)
    }
    known = await _find_all(connection, {*keys, *visitors.values()}, asked | linked)
    strangers = {
        anonymous_id: ANONYMOUS_PREFIX + anonymous_id
        for anonymous_id in asked - linked - known.owners.keys()
    }
    by_key = {**plain, **known.customers}
    if missing := {*keys, *strangers.values()} - by_key.keys():
        by_key = by_key | await _make_customers(connection, missing)
    # Who came first with a browser had its past; who came last has its future.
    firsts = {anonymous_id: by_key[key] for anonymous_id, key in reversed(links)}
    lasts = {anonymous_id: by_key[key] for anonymous_id, key in links}
    owners = known.owners
    if strangers or not lasts.items() <= owners.items():
        made = firsts | {a: by_key[key] for a, key in strangers.items()}
        await _execute_links(connection, CREATE_IDENTITIES, made)
        await _execute_links(connection, HAND_OVER_IDENTITIES, lasts)
        owners = await _find_owners(connection, asked)
    found = Found(by_key, owners)
    described = sorted({found.customer_of(message) for message in messages if message.traits})
    # Whoever had no identity yet may be made by somebody else at this moment.
    open_visitors = {
        anonymous_id: customer_id
        for anonymous_id, customer_id in firsts.items()
        if anonymous_id not in known.owners or visitors[anonymous_id] in known.unmerged
    }
    visitor_keys = [visitors[anonymous_id] for anonymous_id in open_visitors]
    # Who joins a visitor at this moment would not see the order that is stored for the visitor, and
    # who stores it would not see the customer's: one of them waits here for the other.
    ordering = {
        ANONYMOUS_PREFIX + message.anonymous_id
        for message in messages
        if message.customer_key is None
        and message.anonymous_id is not None
        and order_id_in(message.name, message.properties) is not None
    }
    if described or open_visitors or ordering:
        locked = {"described": described, "visitors": [*ordering.union(visitor_keys)]}
        await connection.execute(LOCK_CUSTOMERS, locked)
    if open_visitors:
        merged = {"visitors": visitor_keys, "customers": list(open_visitors.values())}
        rows = await (await connection.execute(MERGE_VISITORS, merged)).fetchall()
        found = replace(found, joined=[id_ for (id_,) in rows])
    return found


@dataclass(frozen=True, slots=True)
class _Known:
    """Who was known before.

    Attributes:
        customers: Their ids by their keys.
        unmerged: The keys of those who have not turned out to be another.
        owners: The ids of those to whom anonymous ids belong.
    """

    customers: dict[str, int]
    unmerged: frozenset[str]
    owners: dict[str, int]


async def _find_all(
    connection: AsyncConnection, keys: Iterable[str], anonymous_ids: Iterable[str]
) -> _Known:
    rows: list[tuple[str, int, int | None]] = []
    if wanted := list(keys):
        cursor = await connection.execute(FIND_CUSTOMERS, {"keys": wanted})
        rows = await cursor.fetchall()
    return _Known(
        {key: id_ for key, id_, _ in rows},
        frozenset(key for key, _, merged_into in rows if merged_into is None),
        await _find_owners(connection, anonymous_ids),
    )


async def _make_customers(connection: AsyncConnection, keys: Iterable[str]) -> dict[str, int]:
    """Make customers, unless somebody else did just now, and return their ids."""
    wanted = {"keys": list(keys)}
    await connection.execute(CREATE_CUSTOMERS, wanted)
    cursor = await connection.execute(FIND_CUSTOMERS, wanted)
    return {key: id_ for key, id_, _ in await cursor.fetchall()}


async def _execute_links(
    connection: AsyncConnection, statement: str, links: Mapping[str, int]
) -> None:
    if links:
        parameters = {"anonymous_ids": list(links), "customers": list(links.values())}
        await connection.execute(statement, parameters)


async def _find_owners(connection: AsyncConnection, anonymous_ids: Iterable[str]) -> dict[str, int]:
    """Return the ids of the customers to whom anonymous ids belong."""
    wanted = {"anonymous_ids": list(anonymous_ids)}
    if not wanted["anonymous_ids"]:
        return {}
    cursor = await connection.execute(FIND_OWNERS, wanted)
    return dict(await cursor.fetchall())
