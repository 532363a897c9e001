"""The site, and the intake of messages without HTTP, on the test's own database."""

import asyncio
from collections.abc import Iterator, Sequence

import pytest
import redis.asyncio
from django.conf import settings
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from audience.incoming import Incoming
from audience.intake.ingest import Ingest, Stored
from audience.models import Source
from tests.asgi import Site, database_url, open_site
from tests.makers import make_source

Pool = AsyncConnectionPool[AsyncConnection]


class Store:
    """Stores batches, one after the other or all at once."""

    def __init__(self, pool: Pool, runner: asyncio.Runner, source: Source) -> None:
        self.pool = pool
        self.source = source
        self.runner = runner
        self.ingest = Ingest(pool)

    def __call__(self, *messages: Incoming, source: Source | None = None) -> Stored:
        return self.runner.run(self._store(messages, source or self.source))

    def together(self, *batches: Sequence[Incoming]) -> list[Stored]:
        async def all_at_once() -> list[Stored]:
            return await asyncio.gather(*(self._store(batch, self.source) for batch in batches))

        return self.runner.run(all_at_once())

    async def _store(self, messages: Sequence[Incoming], source: Source) -> Stored:
        return await self.ingest.store(messages, source_id=source.pk)


@pytest.fixture
def site(transactional_db: None) -> Iterator[Site]:
    with open_site() as site:
        yield site


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def pool(transactional_db: None, runner: asyncio.Runner) -> Iterator[Pool]:
    async def opened() -> Pool:
        pool: Pool = AsyncConnectionPool(
            database_url(), min_size=1, max_size=8, kwargs={"autocommit": True}, open=False
        )
        await pool.open(wait=True)
        return pool

    pool = runner.run(opened())
    yield pool
    runner.run(pool.close())


@pytest.fixture
def notices(runner: asyncio.Runner) -> Iterator[redis.asyncio.Redis]:
    client = redis.asyncio.Redis.from_url(settings.REDIS_URL)
    yield client
    runner.run(client.aclose())


@pytest.fixture
def store(pool: Pool, runner: asyncio.Runner) -> Store:
    source, _ = make_source()
    return Store(pool, runner, source)
