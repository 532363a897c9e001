"""A site that serves the protocol, on the test's own database and Redis."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any

import pytest
import redis.asyncio
from django.conf import settings
from django.db.models import JSONField, Value
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from audience.models import Scope
from audience.sources.keyring import Keyring
from experiments.assigning.running import load_running
from experiments.lifecycle.drafting import ArmPlan
from experiments.models import Arm, Experiment
from experiments.ofrep.api import OfrepApi
from tests.asgi import Site, database_url, serve
from tests.makers import NOW, make_experiment, make_source
from wire.current import Current
from wire.dispatcher import Dispatcher, Receive, Send
from wire.dispatcher import Scope as Connection

Pool = AsyncConnectionPool[AsyncConnection]
OpenOfrep = Callable[..., AbstractContextManager[Site]]

# A port on which nobody listens.
NO_DATABASE = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.fixture(autouse=True)
def no_review(settings: Any) -> None:
    settings.REVIEW_IS_REQUIRED = False


async def behind(connection: Connection, receive: Receive, send: Send) -> None:
    """Answer what has no route, as Django does."""
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def open_ofrep(transactional_db: None) -> OpenOfrep:
    """Open a site; `lookups` names another database for what is asked of customers."""

    @contextmanager
    def opened(*, database: str = "", lookups: str = "", now: datetime = NOW) -> Iterator[Site]:
        pool = _pool(database or database_url())
        asked = _pool(lookups or database or database_url())
        notices = redis.asyncio.Redis.from_url(settings.REDIS_URL)
        running = Current(pool, notices, load_running, what="experiments")
        api = OfrepApi(asked, Keyring(pool, notices), running, secret="s", clock=lambda: now)

        @asynccontextmanager
        async def connections() -> AsyncIterator[None]:
            await pool.open()
            await asked.open()
            yield
            await asked.close()
            await pool.close()
            await notices.aclose()

        with serve(Dispatcher(api.routes(), fallback=behind, resources=[connections()])) as site:
            yield site

    return opened


@pytest.fixture
def site(open_ofrep: OpenOfrep) -> Iterator[Site]:
    with open_ofrep() as site:
        yield site


@pytest.fixture
def key(transactional_db: None) -> str:
    return make_source(Scope.FLAGS)[1]


def make_flag(*values: Any, **promises: Any) -> Experiment:
    """Start an experiment whose arms, `v0` (the control), `v1` and so on, have these payloads."""
    share = 10_000 // len(values)
    arms = [ArmPlan(f"v{i}", f"V{i}", share, is_control=i == 0) for i in range(len(values))]
    experiment = make_experiment(arms=arms, is_standalone=True, **promises)
    for i, value in enumerate(values):
        # Without a type, None would be no value of the column instead of JSON's null.
        payload = Value(value, JSONField()) if value is None else value
        Arm.objects.filter(experiment=experiment, key=f"v{i}").update(payload=payload)
    return experiment


def _pool(url: str) -> Pool:
    patience = 0.1 if url == NO_DATABASE else 5
    return AsyncConnectionPool(
        url, min_size=0, max_size=4, timeout=patience, kwargs={"autocommit": True}, open=False
    )
