"""Reads what is too much for memory."""

from collections.abc import Generator
from typing import Any

from django.db import connection

CHUNK = 5_000


def read_on_server(statement: str, params: Any) -> Generator[tuple[Any, ...], None, None]:
    """Yield the rows of a statement, some at a time, in the transaction at hand."""
    with (
        connection.cursor() as django,
        django.connection.cursor(name="reading") as cursor,
    ):
        cursor.itersize = CHUNK
        cursor.execute(statement, params)
        yield from cursor
