"""Knows, on the hot paths, which source sends a request, what it may do and how much of it."""

import asyncio
import base64
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import psycopg
import redis.asyncio
from psycopg import AsyncConnection
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool

from audience.models import Scope
from audience.sources.keys import hash_key
from wire.background import beside
from wire.current import Current
from wire.dispatcher import unavailable
from wire.limits import TokenBucket
from wire.messages import Problem, Request

logger = logging.getLogger(__name__)

# A key that is not known may have been made a moment ago: how often that is looked up.
MISS_SECONDS = 0.5
NOTE_SECONDS = 15.0
# So much of a second's requests may come at once.
BURST_SECONDS = 2.0
LEAST_BURST = 10.0


@dataclass(frozen=True, slots=True)
class KnownSource:
    """What the hot paths need to know of a source."""

    id: int
    scopes: frozenset[str]
    requests_per_second: int | None = None
    events_per_day: int | None = None
    encryption_key: str = ""


@dataclass(frozen=True, slots=True)
class _Row:
    """A source as it is stored."""

    id: int
    key_hash: bytes
    old_key_hash: bytes | None
    old_key_until: datetime | None
    scopes: list[str]
    requests_per_second: int | None
    events_per_day: int | None
    encryption_key: str


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources by the hash of their key, and by that of the key before, until some moment."""

    by_key: Mapping[bytes, KnownSource]
    by_old_key: Mapping[bytes, tuple[datetime, KnownSource]]

    def find(self, digest: bytes, *, now: datetime) -> KnownSource | None:
        """Return the source of a key's hash."""
        if digest in self.by_key:
            return self.by_key[digest]
        until, source = self.by_old_key.get(digest, (now, None))
        return source if until > now else None


SOURCES = """
    SELECT id, key_hash, old_key_hash, old_key_until, scopes, requests_per_second, events_per_day,
           encryption_key
    FROM audience_source WHERE revoked_at IS NULL AND key_hash IS NOT NULL
"""
NOTE_USE = """
    UPDATE audience_source AS source SET last_used_at = used.at
    FROM unnest(%(ids)s::bigint[], %(times)s::timestamptz[]) AS used (id, at)
    WHERE source.id = used.id AND (source.last_used_at IS NULL OR source.last_used_at < used.at)
"""


async def load_sources(connection: AsyncConnection[Any]) -> Sources:
    """Read the sources that may send something."""
    async with connection.cursor(row_factory=class_row(_Row)) as cursor:
        await cursor.execute(SOURCES)
        rows = await cursor.fetchall()
    known = [
        KnownSource(
            id=row.id,
            scopes=frozenset(row.scopes),
            requests_per_second=row.requests_per_second,
            events_per_day=row.events_per_day,
            encryption_key=row.encryption_key,
        )
        for row in rows
    ]
    pairs = list(zip(rows, known, strict=True))
    return Sources(
        by_key=MappingProxyType({bytes(row.key_hash): source for row, source in pairs}),
        by_old_key=MappingProxyType(
            {
                bytes(row.old_key_hash): (row.old_key_until, source)
                for row, source in pairs
                if row.old_key_hash is not None and row.old_key_until is not None
            }
        ),
    )


class Keyring:
    """The sources' hashed keys, in memory, and how much each has asked for."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection],
        notices: "redis.asyncio.Redis",
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Read through this pool, and again when a notice says that something changed."""
        self._pool = pool
        self.sources = Current(pool, notices, load_sources, what="keys")
        self._clock = clock
        self._missed_at = -math.inf
        self._buckets: dict[int, TokenBucket] = {}
        self._used: dict[int, datetime] = {}

    async def find(self, key: str, *, scope: Scope) -> KnownSource:
        """Return the source of a key that may do this, and count its request.

        Raises:
            Problem: No source has this key (401), or it may not do this (403), or it has asked too
                often (429).
        """
        digest, now = hash_key(key), self._clock()
        source = (await self.sources.get()).find(digest, now=now)
        if source is None and time.monotonic() - self._missed_at > MISS_SECONDS:
            # Set before waiting, so that guesses do not read the keys again each time.
            self._missed_at = time.monotonic()
            await self.sources.look(at_once=True)
            source = (await self.sources.get()).find(digest, now=now)
        if source is None and self.sources.is_failing:
            # Whether there is such a key cannot be known now.
            raise unavailable()
        if source is None:
            raise refused("No source has this key, or it was revoked.")
        if scope not in source.scopes:
            raise Problem(403, f"This key may not do this: it lacks the scope {scope.value!r}.")
        self._count(source, now=now)
        return source

    def _count(self, source: KnownSource, *, now: datetime) -> None:
        self._used[source.id] = now
        if source.requests_per_second is None:
            return
        rate = float(source.requests_per_second)
        bucket = self._buckets.get(source.id)
        if bucket is None or bucket.rate != rate:
            bucket = TokenBucket(rate=rate, burst=max(rate * BURST_SECONDS, LEAST_BURST))
            self._buckets[source.id] = bucket
        wait = bucket.take(time.monotonic())
        if wait:
            raise too_many(wait, f"This key may ask {rate:g} times a second; ask again later.")

    @asynccontextmanager
    async def kept_fresh(self) -> AsyncIterator[None]:
        """Look for changes in the background, and note when keys were used."""
        async with self.sources.kept_fresh(), beside(self._note_use()):
            yield

    async def _note_use(self) -> None:
        while True:
            await asyncio.sleep(NOTE_SECONDS)
            await self.note_use()

    async def note_use(self) -> None:
        """Write down when the keys were used last; what cannot be written is kept for later."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            async with self._pool.connection() as connection:
                values = {"ids": list(used), "times": list(used.values())}
                await connection.execute(NOTE_USE, values)
        except psycopg.Error as error:
            logger.warning("When keys were used cannot be noted now: %s", error)
            self._used = {**used, **self._used}


def key_of(request: Request, *, in_body: str | None = None) -> str:
    """Return the key a request carries: in a header, or as `writeKey` in the body.

    The header is Basic authentication with the key as user name, a Bearer token or `X-API-Key`.

    Raises:
        Problem: There is none (401).
    """
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials.strip():
        return credentials.strip()
    if scheme.lower() == "basic":
        try:
            user, _, _ = base64.b64decode(credentials, validate=True).decode().partition(":")
        except ValueError as error:
            raise refused("The Authorization header is not valid Basic authentication.") from error
        if user:
            return user
    given = request.headers.get("x-api-key", "").strip() or in_body
    if given:
        return given
    raise refused("Send the source's key as the user name of Basic authentication.")


def refused(detail: str) -> Problem:
    """Say that the key is missing or wrong."""
    return Problem(401, detail, headers={"www-authenticate": 'Basic realm="OfferLab"'})


def too_many(wait_seconds: float, detail: str) -> Problem:
    """Say that it was asked too often, and in how many whole seconds to ask again."""
    # Clients read an integer; a date or a fraction makes some of them forget the pause.
    return Problem(429, detail, headers={"retry-after": str(max(1, math.ceil(wait_seconds)))})
