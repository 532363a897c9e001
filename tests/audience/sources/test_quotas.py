"""A source sends as many events a day as it may, and no more."""

import asyncio
import uuid
from datetime import UTC, datetime

import pytest
import redis.asyncio

from audience.sources.keyring import KnownSource
from audience.sources.quotas import Quotas
from wire.messages import Problem


def source(events_per_day: int | None) -> KnownSource:
    return KnownSource(
        id=uuid.uuid4().int % 2**60, scopes=frozenset(), events_per_day=events_per_day
    )


def test_a_days_quota_ends_with_the_day(
    notices: redis.asyncio.Redis, runner: asyncio.Runner
) -> None:
    clock = [datetime(2026, 3, 2, 23, 59, 30, tzinfo=UTC)]
    quotas, sender = Quotas(notices, clock=lambda: clock[0]), source(100)

    async def story() -> None:
        await quotas.count(sender, 60)
        await quotas.count(sender, 60)
        for _ in range(2):
            with pytest.raises(Problem, match="100 events a day") as caught:
                await quotas.count(sender, 1)
            assert (caught.value.status, caught.value.headers) == (429, {"retry-after": "30"})
        await quotas.count(source(100), 1)
        clock[0] = datetime(2026, 3, 3, tzinfo=UTC)
        await quotas.count(sender, 1)

    runner.run(story())


def test_without_a_quota_or_without_redis_everything_is_taken(
    runner: asyncio.Runner, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        nowhere = redis.asyncio.Redis.from_url("unix:///nowhere.sock")
        await Quotas(nowhere).count(source(None), 10**9)
        assert caplog.text == ""
        await Quotas(nowhere).count(source(1), 10**9)
        await nowhere.aclose()

    runner.run(story())
    assert "not counted" in caplog.text
