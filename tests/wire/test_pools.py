"""Connections that turned out stale are made anew, all of them, and not too often."""

import asyncio
import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

from tests.asgi import database_url
from wire.pools import PAUSE_SECONDS, STALE, UNFIT, Pool

pytestmark = pytest.mark.django_db(transaction=True)

SIZE = 3


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def pool(runner: asyncio.Runner, transactional_db: None) -> Iterator[Pool]:
    """A pool of connections that all take nothing."""

    async def demote(connection: psycopg.AsyncConnection) -> None:
        await connection.execute("SET default_transaction_read_only = on")

    pool = Pool(
        database_url(), min_size=SIZE, kwargs={"autocommit": True}, configure=demote, open=False
    )
    runner.run(pool.open(wait=True))
    # What is connected to from now on is a primary.
    pool._configure = None
    yield pool
    runner.run(pool.close())


async def write(pool: Pool) -> None:
    async with pool.connection() as connection:
        await connection.execute("CREATE TABLE written_to ()")
        await connection.execute("DROP TABLE written_to")


def test_one_failure_makes_all_connections_anew(runner: asyncio.Runner, pool: Pool) -> None:
    with pytest.raises(errors.ReadOnlySqlTransaction):
        runner.run(write(pool))
    for _ in range(2 * SIZE):
        runner.run(write(pool))


def test_a_server_that_takes_nothing_is_not_asked_for_connections_all_the_time(
    runner: asyncio.Runner, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def demote(connection: psycopg.AsyncConnection) -> None:
        await connection.execute("SET default_transaction_read_only = on")

    monkeypatch.setattr(pool, "_configure", demote)
    begun = time.monotonic()
    for _ in range(50):
        with pytest.raises(errors.ReadOnlySqlTransaction):
            runner.run(write(pool))
    took = time.monotonic() - begun
    made = pool.get_stats()["connections_num"]
    assert made <= SIZE * (2 + took / PAUSE_SECONDS)


@pytest.mark.parametrize("statement", ["SELECT nothing", "SELECT 1 / 0", "SELEC 1"])
def test_a_statement_that_is_wrong_costs_no_connection(
    runner: asyncio.Runner, pool: Pool, statement: str
) -> None:
    async def ask() -> None:
        async with pool.connection() as connection:
            await connection.execute(statement)

    for _ in range(5):
        with pytest.raises((psycopg.ProgrammingError, psycopg.DataError)):
            runner.run(ask())
    assert pool.get_stats()["connections_num"] == SIZE


def test_whoever_is_stale_does_not_serve_and_what_was_sent_wrongly_is_nobody_elses_fault() -> None:
    assert all(issubclass(error, UNFIT) for error in STALE)
    assert issubclass(errors.UndefinedColumn, UNFIT)
    assert not issubclass(errors.NotNullViolation, UNFIT)
    assert not issubclass(errors.NumericValueOutOfRange, UNFIT)
