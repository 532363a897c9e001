"""A shop whose clients draw offers by themselves: a campaign, and the way in for their views."""

from collections.abc import Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import redis.asyncio
from django.conf import settings
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from audience.intake.api import Intake
from audience.models import Scope
from audience.sources.keyring import Keyring
from campaigns.client_draws.exposed import DrawnOffers
from campaigns.deciding.loading import SnapshotLoader
from campaigns.deciding.snapshot import Snapshot
from campaigns.models import Campaign
from experiments.assigning.exposed import record_views
from tests.asgi import Site, database_url, serve
from tests.makers import make_source
from wire.current import Current
from wire.dispatcher import Dispatcher

BANDIT = ("leafId", "banditVersion", "variationWeights")


@dataclass
class ClientShop:
    """A campaign, and a site that takes its events."""

    site: Site
    key: str
    snapshot: Current[Snapshot]
    campaign: Campaign

    @property
    def running(self) -> Snapshot:
        """The campaigns as they are now."""
        self.site.run(self.snapshot.look(at_once=True))
        return self.site.run(self.snapshot.get())


@contextmanager
def open_intake(*, now: datetime) -> Iterator[tuple[Site, str, Current[Snapshot]]]:
    """Take events at a time that stands still; yield the site, a key for it, and what it knows."""
    pool = AsyncConnectionPool(database_url(), min_size=1, max_size=4, open=False)
    notices = redis.asyncio.Redis.from_url(settings.REDIS_URL)
    snapshot = Current(pool, notices, SnapshotLoader(), what="campaigns")
    views = DrawnOffers(snapshot, others=record_views)
    intake = Intake(pool, Keyring(pool, notices), listeners=[views], clock=lambda: now)

    async def nowhere(*args: Any) -> None:
        raise AssertionError("everything has a route")

    application = Dispatcher(intake.routes(), fallback=nowhere, resources=[pool, aclosing(notices)])
    with serve(application) as site:
        yield site, make_source(Scope.EVENTS)[1], snapshot


def properties_of(experiment: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """Write what a tracking callback was told as GrowthBook's documentation does."""
    said = {"experimentId": experiment["key"], "variationId": result["key"]}
    return said | {name: result[name] for name in BANDIT if name in result}


async def read_snapshot() -> Snapshot:
    """Read the running campaigns once, by a connection of its own."""
    async with await AsyncConnection.connect(database_url(), autocommit=True) as connection:
        return await SnapshotLoader()(connection)
