"""Bring in many customers and events at once, by COPY; importing twice changes nothing."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils.module_loading import import_string
from psycopg import sql

from audience.cursors import read_on_server
from audience.importing.imported_orders import ImportedOrders
from audience.intake.ingest import to_jsonb
from audience.intake.listening import TOLD_COLUMNS, ImportListener, Told, to_told
from audience.intake.orders import order_id_in
from audience.keeping.closing import find_closed
from audience.keeping.partitions import event_partition, make_partitions, month_of
from audience.models import Source


@dataclass(frozen=True, slots=True)
class CustomerRow:
    """A customer to bring in; attributes are added to those already known."""

    key: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event to bring in; `message_id` makes it the same event when it comes again."""

    customer_key: str
    name: str
    occurred_at: datetime
    message_id: str
    value: float | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of the rows of a file.

    Attributes:
        rows: How many were read.
        new: How many of them were stored because they were new.
        known_orders: How many were messages that never came before, about orders or cancellations
            that count already.
    """

    rows: int
    new: int
    known_orders: int = 0


# The rows are numbered as they come, so that of two with one key or id it is clear which counts.
MAKE_TABLE = "CREATE TEMP TABLE incoming (number bigint GENERATED ALWAYS AS IDENTITY, {})"
DROP_TABLE = "DROP TABLE IF EXISTS pg_temp.incoming"

CUSTOMER_COLUMNS = {"key": "text", "attributes": "jsonb"}
STORE_CUSTOMERS = """
    WITH stored AS (
        INSERT INTO audience_customer AS known (external_key, attributes)
        SELECT DISTINCT ON (key) key, attributes FROM incoming ORDER BY key, number DESC
        ON CONFLICT (external_key) DO UPDATE
            SET attributes = known.attributes || EXCLUDED.attributes, updated_at = now()
            WHERE known.attributes IS DISTINCT FROM known.attributes || EXCLUDED.attributes
        RETURNING xmax = 0 AS is_new)
    SELECT count(*) FILTER (WHERE is_new) FROM stored
"""

EVENT_COLUMNS = {
    "key": "text",
    "name": "text",
    "occurred_at": "timestamptz",
    "message_id": "text",
    "value": "double precision",
    "properties": "jsonb",
    "order_id": "text",
}
STORE_STRANGERS = """
    INSERT INTO audience_customer (external_key, attributes)
    SELECT DISTINCT key, '{}'::jsonb FROM incoming ORDER BY key
    ON CONFLICT (external_key) DO NOTHING
"""
# What came before goes, and of two rows with one message id the second one. Where there are no such
# rows, as mostly, nothing is compared.
KEEP_FRESH = """
    WITH fresh AS (
        INSERT INTO audience_receivedmessage (source_id, message_id)
        SELECT DISTINCT %(source)s::bigint, message_id FROM incoming ORDER BY message_id
        ON CONFLICT DO NOTHING RETURNING message_id
    ), first AS (
        SELECT min(number) AS number FROM incoming JOIN fresh USING (message_id)
        GROUP BY message_id)
    DELETE FROM incoming
    WHERE (SELECT count(*) FROM fresh) < %(count)s
      AND NOT EXISTS (SELECT FROM first WHERE number = incoming.number)
"""
STORE_EVENTS = """
    INSERT INTO audience_event
        (occurred_at, customer_id, source_id, message_id, name, value, properties)
    SELECT incoming.occurred_at, customer.id, %(source)s,
           incoming.message_id, incoming.name, incoming.value, incoming.properties
    FROM incoming
    JOIN audience_customer AS customer ON customer.external_key = incoming.key
    WHERE NOT EXISTS (
        SELECT FROM ordering WHERE ordering.number = incoming.number AND look > 0)
"""
FIND_CUSTOMERS = """
    SELECT id FROM audience_customer WHERE external_key = ANY(ARRAY(
        SELECT DISTINCT key FROM incoming WHERE name = ANY(%s)))
    ORDER BY id
"""
FIND_EVENTS = f"""
    SELECT {TOLD_COLUMNS}
    FROM incoming
    JOIN audience_customer AS customer ON customer.external_key = incoming.key
    JOIN audience_event AS event
      ON event.customer_id = customer.id AND event.name = incoming.name
     AND event.occurred_at = incoming.occurred_at
    WHERE incoming.name = ANY(%(names)s) AND incoming.properties ?| %(naming)s
      AND event.source_id = %(source)s AND event.message_id = incoming.message_id
"""


def copy_rows(table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Write rows into a table by COPY, in the transaction at hand, and count them.

    COPY has the connection to itself: making a row must not query.
    """
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    count = 0
    with connection.cursor() as cursor, cursor.cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
            count += 1
    return count


def analyse(table: str) -> None:
    """Let PostgreSQL count a table that just grew: its plans go by the last count, here none."""
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(table)).as_string(cursor.cursor))


def import_customers(rows: Iterable[CustomerRow]) -> Imported:
    """Bring in customers, all of them or none; of two rows with one key the last counts."""
    with transaction.atomic(), connection.cursor() as cursor:
        count = _stage(CUSTOMER_COLUMNS, ((row.key, to_jsonb(row.attributes)) for row in rows))
        cursor.execute(STORE_CUSTOMERS)
        (new,) = cursor.fetchone()
        analyse("audience_customer")
        cursor.execute(DROP_TABLE)
    return Imported(rows=count, new=new)


def import_events(rows: Iterable[EventRow], *, source: Source) -> Imported:
    """Bring in events, all of them or none; customers that are not known yet are made."""
    with transaction.atomic():
        count = _stage(EVENT_COLUMNS, map(_to_values, rows))
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT date_trunc('month', occurred_at, 'UTC') FROM incoming")
        months = sorted(month_of(month) for (month,) in cursor.fetchall())
        # A transaction of its own: nobody waits for a partition until all rows are stored.
        with transaction.atomic():
            make_partitions([event_partition(month) for month in months])
        with transaction.atomic():
            analyse("incoming")
            cursor.execute(STORE_STRANGERS)
            analyse("audience_customer")
            # Asked first: what ends meanwhile is seen by what looks for orders.
            closed = find_closed()
            cursor.execute(KEEP_FRESH, {"source": source.pk, "count": count})
            fresh = count - cursor.rowcount
            orders = ImportedOrders(source_id=source.pk, since=closed)
            cursor.execute(STORE_EVENTS, {"source": source.pk})
            new = cursor.rowcount + orders.settle()
            analyse("audience_event")
            listeners: list[ImportListener] = [import_string(path) for path in settings.ON_IMPORT]
            finishing = [listen(_Brought(source.pk)) for listen in listeners]
            # Now and not at the commit, because from here on the intake may wait.
            connection.check_constraints()
            again = orders.settle_again()
            for finish in finishing:
                finish(again.changed)
        new += again.more
        orders.clear()
        cursor.execute(DROP_TABLE)
    return Imported(rows=count, new=new, known_orders=fresh - new)


@dataclass(frozen=True, slots=True)
class _Brought:
    """The rows that are stored, as listeners ask for them."""

    source_id: int

    def find_customers(self, names: Collection[str]) -> Sequence[int]:
        with connection.cursor() as cursor:
            cursor.execute(FIND_CUSTOMERS, [list(names)])
            return [id_ for (id_,) in cursor.fetchall()]

    def find_events(self, names: Collection[str], *, naming: Collection[str]) -> Iterator[Told]:
        params = {"names": list(names), "naming": list(naming), "source": self.source_id}
        return map(to_told, read_on_server(FIND_EVENTS, params))


def _stage(columns: Mapping[str, str], rows: Iterable[Sequence[Any]]) -> int:
    """Copy rows into a temporary table, in place of one that a failed import left, and count."""
    with connection.cursor() as cursor:
        cursor.execute(DROP_TABLE)
        cursor.execute(MAKE_TABLE.format(", ".join(f"{n} {type_}" for n, type_ in columns.items())))
    return copy_rows("incoming", list(columns), rows)


def _to_values(row: EventRow) -> tuple[Any, ...]:
    return (
        row.customer_key,
        row.name,
        row.occurred_at,
        row.message_id,
        row.value,
        to_jsonb(row.properties),
        order_id_in(row.name, row.properties),
    )
