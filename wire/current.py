"""What a web process holds in memory of the database, re-read soon after something changed."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Generic, TypeVar

import psycopg
import redis.asyncio
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from wire.background import beside

logger = logging.getLogger(__name__)

# A counter in Redis; see `notices.py`, which counts.
CHANGES_KEY = "offerlab:changes"

# How often a change notice is looked for, and how old a value may get without one.
LOOK_SECONDS = 0.25
RELOAD_SECONDS = 15.0

T = TypeVar("T")


class Current(Generic[T]):
    """Holds a value that is never changed, and swaps it for another soon after something changed.

    A change notice is a counter in Redis, looked for in the background, so that no request waits
    for a re-read. Without Redis the value is still re-read every few seconds, and without
    PostgreSQL the last one goes on serving: `is_failing` says so.
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
        self._is_watched = False
        self.is_failing = False
        self._swapped = asyncio.Event()
        self._reading = asyncio.Lock()

    async def get(self) -> T:
        """Return the value, at most about half a second behind.

        Where it is kept fresh in the background, nobody waits for a re-read here.

        Raises:
            psycopg.Error: It was never read, and cannot be.
        """
        if self._value is None:
            async with self._reading:
                if self._value is None:
                    await self._read(await self._read_notices())
        elif not self._is_watched and time.monotonic() - self._looked_at > LOOK_SECONDS:
            await self.look()
        assert self._value is not None, "it was read just now"
        return self._value

    @property
    def is_loaded(self) -> bool:
        """Whether there is a value."""
        return self._value is not None

    @property
    def age_seconds(self) -> float:
        """For how long PostgreSQL has not been asked; infinite if it never was."""
        return time.monotonic() - self._loaded_at if self._loaded_at else float("inf")

    async def changed(self, since: T, within: float) -> T:
        """Wait until the value is another than one seen before, and return the current one.

        Args:
            since: The value seen before.
            within: For how many seconds to wait at most.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while await self.get() is since:
                    await self._swapped.wait()
        return await self.get()

    @asynccontextmanager
    async def kept_fresh(self) -> AsyncIterator[None]:
        """Look for notices in the background until the block ends."""
        self._is_watched = True
        try:
            async with beside(self._watch()):
                yield
        finally:
            self._is_watched = False

    async def _watch(self) -> None:
        while True:
            try:
                await self.look()
            except Exception:
                # Whatever it was, the next look may succeed; a watch that ended would never.
                logger.exception("The %s cannot be re-read; the last ones go on", self._what)
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self, *, at_once: bool = False) -> None:
        """Re-read the value if something changed, or if it is old, or at once."""
        # Set before waiting, so that one request looks and the others go on.
        self._looked_at = time.monotonic()
        changes = await self._read_notices()
        is_old = time.monotonic() - self._loaded_at >= RELOAD_SECONDS
        if changes == self._seen and not is_old and not at_once and self._value is not None:
            return
        async with self._reading:
            try:
                await self._read(changes)
                self.is_failing = False
            except (psycopg.Error, TimeoutError) as error:
                self.is_failing = True
                logger.error("The %s cannot be re-read; the last ones go on: %s", self._what, error)

    async def _read_notices(self) -> object:
        try:
            return await self._notices.get(CHANGES_KEY)
        except redis.RedisError:
            logger.warning("Redis does not answer; %s are re-read by time alone", self._what)
            return self._seen

    async def _read(self, changes: object) -> None:
        """Read the value, as it is after these changes at least."""
        async with self._pool.connection() as connection:
            value = await self._load(connection)
        self._seen, self._loaded_at = changes, time.monotonic()
        self._looked_at = self._loaded_at
        if value != self._value:
            self._value = value
            swapped, self._swapped = self._swapped, asyncio.Event()
            swapped.set()
