"""Reads columns from PostgreSQL in the transaction at hand.

It answers with arrays, a few of many rows each: row by row, by COPY too, the driver takes longer
than the database.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from django.db import connection
from numpy.typing import NDArray
from psycopg import Cursor, sql

from audience.columns.coded import to_microseconds
from audience.columns.happenings import Happenings

# Whatever makes rows vanish changes one of these: an erasure, or a month that is emptied.
REMOVALS = """
    SELECT (SELECT count(*) FROM audience_erasure WHERE erased_at IS NOT NULL),
           ARRAY(SELECT pg_relation_filenode(inhrelid)::bigint FROM pg_inherits
                 WHERE inhparent = 'audience_event'::regclass ORDER BY 1)
"""
PEOPLE = "SELECT array_agg(id), array_agg(COALESCE(merged_into_id, id)) FROM audience_customer"
LISTED = "SELECT array_agg(customer_id) FROM audience_membership WHERE audience_id = {audience}"
# A month at a time, for a value has its limit; grouped by month, they would be sorted first.
PARTITIONS = """
    SELECT inhrelid::regclass::text FROM pg_inherits
    WHERE inhparent = 'audience_event'::regclass ORDER BY 1
"""
EVENTS = "SELECT {columns} FROM {partition} WHERE name = ANY({names})"
OF_NAME = """
    array_agg(id) FILTER (WHERE name = {name}),
    array_agg(customer_id) FILTER (WHERE name = {name}),
    array_agg(occurred_at) FILTER (WHERE name = {name}),
    array_agg(COALESCE(value, 0)) FILTER (WHERE name = {name})
"""
ATTRIBUTES = "SELECT array_agg(id) {values} FROM audience_customer"
# In JSON, a line break is written by its escape.
PROPERTY = """
    SELECT array_agg(id), string_agg(({value})::text, E'\\n')
    FROM {partition} WHERE name = {name} AND {value} IS NOT NULL
"""
CHANGED = """
    SELECT array_agg(id), array_agg(COALESCE(merged_into_id, id)) {values}
    FROM (SELECT * FROM audience_customer WHERE updated_at >= {since} LIMIT {most}) AS changed
"""
RECEIVED = """
    SELECT convert_to(name, 'UTF8'), array_agg(id), array_agg(customer_id),
           array_agg(occurred_at), array_agg(COALESCE(value, 0)) {values}
    FROM audience_event WHERE name = ANY({names}) AND received_at >= {since} GROUP BY name
"""
RENAMED = "SELECT array_agg(event_id) FROM audience_renamedevent WHERE received_at >= {since}"
# Of the year 2000, from which PostgreSQL counts.
MILLENNIUM = to_microseconds(datetime(2000, 1, 1, tzinfo=UTC))
# As PostgreSQL sends an array without NULLs: five numbers, then each element after its length.
HEADER = 20
INTEGERS = np.dtype([("length", ">i4"), ("value", ">i8")])
FLOATS = np.dtype([("length", ">i4"), ("value", ">f8")])

Numbers = NDArray[np.int64]


def read_removals() -> tuple[Any, ...]:
    """Return what is another thing once rows were removed."""
    row = _one(REMOVALS)
    assert row is not None, "it is one row"
    return row


def read_now() -> datetime:
    """Return the time of the transaction at hand."""
    row = _one("SELECT now()")
    assert row is not None, "it is one row"
    moment: datetime = row[0]
    return moment


def read_people() -> tuple[Numbers, Numbers]:
    """Return the ids of all customers, and of those that they turned out to be."""
    ((ids, owners),) = _read_arrays(sql.SQL(PEOPLE))
    return _to_numbers(ids), _to_numbers(owners)


def read_list(audience_id: int) -> Numbers:
    """Return the ids of the customers on a list."""
    ((ids,),) = _read_arrays(sql.SQL(LISTED).format(audience=sql.Literal(audience_id)))
    return _to_numbers(ids)


def read_events(
    names: Sequence[str],
) -> Iterator[tuple[str, Numbers, Numbers, Numbers, Numbers]]:
    """Return, in parts, names with ids, customers, microseconds since 1970 and cents of events."""
    columns = [sql.SQL(OF_NAME).format(name=sql.Literal(name)) for name in names]
    for partition in _read_partitions() if names else ():
        query = sql.SQL(EVENTS).format(
            columns=sql.SQL(", ").join(columns),
            partition=partition,
            names=sql.Literal(list(names)),
        )
        for row in _read_arrays(query):
            for place, name in enumerate(names):
                ids, customers, times, values = row[4 * place : 4 * place + 4]
                if ids is not None:
                    yield name, *_to_columns(ids, customers, times, values)


def read_attributes(paths: Sequence[str]) -> Iterator[tuple[Numbers, Sequence[list[bytes]]]]:
    """Return the ids of all customers, and of each attribute the values as JSON."""
    query = sql.SQL(ATTRIBUTES).format(values=_values("attributes", paths))
    for ids, *values in _read_arrays(query) if paths else ():
        if ids is not None:
            yield _to_numbers(ids), [each.split(b"\n") for each in values]


def read_property(name: str, path: str) -> Iterator[tuple[Numbers, list[bytes]]]:
    """Return the ids of events of a name that have a property, and its values as JSON."""
    for partition in _read_partitions():
        query = sql.SQL(PROPERTY).format(
            value=written("properties", path), name=sql.Literal(name), partition=partition
        )
        for ids, values in _read_arrays(query):
            if ids is not None:
                yield _to_numbers(ids), values.split(b"\n")


def read_versions(audience_ids: list[int]) -> dict[int, int]:
    """Return the versions of lists, which grow whenever a list changes."""
    query = sql.SQL("SELECT id, version FROM audience_audience WHERE id = ANY({})")
    return dict(_rows(query.format(sql.Literal(audience_ids)))) if audience_ids else {}


@dataclass(frozen=True, slots=True)
class Received:
    """Events of one name that were received lately, and their properties as JSON, by path."""

    ids: Numbers
    customers: Numbers
    microseconds: Numbers
    cents: Numbers
    properties: Mapping[str, list[bytes]]


def read_changed(
    since: datetime, paths: Sequence[str], *, most: int
) -> tuple[Numbers, Numbers, Sequence[list[bytes]]] | None:
    """Return who changed since a time: ids, who they turned out to be, and the values at the paths.

    Returns None if they are more than `most`.
    """
    query = sql.SQL(CHANGED).format(
        values=_values("attributes", paths), since=sql.Literal(since), most=sql.Literal(most + 1)
    )
    for ids, owners, *values in _read_arrays(query):
        if ids is None:
            break
        changed = _to_numbers(ids)
        if len(changed) > most:
            return None
        return changed, _to_numbers(owners), [each.split(b"\n") for each in values]
    return np.empty(0, np.int64), np.empty(0, np.int64), [[] for _ in paths]


def read_received(
    since: datetime, events: Mapping[str, Happenings], *, most: int
) -> dict[str, Received] | None:
    """Return what was received since a time, by name; None if of one it is more than `most`."""
    paths = sorted({path for block in events.values() for path in block.properties})
    query = sql.SQL(RECEIVED).format(
        values=_values("properties", paths),
        names=sql.Literal(list(events)),
        since=sql.Literal(since),
    )
    received = {}
    for name, ids, customers, times, values, *properties in _read_arrays(query) if events else ():
        received[name.decode()] = found = Received(
            *_to_columns(ids, customers, times, values),
            dict(zip(paths, (each.split(b"\n") for each in properties), strict=True)),
        )
        if len(found.ids) > most:
            return None
    return received


def read_renamed(since: datetime) -> Numbers:
    """Return the ids of events that got another name since a time."""
    ((ids,),) = _read_arrays(sql.SQL(RENAMED).format(since=sql.Literal(since)))
    return _to_numbers(ids)


def _values(column: str, paths: Iterable[str]) -> sql.Composed:
    """Write columns of values, none of which is left out."""
    values = [
        sql.SQL(", string_agg(COALESCE(({})::text, 'null'), E'\\n')").format(written(column, path))
        for path in paths
    ]
    return sql.SQL("").join(values)


def written(column: str, path: str) -> sql.Composed:
    """Write the place of a value."""
    steps = [sql.Identifier(column), *(sql.Literal(name) for name in path.split("."))]
    return sql.SQL(" -> ").join(steps)


def _one(query: str) -> tuple[Any, ...] | None:
    with connection.cursor() as cursor:
        cursor.execute(query)
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row


def _rows(query: sql.Composed) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        # What a rule says is written into it already, per cent signs too.
        cursor.cursor.execute(query)
        return list(cursor.cursor.fetchall())


def _read_partitions() -> list[sql.SQL]:
    # Their names come quoted where they need to be.
    return [sql.SQL(name) for (name,) in _rows(sql.SQL(PARTITIONS).format())]


def _read_arrays(query: sql.Composed | sql.SQL) -> Sequence[Sequence[Any]]:
    """Return the rows as PostgreSQL sends them, in binary; of nothing, an aggregate is None.

    Without a cursor on the server, for which PostgreSQL would use one core alone.
    """
    # Django's own cursors write parameters into the text, and are answered in text.
    with connection.cursor() as cursor, Cursor(cursor.connection) as binary:
        result = binary.execute(query, binary=True).pgresult
        assert result is not None, "it was executed"
        return [
            [result.get_value(row, column) for column in range(result.nfields)]
            for row in range(result.ntuples)
        ]


def _to_columns(
    ids: bytes, customers: bytes, times: bytes, values: bytes
) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    # As `to_cents` rounds.
    cents = np.rint(_to_floats(values) * 100).astype(np.int64)
    return _to_numbers(ids), _to_numbers(customers), _to_numbers(times) + MILLENNIUM, cents


def _to_numbers(array: bytes | None) -> Numbers:
    if array is None:
        return np.empty(0, np.int64)
    return np.frombuffer(array, INTEGERS, offset=HEADER)["value"].astype(np.int64)


def _to_floats(array: bytes) -> NDArray[np.float64]:
    return np.frombuffer(array, FLOATS, offset=HEADER)["value"].astype(np.float64)
