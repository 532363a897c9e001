"""Runs analysis statements in the database itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from experiments.engines.base import to_plain_rows


@contextmanager
def hashing() -> Iterator[None]:
    """Join large relations by hashing them, in a transaction.

    The planner cannot tell how many people a merge leaves, guesses few, and would then compare
    every customer with every event.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_nestloop = off")
        yield
        cursor.execute("SET LOCAL enable_nestloop = on")


class PostgresEngine:
    """Reads the record where it is: good up to tens of millions of events."""

    def run(self, statement: str, *, experiment_id: int, since: datetime) -> list[tuple[Any, ...]]:
        """Run a statement as it is."""
        with hashing(), connection.cursor() as cursor:
            cursor.execute(statement)
            return to_plain_rows(cursor.fetchall())
