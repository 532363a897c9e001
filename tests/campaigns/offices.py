"""A desk of a test's own, with a way to the database that may be closed, and who visits it."""

import asyncio
from collections import Counter as Count
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis.asyncio
from django.conf import settings
from django.utils import timezone

from audience.customers.finding import Name
from campaigns.deciding.desk import Desk, Outcome, Visit
from campaigns.deciding.loading import SnapshotLoader
from campaigns.deciding.snapshot import Snapshot
from campaigns.deciding.spool import Spool
from campaigns.models import Campaign, Counter
from config.asgi import set_up
from tests.asgi import database_url
from tests.makers import make_campaign
from wire.current import Current
from wire.pools import Pool

NOWHERE = "host=/nowhere dbname=none"


@dataclass
class Office:
    """A desk on an event loop, and the way to the database that it would take."""

    desk: Desk
    spool: Spool
    pool: Pool
    snapshot: Current[Snapshot]
    runner: asyncio.Runner

    def serve(self, *visits: Visit, desks: Sequence[Desk] = ()) -> Sequence[Outcome]:
        """Serve visits all at once, each at every one of these desks or at the office's own."""

        async def all_at_once() -> Sequence[Outcome]:
            at = desks or [self.desk]
            return await asyncio.gather(*(desk.serve(visit) for visit in visits for desk in at))

        return self.runner.run(all_at_once())

    def drain(self) -> int:
        return self.runner.run(self.spool.drain(self.pool))


@contextmanager
def open_office(directory: Path, url: str = "") -> Iterator[Office]:
    """Open a desk whose decisions go to the test's database, or to another address."""
    with asyncio.Runner() as runner:
        pool, other = runner.run(open_pool(database_url())), runner.run(open_pool(url))
        notices = redis.asyncio.Redis.from_url(settings.REDIS_URL)
        snapshot = Current(pool, notices, SnapshotLoader(), what="campaigns")
        spool = Spool(directory)
        try:
            desk = Desk(other if url else pool, snapshot, spool)
            yield Office(desk, spool, pool, snapshot, runner)
        finally:
            runner.run(notices.aclose())
            runner.run(pool.close())
            runner.run(other.close())
            spool.close()


async def open_pool(url: str) -> Pool:
    options: dict[str, Any] = {"autocommit": True}
    pool = Pool(
        url, min_size=0, max_size=3, timeout=0.3 if url == NOWHERE else 5, kwargs=options,
        configure=set_up, open=False,
    )  # fmt: skip
    await pool.open()
    return pool


def start(*, offers: Sequence[Any], **plan: Any) -> Campaign:
    """Start a campaign that decides anew at every request."""
    return make_campaign(offers=offers, started_at=timezone.now(), hold_minutes=0, **plan)


def visit(campaign: Campaign, name: str, count: int = 1, **context: Any) -> Visit:
    return Visit(Name(name), {campaign.placement.key: count}, context)


def shown(outcomes: Sequence[Outcome]) -> "Count[str]":
    """Count the offers of all outcomes."""
    return Count(
        str(slot.content["key"])
        for outcome in outcomes
        for slate in outcome.slates.values()
        for slot in (slate.slots if slate is not None else ())
        if slot.content is not None
    )


def used(name: str) -> int:
    return Counter.objects.get(name=name).used
