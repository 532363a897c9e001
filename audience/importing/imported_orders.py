"""Let each order count once that an import brings, whichever way it came before or comes meanwhile.

The intake waits for orders that are locked, and an import may hold millions. So they are settled
without a lock at first, by what is known. Under the lock, which comes last, only those are settled
again of whose persons something was stored meanwhile.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

from django.db import connection

from audience.commerce import ORDER_ID, ORDERED
from audience.cursors import read_on_server
from audience.incoming import ANONYMOUS_PREFIX
from audience.intake.ingest import STORE_EVENTS, write_events
from audience.intake.listening import TOLD_COLUMNS, Changed, Told, to_told
from audience.intake.orders import LOCK, LOCK_NUMBER, NAMES, Standing, recall, take
from audience.intake.rejecting import KEPT_AT_ONCE, RECORD, Rejection, write_rejections

# So many orders are settled before what they come to is written.
CHUNK = 2_000
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

# The rows of `incoming` that are about orders, and whose; `look` says at which of two looks a row
# was found to need settling. At none, it is stored as it is.
MAKE_TABLES = """
    CREATE TEMP TABLE ordering AS
    SELECT incoming.number, incoming.name, incoming.order_id, customer.id AS customer_id,
           COALESCE(customer.merged_into_id, customer.id) AS person, 0::smallint AS look
    FROM incoming JOIN audience_customer AS customer ON customer.external_key = incoming.key
    WHERE incoming.order_id IS NOT NULL;
    ANALYZE ordering;
    CREATE TEMP TABLE asked_order (person bigint, order_id text);
    CREATE TEMP TABLE known_order AS
    SELECT 0::bigint AS person, ''::text AS order_id, event.*
    FROM audience_event AS event WHERE false;
"""
DROP_TABLES = "DROP TABLE IF EXISTS pg_temp.ordering, pg_temp.asked_order, pg_temp.known_order"
# What was stored of the orders that are asked for, under all the names of their persons.
FIND_KNOWN = f"""
    INSERT INTO known_order
    WITH person AS (SELECT DISTINCT person AS id FROM {{asked}}), called AS (
        SELECT id, id AS person FROM person
        UNION ALL
        SELECT same.id, person.id
        FROM person JOIN audience_customer AS same ON same.merged_into_id = person.id)
    SELECT called.person, {ORDER_ID}, event.*
    FROM called
    JOIN audience_event AS event ON event.customer_id = called.id
    WHERE event.name = ANY(%(names)s) AND EXISTS (
        SELECT FROM {{asked}} AS asked
        WHERE asked.person = called.person AND asked.order_id = {ORDER_ID});
    ANALYZE known_order;
"""
DOUBT = """
    UPDATE ordering SET look = 1 FROM (
        SELECT person, order_id FROM ordering GROUP BY person, order_id
        HAVING count(*) > 1 OR bool_or(name <> %(ordered)s)
        UNION SELECT person, order_id FROM known_order) AS doubtful
    WHERE ordering.person = doubtful.person AND ordering.order_id = doubtful.order_id;
    ANALYZE ordering;
"""
# What is asked for under the lock is few rows of many.
MAKE_READY = """
    CREATE INDEX ON ordering (person);
    CREATE INDEX ON incoming (number);
    TRUNCATE known_order;
"""
FIND_LOCKED = f"""
    SELECT array_agg(order_id)
    FROM (SELECT min(order_id) AS order_id FROM ordering GROUP BY {LOCK_NUMBER}) AS one_of_each
"""
# Whoever finds out who a visitor is waits for what is stored of the visitor's orders, as in
# `find_customers`.
LOCK_VISITORS = """
    SELECT FROM audience_customer
    WHERE id IN (SELECT customer_id FROM ordering)
      AND merged_into_id IS NULL AND starts_with(external_key, %(prefix)s)
    ORDER BY external_key FOR NO KEY UPDATE
"""
# Who turned out to be another since the first look: until then each was a person.
FIND_JOINED = """
    SELECT array_agg(id), array_agg(merged_into_id) FROM audience_customer
    WHERE updated_at >= %(since)s AND merged_into_id IS NOT NULL
"""
JOIN = """
    UPDATE ordering SET person = joined.other
    FROM unnest(%(joined)s::bigint[], %(into)s::bigint[]) AS joined (id, other)
    WHERE ordering.person = joined.id
"""
# Of whom others stored orders since. What this transaction wrote bears the number of its own, and
# is by far the most: it is told apart by that before anything else.
FIND_MET = """
    SELECT DISTINCT customer_id FROM audience_event
    WHERE xmin <> (SELECT xmin FROM ordering LIMIT 1)
      AND received_at >= %(since)s AND name = ANY(%(names)s)
"""
FIND_PERSONS = "SELECT COALESCE(merged_into_id, id) FROM audience_customer WHERE id = ANY(%(met)s)"
ASK_AGAIN = """
    WITH asked AS (
        UPDATE ordering SET look = 2 WHERE person = ANY(%(persons)s::bigint[])
        RETURNING person, order_id)
    INSERT INTO asked_order SELECT DISTINCT person, order_id FROM asked
"""
# What this import stored of them: nobody else's events can have these message ids.
TAKE_OUT = f"""
    DELETE FROM audience_event AS event
    USING ordering JOIN incoming USING (number)
    WHERE ordering.look = 2
      AND event.customer_id = ordering.customer_id AND event.occurred_at = incoming.occurred_at
      AND event.source_id = %(source)s AND event.message_id = incoming.message_id
      AND event.name = ANY(%(names)s)
    RETURNING {TOLD_COLUMNS}
"""
# Order by order: what was stored before comes first.
READ = f"""
    SELECT person, order_id, false AS is_new, id AS place, NULL AS key, {TOLD_COLUMNS}
    FROM known_order AS event
    UNION ALL
    SELECT person, order_id, true, number, key, {TOLD_COLUMNS}
    FROM (
        SELECT incoming.*, ordering.person, ordering.customer_id, %(source)s::bigint AS source_id,
               NULL::timestamptz AS received_at
        FROM ordering JOIN incoming USING (number, order_id, name)
        WHERE ordering.look = %(look)s) AS event
    ORDER BY person, order_id, is_new, place
"""


@dataclass(frozen=True, slots=True)
class SettledAgain:
    """What was put right under the lock.

    Attributes:
        more: How many of the import's rows more are stored; negative if they are fewer.
        changed: What others have to hear of it.
    """

    more: int
    changed: Changed


class ImportedOrders:
    """The orders among the rows of the table `incoming`, in the transaction that stores them."""

    def __init__(self, *, source_id: int, since: datetime | None) -> None:
        """Find them, and mark those that cannot be stored as they are in the table `ordering`.

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
        self._execute(DROP_TABLES)
        self._execute(MAKE_TABLES)
        self._any = bool(self._ask("SELECT 1 FROM ordering LIMIT 1"))
        self._locked: list[str] = []
        if self._any:
            self._execute(FIND_KNOWN.format(asked="ordering"))
            self._execute(DOUBT)

    def settle(self) -> int:
        """Store those in doubt, as far as they count; return how many rows more are stored."""
        if not self._any:
            return 0
        stored = sum(is_ours for _, is_ours in self._settle(look=1))
        self._execute(MAKE_READY)
        ((self._locked,),) = self._ask(FIND_LOCKED)
        return stored

    def settle_again(self) -> SettledAgain:
        """Put right what others have stored meanwhile, who wait until the transaction ends."""
        if not self._any:
            return SettledAgain(0, Changed())
        self._execute(LOCK_VISITORS)
        self._execute(LOCK, orders=self._locked)
        gone: list[Told] = []
        come: list[tuple[Told, bool]] = []
        if self._look_again():
            self._execute("ANALYZE asked_order")
            gone = [to_told(row) for row in self._ask(TAKE_OUT)]
            self._execute(FIND_KNOWN.format(asked="asked_order"))
            come = list(self._settle(look=2))
        if self._rejected:
            self._execute(RECORD, **write_rejections(list(self._rejected.values())))
        more = sum(is_ours for _, is_ours in come) - len(gone)
        return SettledAgain(more, Changed(gone, [told for told, _ in come]))

    def clear(self) -> None:
        """Drop the tables, when nobody waits any more."""
        self._execute(DROP_TABLES)

    def _look_again(self) -> int:
        """Mark the orders of whose persons something was stored, or left, since the first look."""
        ((joined, into),) = self._ask(FIND_JOINED)
        if joined:
            self._execute(JOIN, joined=joined, into=into)
        persons = {*self._left, *(into or ())}
        if met := [customer for (customer,) in self._ask(FIND_MET)]:
            persons |= {person for (person,) in self._ask(FIND_PERSONS, met=met)}
        return self._execute(ASK_AGAIN, persons=list(persons)) if persons else 0

    def _settle(self, *, look: int) -> Iterator[tuple[Told, bool]]:
        """Store what counts of the orders that a look found, and say of each if it is a row."""
        is_locked = look > 1
        found = self._read(look)
        while orders := list(islice(found, CHUNK)):
            stored: list[tuple[Told, bool]] = []
            for (person, order_id), rows in orders:
                taken = self._take(order_id, rows)
                if is_locked or all(is_ours for _, is_ours in taken):
                    stored += taken
                else:
                    self._left.add(person)
            if stored:
                self._execute(STORE_EVENTS, events=write_events([told for told, _ in stored]))
            yield from stored

    def _take(self, order_id: str, rows: Sequence[Any]) -> list[tuple[Told, bool]]:
        """Return what is to be stored of an order, and whether it is one of the rows."""
        standing = Standing()
        ours: list[Told] = []
        for is_new, _, key, *event in rows:
            told = to_told(event, customer_key=key)
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
                    (each, each.source_id == source and each.message.message_id in ids)
                    for each in found
                ]
            elif len(self._rejected) < KEPT_AT_ONCE:
                self._rejected[told.message.message_id] = found
        return taken

    def _read(self, look: int) -> Iterator[tuple[tuple[int, str], list[Any]]]:
        """Read the events of one order after the other; there may be millions."""
        found = read_on_server(READ, {**self._params, "look": look})
        for key, rows in groupby(found, key=itemgetter(0, 1)):
            yield key, [row[2:] for row in rows]

    def _execute(self, statement: str, **more: Any) -> int:
        with connection.cursor() as cursor:
            cursor.execute(statement, {**self._params, **more})
            return int(cursor.rowcount)

    def _ask(self, statement: str, **more: Any) -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(statement, {**self._params, **more})
            return list(cursor.fetchall())
