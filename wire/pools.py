"""A pool of connections to PostgreSQL, and what is said of a database that does not serve now."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection, errors
from psycopg_pool import AsyncConnectionPool

# No request is to blame, and each may succeed when it comes again: nobody answers, nothing may be
# written, or tables are newer or older than the code. What is left are `DataError` and
# `IntegrityError`, which are about what somebody sent.
UNFIT = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.InternalError,
    psycopg.NotSupportedError,
    psycopg.ProgrammingError,
)
# Other connections may do better: this one is to a server that became a standby, or its plans are
# of before.
STALE = (
    errors.ReadOnlySqlTransaction,
    errors.FeatureNotSupported,
    errors.InvalidSqlStatementName,
)
PAUSE_SECONDS = 1.0


class Pool(AsyncConnectionPool[AsyncConnection]):
    """Makes its connections anew where one turned out stale, as it does with one that broke.

    After a failover a connection to the old primary works as ever, except that it takes nothing;
    put back, it would be handed out again and again.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        """Take what `AsyncConnectionPool` does."""
        super().__init__(*args, **options)
        self._renewed_at = float("-inf")

    @asynccontextmanager
    async def connection(self, timeout: float | None = None) -> AsyncIterator[AsyncConnection]:
        """Lend a connection until the block ends; see `AsyncConnectionPool`."""
        async with super().connection(timeout) as connection:
            try:
                yield connection
            except STALE:
                await self._renew()
                raise

    async def _renew(self) -> None:
        # While the new ones are no better, a server that is in trouble is not pestered.
        if time.monotonic() - self._renewed_at > PAUSE_SECONDS:
            self._renewed_at = time.monotonic()
            await self.drain()
