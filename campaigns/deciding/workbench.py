"""Decides outside of the web: a connection of the kind that deciding uses, and the campaigns."""

import asyncio
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from django.conf import settings
from django.db import connection as django_connection
from psycopg import AsyncConnection
from psycopg.pq import Conninfo

from audience.keeping.partitions import make_months, month_of
from campaigns.deciding.loading import SnapshotLoader
from campaigns.deciding.snapshot import RunningCampaign, Snapshot
from recommender.decision_ids import decision_partition

OF_LIBPQ = frozenset(option.keyword.decode() for option in Conninfo.get_defaults())


class Workbench:
    """Holds what the desk's code needs, for as long as a worker decides."""

    def __init__(self) -> None:
        """Connect when somebody is first decided for."""
        self.runner = asyncio.Runner()
        self._load = SnapshotLoader(zone=settings.SITE_ZONE)
        self._connection: AsyncConnection[Any] | None = None
        self._months: set[datetime] = set()
        self.snapshot = Snapshot()

    def __enter__(self) -> Self:
        """Hold everything until the block ends."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of the connection."""
        self.runner.run(self.disconnect())
        self.runner.close()

    def refresh(self) -> None:
        """Read the running campaigns anew."""
        self.snapshot = self.runner.run(self._read())

    def find(self, key: str) -> RunningCampaign | None:
        """Return a campaign as it was last read, if it ran."""
        return next((c for c in self.snapshot.all_campaigns if c.key == key), None)

    async def connect(self, *, now: datetime) -> AsyncConnection[Any]:
        """Return the connection, with the month's partition made by itself."""
        connection = await self._connect()
        month = month_of(now)
        if month not in self._months:
            async with connection.transaction():
                await make_months(connection, decision_partition, [month])
            self._months.add(month)
        return connection

    async def disconnect(self) -> None:
        """Let go of a connection, which may be broken."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _read(self) -> Snapshot:
        return await self._load(await self._connect())

    async def _connect(self) -> AsyncConnection[Any]:
        if self._connection is None or self._connection.closed:
            known = django_connection.get_connection_params()
            # How a server is trusted and chosen too, but not what Django means for itself.
            params = {name: known[name] for name in OF_LIBPQ & known.keys() if known[name]}
            self._connection = await AsyncConnection.connect(autocommit=True, **params)
        return self._connection


def alone(snapshot: Snapshot, campaign: RunningCampaign) -> Snapshot:
    """Return a world in which a campaign decides by itself, for customers chosen before.

    What else is shown in the placement has customers of its own, and who was chosen stays so,
    whoever belongs to the audience by now.
    """
    return replace(
        snapshot,
        placements=frozenset({campaign.placement}),
        campaigns={campaign.placement: (replace(campaign, audience=None),)},
    )
