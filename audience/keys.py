"""Make, find and revoke the keys by which sources are known."""

import asyncio
import base64
import hashlib
import math
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from audience.models import Scope, Source
from wire.messages import Problem, Request

KEY_BYTES = 24
PREFIX_LENGTH = 8
# A revoked key may go on for this long; a new one is found at once.
REFRESH_SECONDS = 5.0
MISS_SECONDS = 0.5


def hash_key(key: str) -> bytes:
    """Hash a key for storage. Keys are long random strings, so no salt or stretching is needed."""
    return hashlib.sha256(key.encode()).digest()


def create_source(name: str, *, scopes: Sequence[Scope]) -> tuple[Source, str]:
    """Make a source and return it with its key, which cannot be shown again."""
    source = Source(name=name, scopes=list(scopes))
    return source, renew_key(source)


def renew_key(source: Source) -> str:
    """Give a source a key, in place of any it had, and return it; it cannot be shown again.

    A source whose key was revoked is taken back in by it.
    """
    key = f"ol_{secrets.token_urlsafe(KEY_BYTES)}"
    source.key_prefix, source.key_hash = key[:PREFIX_LENGTH], hash_key(key)
    source.revoked_at = None
    # What else of a known source was changed meanwhile stays so.
    source.save(update_fields=["key_prefix", "key_hash", "revoked_at"] if source.pk else None)
    return key


def revoke(source: Source, *, now: datetime) -> None:
    """Stop accepting a source's key within seconds."""
    Source.objects.filter(pk=source.pk, revoked_at=None).update(revoked_at=now)


def find_source(key: str) -> Source | None:
    """Return the source of a key that was not revoked; None where there is none."""
    return Source.objects.filter(key_hash=hash_key(key), revoked_at=None).first()


def key_of(request: Request, *, in_body: str | None = None) -> str:
    """Return the key a request carries: Basic user name, Bearer token, or `writeKey` in the body.

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
    if in_body:
        return in_body
    raise refused("Send the source's key as the user name of Basic authentication.")


def refused(detail: str) -> Problem:
    """Say that the key is missing or wrong."""
    return Problem(401, detail, headers={"www-authenticate": 'Basic realm="OfferLab"'})


@dataclass(frozen=True, slots=True)
class KnownSource:
    """What the hot paths need to know of a source."""

    id: int
    scopes: frozenset[str]


class Keyring:
    """The sources' hashed keys, in memory, re-read every few seconds."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection]) -> None:
        """Read through this pool, when first asked."""
        self._pool = pool
        self._sources: Mapping[bytes, KnownSource] = {}
        self._read_at = -math.inf
        self._reading = asyncio.Lock()

    async def find(self, key: str, *, scope: Scope) -> KnownSource:
        """Return the source of a key that may do this.

        Raises:
            Problem: No source has this key (401), or it may not do this (403).
        """
        digest = hash_key(key)
        if self._is_stale(digest):
            # Requests that come while the keys are being read wait for them: a key that is not
            # there yet is not a wrong one.
            async with self._reading:
                if self._is_stale(digest):
                    await self._read()
        source = self._sources.get(digest)
        if source is None:
            raise refused("No source has this key, or it was revoked.")
        if scope not in source.scopes:
            raise Problem(403, f"This key may not do this: it lacks the scope {scope.value!r}.")
        return source

    def _is_stale(self, digest: bytes) -> bool:
        age = time.monotonic() - self._read_at
        return age > REFRESH_SECONDS or (digest not in self._sources and age > MISS_SECONDS)

    async def _read(self) -> None:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT key_hash, id, scopes FROM audience_source"
                " WHERE revoked_at IS NULL AND key_hash IS NOT NULL"
            )
            rows = await cursor.fetchall()
        self._sources = {bytes(key): KnownSource(id_, frozenset(s)) for key, id_, s in rows}
        self._read_at = time.monotonic()
