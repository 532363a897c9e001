"""Searches every text of every table for the names of a person, and takes them out.

The columns are those that the database has, not those that we remember: a table or a column that
is added tomorrow is searched tomorrow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import connection, models
from psycopg import sql

ERASED = "(erased)"
TEXTS = ("text", "varchar", "bpchar", "name", "citext", "xml")
# Partitions are read through their table.
COLUMNS = """
    SELECT relation.relname, attribute.attname, type.typname,
           attribute.attgenerated <> '', NULLIF(attribute.atttypmod, -1) - 4
    FROM pg_attribute AS attribute
    JOIN pg_class AS relation ON relation.oid = attribute.attrelid
    JOIN pg_type AS type ON type.oid = attribute.atttypid
    WHERE relation.relnamespace = current_schema()::regnamespace
      AND relation.relkind IN ('r', 'p') AND NOT relation.relispartition
      AND attribute.attnum > 0 AND NOT attribute.attisdropped
      AND type.typname = ANY(%s)
    ORDER BY relation.relname, attribute.attnum
"""


@dataclass(frozen=True, slots=True)
class Column:
    """A column that can hold a text."""

    table: str
    name: str
    type: str
    is_generated: bool
    longest: int | None

    @property
    def as_text(self) -> sql.Composable:
        """The expression of its text."""
        column = sql.Identifier(self.name)
        if self.type == "bytea":
            return sql.SQL("encode({}, 'escape')").format(column)
        return sql.SQL("({})::text").format(column)

    def without(self, pattern: sql.Composable) -> sql.Composable:
        """Return the expression of its value after what matches is taken out."""
        cleaned = sql.SQL("regexp_replace({}, {}, {}, 'gi')").format(
            self.as_text, pattern, sql.Literal(ERASED)
        )
        if self.type in TEXTS:
            return (
                cleaned
                if self.longest is None
                else sql.SQL("left({}, {})").format(cleaned, sql.Literal(self.longest))
            )
        return sql.SQL("({})::{}").format(cleaned, sql.SQL(_cast_of(self.type)))


def find_columns() -> Sequence[Column]:
    """Return every column of the database that can hold a text, in any form."""
    singles = (*TEXTS, "json", "jsonb", "bytea")
    types = [*singles, *(f"_{name}" for name in singles)]
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS, [types])
        return [Column(*row) for row in cursor.fetchall()]


def by_table(columns: Sequence[Column]) -> Mapping[str, Sequence[Column]]:
    """Return columns by their tables."""
    tables: dict[str, list[Column]] = {}
    for column in columns:
        tables.setdefault(column.table, []).append(column)
    return tables


def is_machine_name(column: Column) -> bool:
    """Say whether a column holds names that we give to things, which other things depend on.

    These are keys, choices, and whatever is unique; and all that is no table of ours.
    """
    field = _fields().get((column.table, column.name))
    return (
        field is None
        or field.unique
        or field.primary_key
        or bool(field.choices)
        or isinstance(field, models.SlugField)
    )


def count_matches(pattern: str) -> Mapping[str, int]:
    """Count, in the whole database, the rows in which a pattern matches, by table and column."""
    found: dict[str, int] = {}
    for table, columns in by_table(find_columns()).items():
        matches = [_matches(column, pattern) for column in columns]
        counts = sql.SQL(", ").join(
            sql.SQL("count(*) FILTER (WHERE {})").format(match) for match in matches
        )
        statement = sql.SQL("SELECT {} FROM {} WHERE {}").format(
            counts, sql.Identifier(table), sql.SQL(" OR ").join(matches)
        )
        with connection.cursor() as cursor:
            cursor.execute(statement.as_string(cursor.cursor))
            row = cursor.fetchone()
        found |= {
            f"{column.table}.{column.name}": count
            for column, count in zip(columns, row, strict=True)
            if count
        }
    return found


def delete_matches(table: str, pattern: str) -> int:
    """Delete the rows of a table in which a pattern matches."""
    columns = by_table(find_columns())[table]
    statement = sql.SQL("DELETE FROM {} WHERE {}").format(
        sql.Identifier(table), sql.SQL(" OR ").join(_matches(one, pattern) for one in columns)
    )
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string(cursor.cursor))
        return int(cursor.rowcount)


def matching(model: type[models.Model], pattern: str) -> "models.QuerySet[Any]":
    """Return the rows of a model in which a pattern matches."""
    columns = by_table(find_columns())[model._meta.db_table]
    condition = sql.SQL(" OR ").join(_matches(one, pattern) for one in columns)
    with connection.cursor() as cursor:
        written = condition.as_string(cursor.cursor)
    # `sql.Literal` has quoted the pattern; a percent sign begins no parameter here.
    quoted = [written.replace("%", "%%")]
    rows: models.QuerySet[Any] = model._base_manager.extra(where=quoted)  # noqa: S610 - see above
    return rows


def take_out(table: str, columns: Sequence[Column], pattern: str) -> int:
    """Replace what a pattern matches in these columns of a table, and count the rows."""
    changed = [one for one in columns if not one.is_generated and one.type not in {"bytea"}]
    if not changed:
        return 0
    literal = sql.Literal(pattern)
    statement = sql.SQL("UPDATE {} SET {} WHERE {}").format(
        sql.Identifier(table),
        sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(one.name), one.without(literal))
            for one in changed
        ),
        sql.SQL(" OR ").join(_matches(one, pattern) for one in changed),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string(cursor.cursor))
        return int(cursor.rowcount)


def _matches(column: Column, pattern: str) -> sql.Composable:
    return sql.SQL("{} ~* {}").format(column.as_text, sql.Literal(pattern))


def _fields() -> Mapping[tuple[str, str], "models.Field[object, object]"]:
    return {
        (model._meta.db_table, field.column): field
        for model in apps.get_models(include_auto_created=True)
        for field in model._meta.concrete_fields
        if field.column is not None
    }


def _cast_of(type_: str) -> str:
    return f"{type_[1:]}[]" if type_.startswith("_") else type_
