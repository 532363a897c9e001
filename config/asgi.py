"""The server's entry point: hot paths first, Django behind them, in one process."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio
from django.core.asgi import get_asgi_application
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django_application = get_asgi_application()

from django.conf import settings  # noqa: E402 - settings come after the environment is set

from audience.api import Intake  # noqa: E402 - models come after Django is set up
from audience.keyring import Keyring  # noqa: E402
from campaigns.api import DecideApi  # noqa: E402
from campaigns.snapshot import load_snapshot  # noqa: E402
from experiments.api import StatsApi  # noqa: E402
from experiments.assigning import AssignApi  # noqa: E402
from experiments.running import load_running  # noqa: E402
from wire.current import Current  # noqa: E402
from wire.dispatcher import Dispatcher  # noqa: E402
from wire.messages import Request, Response  # noqa: E402

POOL_SIZE = 8
# Whoever has waited so long for a connection or a lock is asked to come again, and so is whoever
# finds a longer queue than can be served in that time.
PATIENCE_SECONDS = 5
LONGEST_QUEUE = 1000


async def healthz(request: Request) -> Response:
    """Say that the process lives; nothing else is asked."""
    return Response(200, b"ok", content_type="text/plain")


async def limit_waiting(connection: AsyncConnection) -> None:
    """Let a statement give up on locks, such as those of a large import, instead of piling up."""
    await connection.execute(f"SET lock_timeout = '{PATIENCE_SECONDS}s'")


def build_application(
    database_url: str, redis_url: str, *, looks_in_background: bool = True
) -> Dispatcher:
    """Wire the hot paths to a database and a Redis; both are opened at start-up.

    Without looking in the background, what is in memory is re-read by the requests that find it
    old; so it is where the event loop stands still between requests.
    """
    pool: AsyncConnectionPool[AsyncConnection] = AsyncConnectionPool(
        database_url,
        min_size=1,
        max_size=POOL_SIZE,
        timeout=PATIENCE_SECONDS,
        max_waiting=LONGEST_QUEUE,
        kwargs={"autocommit": True},
        configure=limit_waiting,
        open=False,
        name="hot paths",
    )
    notices = redis.asyncio.Redis.from_url(
        redis_url, socket_timeout=0.5, socket_connect_timeout=0.5
    )

    @asynccontextmanager
    async def connections() -> AsyncIterator[None]:
        await pool.open()
        yield
        await pool.close()
        await notices.aclose()

    keyring = Keyring(pool, notices)
    campaigns = Current(pool, notices, load_snapshot, what="campaigns")
    experiments = Current(pool, notices, load_running, what="experiments")
    return Dispatcher(
        {
            **Intake(pool, keyring).routes(),
            **DecideApi(pool, keyring, campaigns).routes(),
            **AssignApi(pool, keyring, experiments).routes(),
            **StatsApi(keyring).routes(),
            ("GET", "/healthz"): healthz,
        },
        fallback=django_application,
        resources=[
            connections(),
            *(held.kept_fresh() for held in (keyring, campaigns, experiments) if looks_in_background),
        ],
    )


application = build_application(settings.DATABASE_URL, settings.REDIS_URL)
