"""Lays out what a statement reads as Parquet files: those of the lake, and what is not in them."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import connection
from duckdb import DuckDBPyConnection
from psycopg import sql

from audience.keeping.lake import Lake, copy_out, quoted, read_lake, read_lines
from experiments.engines.postgres import hashing
from experiments.engines.statement import Parsed

# One query, and so one state of the database, whatever the transaction at hand is: lines of every
# relation, told apart by the first column, the others used as they fit.
LINES = sql.SQL("""
    WITH people AS (
        SELECT DISTINCT COALESCE(customer.merged_into_id, customer.id) AS person
        FROM experiments_exposure AS exposure
        JOIN audience_customer AS customer ON customer.id = exposure.customer_id
        WHERE exposure.experiment_id = {experiment}
    ), known AS (
        SELECT customer.id, customer.merged_into_id, {attributes} AS texts
        FROM audience_customer AS customer
        JOIN people ON people.person = COALESCE(customer.merged_into_id, customer.id)
    )
    {parts}
""")
PARTS = {
    "audience_event": sql.SQL("""
        SELECT {number}, event.id, event.customer_id, event.source_id, to_json(event.name),
               event.occurred_at, event.value, {properties}, event.received_at
        FROM audience_event AS event JOIN known ON known.id = event.customer_id
        WHERE event.occurred_at >= {since} AND {is_not_in_lake}
    """),
    "audience_customer": sql.SQL("""
        SELECT {number}, id, merged_into_id, NULL::bigint, NULL::json,
               NULL::timestamptz, NULL::double precision, texts, NULL::timestamptz
        FROM known
    """),
    "experiments_exposure": sql.SQL("""
        SELECT {number}, exposure.experiment_id, exposure.customer_id, exposure.arm_id, NULL,
               exposure.exposed_at, NULL, NULL, NULL
        FROM experiments_exposure AS exposure JOIN known ON known.id = exposure.customer_id
        WHERE exposure.experiment_id = ANY({experiments})
    """),
    "experiments_prediction": sql.SQL("""
        SELECT {number}, prediction.id, prediction.customer_id, NULL, to_json(prediction.name),
               prediction.predicted_at, prediction.value, NULL, NULL
        FROM experiments_prediction AS prediction JOIN known ON known.id = prediction.customer_id
    """),
}
TYPES = {
    "part": "UTINYINT",
    "a": "BIGINT",
    "b": "BIGINT",
    "c": "BIGINT",
    "name": "JSON",
    "moment": "TIMESTAMPTZ",
    "value": "DOUBLE",
    "texts": "JSON",
    "received_at": "TIMESTAMPTZ",
}
_NAME = "json_extract_string(name, '$') AS name"
_MAP = "CAST(texts AS MAP(VARCHAR, VARCHAR))"
# The columns of events are those of the lake's files.
COLUMNS = {
    "audience_event": f"a AS id, b AS customer_id, c AS source_id, {_NAME}, "
    f"moment AS occurred_at, value, {_MAP} AS properties, received_at",
    "audience_customer": f"a AS id, b AS merged_into_id, {_MAP} AS attributes",
    "experiments_exposure": "a AS experiment_id, b AS customer_id, c AS arm_id, "
    "moment AS exposed_at",
    "experiments_prediction": f"a AS id, b AS customer_id, {_NAME}, value, moment AS predicted_at",
}
NUMBERS = {name: number for number, name in enumerate(PARTS)}


def take_snapshot(
    duck: DuckDBPyConnection,
    statement: Parsed,
    directory: Path,
    *,
    experiment_id: int,
    since: datetime,
) -> dict[str, list[str]]:
    """Write what is only in PostgreSQL to files, and name the files of every relation read.

    The lake's files are found first. They hold everything that was received before their end, and
    always will, so that the rest, read later, neither misses an event nor repeats one.

    Args:
        duck: Writes the files.
        statement: Says what is needed.
        directory: Where the files go.
        experiment_id: Only this experiment's people are needed.
        since: No event that occurred earlier is needed.

    Raises:
        ValueError: The statement reads something else.
    """
    names = statement.relations
    if not names <= PARTS.keys():
        raise ValueError(f"No engine knows {', '.join(sorted(names - PARTS.keys()))}.")
    lake = read_lake(settings.LAKE_DIR, since=since)
    lines = directory / "lines.csv"
    with hashing(), connection.cursor() as cursor:
        # The transaction at hand, if there is one, waits while the engine works, and may do so for
        # longer than an idle one lives.
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        copy_out(_lines_query(statement, lake, experiment_id=experiment_id, since=since), lines)
    duck.execute(f"CREATE TEMP TABLE line AS SELECT * FROM {read_lines(lines, TYPES)}")
    lines.unlink()
    files = {name: [_write(duck, name, directory)] for name in names}
    duck.execute("DROP TABLE line")
    if "audience_event" in files:
        files["audience_event"] += lake.files
    return files


def _lines_query(
    statement: Parsed, lake: Lake, *, experiment_id: int, since: datetime
) -> sql.Composed:
    values = {
        "since": sql.Literal(since),
        "is_not_in_lake": sql.SQL("TRUE")
        if lake.until is None
        else sql.SQL("event.received_at >= {}").format(sql.Literal(lake.until)),
        "properties": _texts("event.properties", statement.keys("properties")),
        "attributes": _texts("customer.attributes", statement.keys("attributes")),
        "experiments": sql.Literal(sorted(statement.experiments | {experiment_id})),
    }
    parts = [
        PARTS[name].format(number=sql.Literal(NUMBERS[name]), **values)
        for name in sorted(statement.relations)
    ]
    return LINES.format(
        experiment=sql.Literal(experiment_id),
        parts=sql.SQL(" UNION ALL ").join(parts),
        **values,
    )


def _texts(column: str, keys: Iterable[str]) -> sql.Composable:
    """Write the query for a JSON object of the texts at some keys of a column."""
    if not keys:
        return sql.SQL("'{{}}'::json").format()
    return sql.SQL(
        "(SELECT json_object_agg(key, {column} ->> key) FROM unnest({keys}::text[]) AS key)"
    ).format(column=sql.SQL(column), keys=sql.Literal(list(keys)))


def _write(duck: DuckDBPyConnection, name: str, directory: Path) -> str:
    file = directory / f"{name}.parquet"
    duck.execute(
        f"COPY (SELECT {COLUMNS[name]} FROM line WHERE part = {NUMBERS[name]}) "
        f"TO {quoted(file)} (FORMAT parquet)"
    )
    return str(file)
