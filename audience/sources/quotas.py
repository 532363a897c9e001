"""Holds each source to the number of events that it may send in a day."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import redis.asyncio

from audience.sources.keyring import KnownSource, too_many

logger = logging.getLogger(__name__)

KEEP = timedelta(days=2)


class Quotas:
    """Counts events by source and day (UTC), for all web processes together, in Redis.

    A quota keeps a mistake from filling the disk; it is no border against an attacker. So where
    Redis does not answer, events are taken rather than lost.
    """

    def __init__(
        self,
        counters: "redis.asyncio.Redis",
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Count here."""
        self._counters = counters
        self._clock = clock

    async def count(self, source: KnownSource, events: int) -> None:
        """Count events that a source is about to send.

        A batch that begins below the quota is taken whole; a refused one counts nothing.

        Raises:
            Problem: The day's quota is used up (429).
        """
        if source.events_per_day is None or not events:
            return
        now = self._clock()
        name = f"offerlab:events:{source.id}:{now:%Y-%m-%d}"
        try:
            before = int(await self._counters.get(name) or 0)
            if before >= source.events_per_day:
                midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
                wait = (midnight + timedelta(days=1) - now).total_seconds()
                raise too_many(
                    wait, f"This key may send {source.events_per_day:,} events a day (UTC)."
                )
            async with self._counters.pipeline() as pipeline:
                pipeline.incrby(name, events)
                pipeline.expire(name, KEEP)
                await pipeline.execute()
        except redis.RedisError as error:
            logger.warning("Quotas are not counted now: %s", error)
