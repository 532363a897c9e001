"""What is held in memory is read again when something changed, and goes on when it cannot be."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import redis.asyncio
from django.conf import settings
from django.db import connection
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from tests.asgi import database_url
from tests.makers import make_customer
from wire.current import Current
from wire.notices import announce_change

pytestmark = pytest.mark.django_db(transaction=True)

Pool = AsyncConnectionPool[AsyncConnection]
Keys = tuple[str, ...]


async def load_keys(connection: AsyncConnection[Any]) -> Keys:
    cursor = await connection.execute("SELECT external_key FROM audience_customer ORDER BY id")
    return tuple(key for (key,) in await cursor.fetchall())


@dataclass(frozen=True, slots=True)
class Reader:
    """A value that is asked for between uses of the ORM, on one event loop."""

    current: Current[Keys]
    pool: Pool
    notices: redis.asyncio.Redis
    runner: asyncio.Runner

    def read(self) -> Keys:
        return self.runner.run(self.current.get())


@contextmanager
def reading(redis_url: str = settings.REDIS_URL) -> Iterator[Reader]:
    with asyncio.Runner() as runner:
        pool = runner.run(open_pool())
        notices = redis.asyncio.Redis.from_url(redis_url, socket_connect_timeout=0.1)
        try:
            current = Current(pool, notices, load_keys, what="customers")
            yield Reader(current, pool, notices, runner)
        finally:
            runner.run(notices.aclose())
            runner.run(pool.close())


async def open_pool() -> Pool:
    options: dict[str, Any] = {"autocommit": True}
    pool: Pool = AsyncConnectionPool(
        database_url(), min_size=0, max_size=2, timeout=0.5, kwargs=options, open=False
    )
    await pool.open()
    return pool


@pytest.fixture
def always_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wire.current.LOOK_SECONDS", 0.0)


@pytest.fixture
def always_reloads(always_looks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wire.current.RELOAD_SECONDS", 0.0)


def test_a_change_is_seen_after_its_notice_and_not_before(always_looks: None) -> None:
    with reading() as reader:
        # The first looks also learn which notice was the last.
        assert [reader.read() for _ in range(2)] == [(), ()]
        key = make_customer().external_key
        assert reader.read() == ()
        announce_change()
        assert reader.read() == (key,)


def test_between_two_looks_nothing_is_asked() -> None:
    with reading() as reader:
        assert reader.read() == ()
        make_customer()
        announce_change()
        assert reader.read() == ()


def test_without_redis_it_is_read_again_by_time(
    always_reloads: None, caplog: pytest.LogCaptureFixture
) -> None:
    with reading("unix:///nowhere.sock") as reader:
        assert reader.read() == ()
        key = make_customer().external_key
        assert reader.read() == (key,)
    assert "customers are re-read by time alone" in caplog.text


def test_without_postgresql_the_last_one_goes_on(
    always_reloads: None, caplog: pytest.LogCaptureFixture
) -> None:
    key = make_customer().external_key
    with reading() as reader:
        assert reader.read() == (key,)
        reader.runner.run(reader.pool.close())
        assert reader.read() == (key,)
    assert "The customers cannot be re-read" in caplog.text


def test_in_the_background_a_change_is_seen_while_nobody_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wire.current.LOOK_SECONDS", 0.01)
    with reading() as reader:
        assert reader.read() == ()

        async def story() -> Keys:
            async with reader.current.kept_fresh():
                before = await reader.current.get()
                await asyncio.to_thread(change)
                return await reader.current.changed(before, within=5)

        key = reader.runner.run(story())
        assert len(key) == 1


def test_a_wait_for_a_change_ends_without_one() -> None:
    with reading() as reader:
        before = reader.read()
        assert reader.runner.run(reader.current.changed(before, within=0.01)) is before


def test_the_watch_outlives_what_it_cannot_read(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("wire.current.LOOK_SECONDS", 0.01)
    monkeypatch.setattr("wire.current.RELOAD_SECONDS", 0.0)
    broken = [True, True]

    async def load(connection: AsyncConnection[Any]) -> int:
        if broken:
            broken.pop()
            raise LookupError("a row is damaged")
        return 7

    with reading() as reader:

        async def story() -> int:
            current = Current(reader.pool, reader.notices, load, what="numbers")
            async with current.kept_fresh():
                await asyncio.sleep(0.1)
                return await current.get()

        assert reader.runner.run(story()) == 7
    assert "a row is damaged" in caplog.text


def change() -> None:
    make_customer()
    announce_change()
    connection.close()
