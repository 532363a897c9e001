"""What a web process holds in memory of the database, re-read soon after something changed."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import psycopg
import redis.asyncio
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

logger = logging.getLogger(__name__)

# A counter in Redis; see `notices.py`, which counts.
CHANGES_KEY = "offerlab:changes"

# How often a change notice is looked for, and how old a value may get without one.
LOOK_SECONDS = 0.5
RELOAD_SECONDS = 15.0

T = TypeVar("T")


class Current(Generic[T]):
    """Hands out a value and re-reads it soon after something changed.

    A change notice is a counter in Redis. Without Redis the value is still re-read every few
    seconds, and without PostgreSQL the last one goes on serving.
    """

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection],
        notices: "redis.asyncio.Redis",
        load: Callable[[AsyncConnection[Any]], Awaitable[T]],
        *,
        what: str,
    ) -> None:
        """Read by `load` through `pool`; look for notices in `notices`; `what` is for the log."""
        self._pool = pool
        self._notices = notices
        self._load = load
        self._what = what
        self._value: T | None = None
        self._seen: object = None
        self._looked_at = 0.0
        self._loaded_at = 0.0

    async def get(self) -> T:
        """Return the value, at most about a second behind."""
        now = time.monotonic()
        if self._value is None:
            self._value = await self._read()
            self._loaded_at = self._looked_at = now
        elif now - self._looked_at > LOOK_SECONDS:
            # Set before waiting, so that one request looks and the others go on.
            self._looked_at = now
            await self._refresh(now)
        return self._value

    async def _refresh(self, now: float) -> None:
        changes = await self._read_notices()
        if changes == self._seen and now - self._loaded_at < RELOAD_SECONDS:
            return
        try:
            self._value = await self._read()
        except psycopg.Error:
            logger.exception("The %s cannot be re-read; the last ones go on", self._what)
            return
        self._seen, self._loaded_at = changes, now

    async def _read_notices(self) -> object:
        try:
            return await self._notices.get(CHANGES_KEY)
        except redis.RedisError:
            logger.warning("Redis does not answer; %s are re-read by time alone", self._what)
            return self._seen

    async def _read(self) -> T:
        async with self._pool.connection() as connection:
            return await self._load(connection)
