"""Let each order count once that an import brings, whichever way it came before or comes meanwhile.

The intake waits for orders that are locked, and an import may hold millions. So they are settled
without a lock at first, by what is known. Under the lock, which comes last, only those are settled
again of whose persons something was stored meanwhile.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

from django.db import connection

from audience.commerce import ORDER_ID, ORDERED
from audience.cursors import read_on_server
from audience.incoming import ANONYMOUS_PREFIX, Incoming
from audience.ingest import STORE_EVENTS, write_events
from audience.listening import Told
from audience.orders import LOCK, NAMES, Standing, recall, take
from audience.rejecting import KEPT_AT_ONCE, RECORD, Rejection, write_rejections

# So many orders are settled before what they come to is written.
CHUNK = 2_000
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

# The rows of `incoming` that are about orders, and whose. Those in doubt are not stored as they
# are.
MAKE_TABLES = """
    CREATE TEMP TABLE ordering AS
    SELECT incoming.number, incoming.name, incoming.order_id, customer.id AS customer_id,
           COALESCE(customer.merged_into_id, customer.id) AS person, false AS is_in_doubt
    FROM incoming JOIN audience_customer AS customer ON customer.external_key = incoming.key
    WHERE incoming.order_id IS NOT NULL;
    ANALYZE ordering;
    CREATE TEMP TABLE asked_order AS SELECT DISTINCT person, order_id FROM ordering;
    CREATE TEMP TABLE known_order AS
    SELECT 0::bigint AS person, ''::text AS order_id, event.*
    FROM audience_event AS event WHERE false;
"""
DROP_TABLES = "DROP TABLE ordering, asked_order, known_order"
# What was stored of the orders that are asked for, under all the names of their persons.
FIND_KNOWN = f"""
    ANALYZE asked_order;
    INSERT INTO known_order
    WITH person AS (SELECT DISTINCT person AS id FROM asked_order), called AS (
        SELECT id, id AS person FROM person
        UNION ALL
        SELECT same.id, person.id
        FROM person JOIN audience_customer AS same ON same.merged_into_id = person.id)
    SELECT called.person, asked_order.order_id, event.*
    FROM called
    JOIN audience_event AS event ON event.customer_id = called.id
    JOIN asked_order ON asked_order.person = called.person AND asked_order.order_id = {ORDER_ID}
    WHERE event.name = ANY(%(names)s);
    ANALYZE known_order;
"""
DOUBT = """
    UPDATE ordering SET is_in_doubt = true FROM (
        SELECT person, order_id FROM ordering GROUP BY person, order_id
        HAVING count(*) > 1 OR bool_or(name <> %(ordered)s)
        UNION SELECT person, order_id FROM known_order) AS doubtful
    WHERE ordering.person = doubtful.person AND ordering.order_id = doubtful.order_id
"""
# Whoever finds out who a visitor is waits for what is stored of the visitor's orders, as in
# `find_customers`.
LOCK_VISITORS = """
    SELECT FROM audience_customer
    WHERE id IN (SELECT customer_id FROM ordering)
      AND merged_into_id IS NULL AND starts_with(external_key, %(prefix)s)
    ORDER BY external_key FOR NO KEY UPDATE
"""
LOCK_ORDERS = LOCK.format(orders="ordering")
# What was received, and who turned out to be another, since the first look.
LOOK_AGAIN = """
    UPDATE ordering SET person = customer.merged_into_id FROM audience_customer AS customer
    WHERE customer.id = ordering.customer_id AND customer.merged_into_id <> ordering.person
      AND customer.updated_at >= %(since)s;
    TRUNCATE asked_order, known_order;
"""
ASK_AGAIN = """
    INSERT INTO asked_order
    SELECT DISTINCT person, order_id FROM ordering
    WHERE person = ANY(%(left)s) OR person IN (
        SELECT COALESCE(customer.merged_into_id, customer.id)
        FROM audience_event AS event
        JOIN audience_customer AS customer ON customer.id = event.customer_id
        WHERE event.received_at >= %(since)s AND event.name = ANY(%(names)s)
          AND NOT EXISTS (
              SELECT FROM incoming
              WHERE event.source_id = %(source)s AND incoming.message_id = event.message_id)
        UNION ALL
        SELECT merged_into_id FROM audience_customer
        WHERE updated_at >= %(since)s AND merged_into_id IS NOT NULL)
"""
DOUBT_AGAIN = """
    UPDATE ordering SET is_in_doubt = true FROM asked_order AS asked
    WHERE ordering.person = asked.person AND ordering.order_id = asked.order_id
"""
# What this import stored of them: nobody else's events can have these message ids.
TAKE_OUT = """
    DELETE FROM audience_event AS event
    USING asked_order JOIN ordering USING (person, order_id) JOIN incoming USING (number)
    WHERE event.customer_id = ordering.customer_id AND event.occurred_at = incoming.occurred_at
      AND event.source_id = %(source)s AND event.message_id = incoming.message_id
      AND event.name = ANY(%(names)s)
"""
# Order by order: what was stored before comes first.
READ = """
    SELECT person, order_id, false AS is_new, id AS place, source_id, customer_id, NULL AS key,
           message_id, occurred_at, name, value, properties
    FROM known_order
    UNION ALL
    SELECT person, order_id, true, number, %(source)s::bigint, customer_id, key,
           message_id, occurred_at, name, value, properties
    FROM ordering
    JOIN asked_order USING (person, order_id)
    JOIN incoming USING (number, order_id, name)
    WHERE is_in_doubt
    ORDER BY person, order_id, is_new, place
"""


class ImportedOrders:
    """The orders among the rows of the table `incoming`, in the transaction that stores them."""

    def __init__(self, *, source_id: int, since: datetime | None) -> None:
        """Find them, and mark those in doubt in the table `ordering`.

        Args:
            source_id: Whose the rows are.
            since: What was received before can be seen by now; None is not known.
        """
        self._params: dict[str, Any] = {
            "source": source_id,
            "since": since or LONG_AGO,
            "names": NAMES,
            "ordered": ORDERED,
            "prefix": ANONYMOUS_PREFIX,
        }
        # For whose order something waits that came from elsewhere: it is stored under the lock.
        self._left: set[int] = set()
        self._rejected: dict[str, Rejection] = {}
        self._execute(MAKE_TABLES)
        self._any = self._execute("SELECT FROM ordering LIMIT 1") > 0
        if self._any:
            self._execute(FIND_KNOWN)
            self._execute(DOUBT)

    def settle(self) -> int:
        """Store those in doubt, as far as they count; return how many rows more are stored."""
        return self._settle(is_locked=False) if self._any else 0

    def settle_again(self) -> int:
        """Put right what others have stored meanwhile, who wait until the transaction ends.

        Returns:
            How many rows more are stored; negative if they are fewer.
        """
        more = 0
        if self._any:
            self._execute(LOCK_VISITORS)
            self._execute(LOCK_ORDERS)
            self._execute(LOOK_AGAIN)
            if self._execute(ASK_AGAIN, left=list(self._left)):
                self._execute(DOUBT_AGAIN)
                more -= self._execute(TAKE_OUT)
                self._execute(FIND_KNOWN)
                more += self._settle(is_locked=True)
            if self._rejected:
                self._execute(RECORD, **write_rejections(list(self._rejected.values())))
        self._execute(DROP_TABLES)
        return more

    def _settle(self, *, is_locked: bool) -> int:
        stored = 0
        found = self._read()
        while orders := list(islice(found, CHUNK)):
            told: list[Told] = []
            for (person, order_id), rows in orders:
                taken = self._take(order_id, rows)
                others = [each for each, is_ours in taken if not is_ours]
                if others and not is_locked:
                    self._left.add(person)
                    continue
                told += [each for each, _ in taken]
                stored += len(taken) - len(others)
            if told:
                self._execute(STORE_EVENTS, events=write_events(told))
        return stored

    def _take(self, order_id: str, rows: Sequence[Any]) -> list[tuple[Told, bool]]:
        """Return what is to be stored of an order, and whether it is one of the rows."""
        standing = Standing()
        ours: list[Told] = []
        for is_new, _, source_id, customer_id, key, message_id, occurred_at, *said in rows:
            name, value, properties = said
            message = Incoming(
                message_id,
                occurred_at,
                customer_key=key,
                name=name,
                value=value,
                properties=json.loads(properties),
            )
            told = Told(message, customer_id, source_id)
            if is_new:
                ours.append(told)
            else:
                recall(standing, told)
        # Orders first, as in a batch of the intake.
        ours.sort(key=lambda told: told.message.name != ORDERED)
        source, ids = self._params["source"], {told.message.message_id for told in ours}
        taken: list[tuple[Told, bool]] = []
        for told in ours:
            value = told.message.value
            found = take(standing, told, order_id, said=None if value is None else abs(value))
            if not isinstance(found, Rejection):
                taken += [
                    (
                        each,
                        each.source_id == source and each.message.message_id in ids,
                    )
                    for each in found
                ]
            elif len(self._rejected) < KEPT_AT_ONCE:
                self._rejected[told.message.message_id] = found
        return taken

    def _read(self) -> Iterator[tuple[tuple[int, str], list[Any]]]:
        """Read the events of one order after the other; there may be millions."""
        found = read_on_server(READ, self._params)
        for key, rows in groupby(found, key=itemgetter(0, 1)):
            yield key, [row[2:] for row in rows]

    def _execute(self, statement: str, **more: Any) -> int:
        with connection.cursor() as cursor:
            cursor.execute(statement, {**self._params, **more})
            return int(cursor.rowcount)
