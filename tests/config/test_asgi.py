import asyncio

import psycopg
import pytest

from config.asgi import PATIENCE_SECONDS, set_up
from tests.asgi import database_url


@pytest.mark.django_db
def test_a_hot_path_does_not_wait_for_a_lock_for_ever() -> None:
    async def ask() -> object:
        async with await psycopg.AsyncConnection.connect(database_url()) as connection:
            await set_up(connection)
            return await (await connection.execute("SHOW lock_timeout")).fetchone()

    assert asyncio.run(ask()) == (f"{PATIENCE_SECONDS}s",)
