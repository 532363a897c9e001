"""The campaigns' features are another object when campaigns change or something is due."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from campaigns.client_draws.publishing import CampaignFeatures
from campaigns.deciding.eligibility import Window
from campaigns.deciding.snapshot import Snapshot
from tests.campaigns.client_draws.leaved import NOW, make_campaign, make_snapshot
from wire.current import Current

SECOND = timedelta(seconds=1)


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


class NoServer:
    """Stands where PostgreSQL and Redis would: there is nothing to read but what a test says."""

    def connection(self) -> "NoServer":
        return self

    async def __aenter__(self) -> "NoServer":
        return self

    async def __aexit__(self, *args: object) -> None:
        return None

    async def get(self, key: str) -> None:
        return None


def run(
    story: Callable[[CampaignFeatures, Current[Snapshot], list[Snapshot]], Awaitable[None]],
    *snapshots: Snapshot,
    clock: Clock,
) -> None:
    """Tell a story in which the last of `snapshots` is what the campaigns are."""
    loaded = list(snapshots)

    async def load(connection: Any) -> Snapshot:
        return loaded[-1]

    async def tell() -> None:
        server = cast(Any, NoServer())
        current = Current(server, server, load, what="campaigns")
        await story(CampaignFeatures(current, clock=clock), current, loaded)

    asyncio.run(tell())


def test_they_are_the_same_object_for_as_long_as_nothing_changes() -> None:
    async def story(features: CampaignFeatures, current: Current[Snapshot], loaded: Any) -> None:
        extras = await features.get()
        assert "summer" in extras.features
        assert await features.get() is extras
        assert await features.changed(extras, 0.01) is extras

    run(story, make_snapshot(make_campaign()), clock=Clock())


def test_they_are_told_of_when_campaigns_change() -> None:
    async def story(features: CampaignFeatures, current: Current[Snapshot], loaded: Any) -> None:
        extras = await features.get()
        waiting = asyncio.create_task(features.changed(extras, 5.0))
        await asyncio.sleep(0)
        loaded.append(Snapshot())
        await current.look(at_once=True)
        changed = await waiting
        assert changed.features == {}
        assert await features.changed(extras, 5.0) is changed

    run(story, make_snapshot(make_campaign()), clock=Clock())


def test_they_are_others_when_something_begins_by_itself() -> None:
    clock = Clock()

    async def story(features: CampaignFeatures, current: Current[Snapshot], loaded: Any) -> None:
        extras = await features.get()
        assert extras.features == {}
        waiting = asyncio.create_task(features.changed(extras, 5.0))
        await asyncio.sleep(0.005)
        clock.now += SECOND
        assert "summer" in (await waiting).features

    campaign = make_campaign(window=Window(NOW + SECOND / 50, None))
    run(story, make_snapshot(campaign), clock=clock)
