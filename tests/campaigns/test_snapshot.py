"""The running campaigns in memory."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import redis.asyncio
from django.conf import settings
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from campaigns import snapshot
from campaigns.snapshot import CurrentSnapshot, Serves, Snapshot
from recommender.features import CategoryFeature, FeatureSpec
from recommender.notices import announce_change
from tests.asgi import database_url
from tests.makers import make_campaign, make_offer, make_placement

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass(frozen=True, slots=True)
class Reader:
    """A snapshot that is asked for between uses of the ORM, on one event loop."""

    current: CurrentSnapshot
    pool: AsyncConnectionPool[AsyncConnection]
    runner: asyncio.Runner

    def read(self) -> Snapshot:
        return self.runner.run(self.current.get())


@contextmanager
def reading(redis_url: str = settings.REDIS_URL) -> Iterator[Reader]:
    with asyncio.Runner() as runner:
        pool = runner.run(open_pool())
        notices = redis.asyncio.Redis.from_url(redis_url, socket_connect_timeout=0.1)
        try:
            yield Reader(CurrentSnapshot(pool, notices), pool, runner)
        finally:
            runner.run(notices.aclose())
            runner.run(pool.close())


async def open_pool() -> AsyncConnectionPool[AsyncConnection]:
    options: dict[str, Any] = {"autocommit": True}
    pool: AsyncConnectionPool[AsyncConnection] = AsyncConnectionPool(
        database_url(), min_size=0, max_size=2, timeout=0.5, kwargs=options, open=False
    )
    await pool.open()
    return pool


@pytest.fixture
def always_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "LOOK_SECONDS", 0.0)


@pytest.fixture
def always_reloads(always_looks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "RELOAD_SECONDS", 0.0)


def test_it_holds_what_deciding_needs() -> None:
    campaign = make_campaign(
        offers=[make_offer(key="gift"), make_offer(key="saving")],
        features=FeatureSpec((CategoryFeature("segment", ("a", "b")),)),
        held_back_share=0.25,
    )
    make_campaign(started_at=None)

    with reading() as reader:
        loaded = reader.read()
    assert list(loaded.campaigns) == [campaign.placement.key]
    assert len(loaded.placements) == 2
    (running,) = loaded.campaigns[campaign.placement.key]
    assert running.key == campaign.key
    assert [arm.serves for arm in running.arms] == [Serves.BASELINE, Serves.POLICY, Serves.NOTHING]
    assert [offer.rules.key for offer in running.offers] == ["gift", "saving"]
    assert running.policy.odds.offers == ("gift", "saving")
    assert running.policy.odds.features.size == 3
    assert (running.policy.version, running.policy.held_back_share) == (0, 0.25)


def test_a_change_is_seen_after_its_notice_and_not_before(always_looks: None) -> None:
    with reading() as reader:
        # The first looks also learn which notice was the last.
        assert [len(reader.read().placements) for _ in range(2)] == [0, 0]
        make_placement()
        assert len(reader.read().placements) == 0
        announce_change()
        assert len(reader.read().placements) == 1


def test_between_two_looks_nothing_is_asked() -> None:
    with reading() as reader:
        assert reader.read() is reader.read()


def test_without_redis_it_is_read_again_by_time(always_reloads: None) -> None:
    with reading("unix:///nowhere.sock") as reader:
        assert len(reader.read().placements) == 0
        make_placement()
        assert len(reader.read().placements) == 1


def test_without_postgresql_the_last_one_goes_on(always_reloads: None) -> None:
    make_placement()
    with reading() as reader:
        assert len(reader.read().placements) == 1
        reader.runner.run(reader.pool.close())
        assert len(reader.read().placements) == 1


def test_a_damaged_campaign_does_not_keep_the_others_from_deciding(
    caplog: pytest.LogCaptureFixture,
) -> None:
    damaged, sound = make_campaign(), make_campaign()
    damaged.experiment.arms.update(payload={})
    with reading() as reader:
        assert list(reader.read().campaigns) == [sound.placement.key]
    assert f"The campaign {damaged.key} cannot be run" in caplog.text
