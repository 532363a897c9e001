"""Keeps decisions on disk while the database cannot take them, and logs them later, each once."""

import asyncio
import fcntl
import logging
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO

import msgspec
import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from audience.customers.meeting import find_by_key, make_by_key
from audience.keeping.partitions import Months
from campaigns.deciding.counters import lock_counters, move_counters
from campaigns.deciding.logbook import Unlogged, write
from recommender.decision_ids import decision_partition
from wire.background import beside
from wire.pools import UNFIT

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
SUFFIX = ".jsonl"
REJECTED = ".rejected"


class Spool:
    """Files of one line per transaction, each forced to disk before anybody is answered.

    Every process writes a file of its own and holds a lock on it. Whoever finds a file that nobody
    holds, because its process ended, logs it too.
    """

    def __init__(self, directory: Path) -> None:
        """Keep the files in this directory, which is made when first needed."""
        self._directory = directory
        self._file: IO[bytes] | None = None
        self._turn = asyncio.Lock()

    @property
    def waiting_bytes(self) -> int:
        """How much lies there, of all processes of this machine, and waits for the database."""
        return self._measure(SUFFIX)

    @property
    def rejected_bytes(self) -> int:
        """How much the database refused."""
        return self._measure(REJECTED)

    def _measure(self, suffix: str) -> int:
        size = 0
        for path in self._directory.glob(f"*{suffix}"):
            # Whoever logs it may remove it just now.
            with suppress(FileNotFoundError):
                size += path.stat().st_size
        return size

    async def keep(self, unlogged: Unlogged) -> bool:
        """Write down a transaction; return whether it is safe on disk."""
        if not unlogged.decisions:
            return True
        async with self._turn:
            try:
                await asyncio.to_thread(self._append, msgspec.json.encode(unlogged) + b"\n")
            except OSError:
                logger.exception("Decisions cannot be spooled, and are not logged")
                return False
        return True

    def _append(self, line: bytes) -> None:
        if self._file is None:
            _, self._file = begin_file(self._directory)
            _force_to_disk(self._directory)
        self._file.write(line)
        self._file.flush()
        os.fsync(self._file.fileno())

    @asynccontextmanager
    async def drained(self, pool: AsyncConnectionPool[AsyncConnection]) -> AsyncIterator[None]:
        """Log what is spooled in the background, whenever the database takes it."""
        self._retry_rejected()
        try:
            async with beside(self._keep_draining(pool)):
                yield
        finally:
            self.close()

    async def _keep_draining(self, pool: AsyncConnectionPool[AsyncConnection]) -> None:
        while True:
            try:
                await self.drain(pool)
            except (*UNFIT, OSError) as error:
                logger.warning("What is spooled waits: %s", error)
            except Exception:
                logger.exception("What is spooled cannot be logged now")
            await asyncio.sleep(LOOK_SECONDS)

    async def drain(self, pool: AsyncConnectionPool[AsyncConnection]) -> int:
        """Log all that lies there and nobody else works on; return how many decisions were new.

        Raises:
            psycopg.Error: The database takes nothing now, one of `UNFIT`; what is left waits.
        """
        if not any(self._directory.glob(f"*{SUFFIX}")):
            return 0
        # What is spooled may be of another month than all that was logged so far.
        months = Months(pool, decision_partition)
        async with pool.connection() as connection:
            # Only now, when there is a connection, is the file taken from under those who spool.
            async with self._turn:
                self.close()
            logged = 0
            for path in sorted(self._directory.glob(f"*{SUFFIX}")):
                with path.open("rb") as file:
                    if not locked(file):
                        continue
                    logged += await self._log_file(connection, months, path, file)
        return logged

    async def _log_file(
        self, connection: AsyncConnection, months: Months, path: Path, file: IO[bytes]
    ) -> int:
        logged = 0
        for line in file:
            if not line.endswith(b"\n"):
                # A process ended while it wrote: nobody was told that this was safe.
                break
            try:
                unlogged = msgspec.json.decode(line, type=Unlogged)
                await months.prepare(decision.decided_at for decision in unlogged.decisions)
                logged += await log_later(connection, unlogged)
            except UNFIT:
                raise
            except (psycopg.Error, msgspec.DecodeError):
                logger.exception("A spooled line cannot be logged; it is kept in %s", REJECTED)
                with _hold(path.with_suffix(REJECTED)) as rejected:
                    rejected.write(line)
        path.unlink(missing_ok=True)
        if logged:
            logger.warning("Logged %s decisions that had been spooled", logged)
        return logged

    def _retry_rejected(self) -> None:
        """Have what was rejected tried once more: it may have been the code or the tables."""
        for path in self._directory.glob(f"*{REJECTED}"):
            with suppress(FileNotFoundError), path.open("rb") as file:
                if locked(file):
                    path.rename(path.with_name(f"{path.stem}-{secrets.token_hex(4)}{SUFFIX}"))

    def close(self) -> None:
        """Let go of the file, which whoever drains next may then take."""
        if self._file is not None:
            self._file.close()
            self._file = None


async def log_later(connection: AsyncConnection, unlogged: Unlogged) -> int:
    """Log in one transaction what was spooled; return how many decisions were new.

    What was logged before, because a connection broke just when it committed, is not again.
    """
    async with connection.transaction():
        await lock_counters(connection, unlogged.added)
        keys = sorted(unlogged.keys)
        # Others may make them at this moment; here that is waited for.
        await make_by_key(connection, keys)
        cursor = await write(connection, unlogged, await find_by_key(connection, keys))
        (new,) = await cursor.fetchone() or (0,)
        if new:
            await move_counters(connection, unlogged.added)
    return int(new)


def begin_file(directory: Path) -> tuple[Path, IO[bytes]]:
    """Make a file that this process holds."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / f"{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
    return path, _hold(path)


def _hold(path: Path) -> IO[bytes]:
    """Open a file to add to it, made where there is none, and hold it."""
    while True:
        file = path.open("ab")
        fcntl.flock(file, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        # Somebody who looks for files that nobody holds had it first, and took it away.
        file.close()


def locked(file: IO[bytes]) -> bool:
    """Take a file, unless another process has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _force_to_disk(directory: Path) -> None:
    """Make sure that a new file is found again after a crash."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
