"""A pool of connections to PostgreSQL, and what is said of a database that does not serve now."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

# The server answers, but not to this connection: it was made a standby, so that nothing may be
# written; a table is not as the code knows it, because one of them is newer; or a plan is of
# before. Another connection may come to another server, or to one that is ready by then.
STALE = (psycopg.InternalError, psycopg.NotSupportedError, psycopg.ProgrammingError)
# No request is to blame, and each may succeed when it comes again: that, or nobody answers.
# What is left are `DataError` and `IntegrityError`, which are about what somebody sent.
UNFIT = (psycopg.OperationalError, psycopg.InterfaceError, *STALE)


class Pool(AsyncConnectionPool[AsyncConnection]):
    """Replaces a connection that turned out stale, as it does one that broke.

    After a failover a connection to the old primary works as ever, except that it takes nothing;
    put back, it would be handed out again and again.
    """

    @asynccontextmanager
    async def connection(self, timeout: float | None = None) -> AsyncIterator[AsyncConnection]:
        """Lend a connection until the block ends; see `AsyncConnectionPool`."""
        async with super().connection(timeout) as connection:
            try:
                yield connection
            except psycopg.errors.ReadOnlySqlTransaction:
                # The others are to the same server.
                await self.drain()
                raise
            except STALE:
                await connection.close()
                raise
