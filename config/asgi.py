"""The server's entry point: hot paths first, Django behind them, in one process."""

import gc
import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import redis.asyncio
from django.core.asgi import get_asgi_application
from psycopg import AsyncConnection
from psycopg.types.json import set_json_loads

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Before numpy is loaded: what one request multiplies is too small for threads, which wait for each
# other where all processors are busy. A second process serves more than a second thread.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
django_application = get_asgi_application()

from django.conf import settings  # noqa: E402 - settings come after the environment is set

from audience.intake.api import Intake  # noqa: E402 - models come after Django is set up
from audience.intake.ingest import Ingest  # noqa: E402
from audience.intake.listening import Listener  # noqa: E402
from audience.sources.keyring import Keyring  # noqa: E402
from audience.sources.quotas import Quotas  # noqa: E402
from campaigns.client_draws.exposed import DrawnOffers  # noqa: E402
from campaigns.client_draws.publishing import CampaignFeatures  # noqa: E402
from campaigns.deciding.api import DecideApi  # noqa: E402
from campaigns.deciding.desk import Desk  # noqa: E402
from campaigns.deciding.hearing import HeardLimits  # noqa: E402
from campaigns.deciding.loading import SnapshotLoader  # noqa: E402
from campaigns.deciding.spool import Spool  # noqa: E402
from campaigns.mail.links import make_link_key  # noqa: E402
from campaigns.tracking.api import TrackingApi  # noqa: E402
from campaigns.tracking.hits import Hits  # noqa: E402
from config.health import Health  # noqa: E402
from config.openapi import document  # noqa: E402
from experiments.assigning.api import AssignApi  # noqa: E402
from experiments.assigning.exposed import record_views  # noqa: E402
from experiments.assigning.running import load_running  # noqa: E402
from experiments.growthbook.api import GrowthbookApi  # noqa: E402
from experiments.ofrep.api import OfrepApi  # noqa: E402
from experiments.stats_check.api import StatsApi  # noqa: E402
from recommender.ranking.api import PicksApi  # noqa: E402
from recommender.rewards.reversals import note_reversals  # noqa: E402
from wire.current import Current  # noqa: E402
from wire.dispatcher import Dispatcher  # noqa: E402
from wire.pg_values import read_json  # noqa: E402
from wire.pools import Pool  # noqa: E402

POOL_SIZE = 8
DECIDING_SIZE = 3
# After so many new objects garbage is looked for, and seldom among old ones: hardly any of what a
# request leaves goes in circles, and a look through all that is in memory keeps everybody waiting.
GARBAGE = (10_000, 20, 50)
# Whoever has waited so long for a connection or a lock is asked to come again, and so is whoever
# finds a longer queue than can be served in that time.
PATIENCE_SECONDS = 5
LONGEST_QUEUE = 1000


# A plan is made once for each connection and kept while tables grow: here everything is found by an
# index, and a plan that read all of a table that was small then would soon cost the most.
PLANS = "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan; SET jit = off"


async def set_up(connection: AsyncConnection) -> None:
    """Let statements give up on locks, such as a large import's, and plan them once by indexes.

    What they answer in JSON is read by what reads requests.
    """
    set_json_loads(read_json, connection)
    await connection.execute(f"SET lock_timeout = '{PATIENCE_SECONDS}s'; {PLANS}")


def make_pool(
    database_url: str, name: str, *, size: int, patience: float, at_once: bool = False
) -> Pool:
    """Make a pool of connections, to be opened at start-up: one of them, or all at once."""
    return Pool(
        database_url,
        min_size=size if at_once else 1,
        max_size=size,
        timeout=patience,
        max_waiting=LONGEST_QUEUE,
        kwargs={"autocommit": True},
        configure=set_up,
        open=False,
        name=name,
    )


def build_application(
    database_url: str,
    redis_url: str,
    spool_directory: Path,
    *,
    looks_in_background: bool = True,
) -> Dispatcher:
    """Wire the hot paths to a database and a Redis; both are opened at start-up.

    Without looking in the background, what is in memory is re-read by the requests that find it
    old; so it is where the event loop stands still between requests.
    """
    pool = make_pool(database_url, "hot paths", size=POOL_SIZE, patience=PATIENCE_SECONDS)
    # Whoever decides can do without the database, so finds out soon, and waits for nobody else.
    deciding = make_pool(database_url, "deciding", size=DECIDING_SIZE, patience=2, at_once=True)
    spool = Spool(spool_directory)
    notices = redis.asyncio.Redis.from_url(
        redis_url, socket_timeout=0.5, socket_connect_timeout=0.5
    )

    @asynccontextmanager
    async def connections() -> AsyncIterator[None]:
        # What is loaded by now stays; a look through all of it would keep every request waiting.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GARBAGE)
        async with pool, deciding, aclosing(notices):
            yield

    keyring = Keyring(pool, notices)
    campaigns = Current(pool, notices, SnapshotLoader(zone=settings.SITE_ZONE), what="campaigns")
    experiments = Current(pool, notices, load_running, what="experiments")
    views = DrawnOffers(campaigns, others=record_views)
    listeners: list[Listener] = [views, HeardLimits(campaigns), note_reversals]
    intake = Intake(pool, keyring, quotas=Quotas(notices), listeners=listeners)
    hits = Hits(pool, Ingest(pool, listeners=listeners), directory=spool_directory / "hits")
    growthbook = GrowthbookApi(keyring, experiments, providers=[CampaignFeatures(campaigns)])
    held: dict[str, Current[Any]] = {
        "keys": keyring.sources,
        "campaigns": campaigns,
        "experiments": experiments,
    }
    health = Health(keyring, held=held, spool=spool, pool=pool, notices=notices)
    desk = Desk(deciding, campaigns, spool, observe=health.observe_visit)
    return Dispatcher(
        {
            **intake.routes(),
            **DecideApi(keyring, campaigns, desk).routes(),
            **AssignApi(pool, keyring, experiments).routes(),
            **PicksApi(pool, keyring).routes(),
            **growthbook.routes(),
            **OfrepApi(pool, keyring, experiments, secret=settings.SECRET_KEY).routes(),
            **TrackingApi(hits, key=make_link_key(settings.SECRET_KEY)).routes(),
            **document.routes(),
            **StatsApi(keyring).routes(),
            **health.routes(),
        },
        fallback=django_application,
        observe=health.observe,
        resources=[
            connections(),
            spool.drained(deciding),
            hits.recorded(),
            *(
                held.kept_fresh()
                for held in (keyring, campaigns, experiments)
                if looks_in_background
            ),
        ],
    )


application = build_application(settings.DATABASE_URL, settings.REDIS_URL, settings.SPOOL_DIR)
