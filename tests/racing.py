"""Let two database sessions race, and hold one of them still at a place of the test's choice."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from django.db import connection, transaction

T = TypeVar("T")

# Who waits for a lock, other than this session itself, in the test's own database.
WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()
"""


@contextmanager
def other_sessions(n: int = 2) -> Iterator[Callable[[Callable[[], T]], "Future[T]"]]:
    """Yield a function that runs another in a thread with a database session of its own."""

    def call(function: Callable[[], T]) -> T:
        try:
            return function()
        finally:
            connection.close()

    with ThreadPoolExecutor(n) as pool:
        yield lambda function: pool.submit(call, function)


@contextmanager
def locked_table(table: str) -> Iterator[None]:
    """Keep everybody else from writing to a table; what was written before is untouched."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
        yield


def wait_for_blocked(n: int = 1, *, patience_seconds: float = 20) -> None:
    """Wait until so many other sessions stand at a lock."""
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            # The view of all sessions is frozen at its first use in a transaction.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(WAITING)
            if cursor.fetchone() == (n,):
                return
        time.sleep(0.01)
    raise AssertionError(f"{n} sessions should wait for a lock by now")


def end_sessions(*, only_blocked: bool = False) -> None:
    """End all other sessions of the test's database, or only those that stand at a lock."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND (wait_event_type = 'Lock' OR NOT %s)",
            [only_blocked],
        )
