"""Keeps the campaigns' features at hand for the payload, and lets it know of changes."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from campaigns.client_draws.growthbook import next_change, to_extras
from campaigns.deciding.snapshot import Snapshot
from experiments.growthbook.payload import Extras
from wire.current import Current


@dataclass(frozen=True, slots=True)
class _Held:
    """What was written of a snapshot, and until when it holds."""

    snapshot: Snapshot
    extras: Extras
    until: datetime | None


class CampaignFeatures:
    """Campaigns as a provider of `experiments.growthbook.api.GrowthbookApi`.

    It is another object where the campaigns are, and when something begins or ends by itself.
    """

    def __init__(
        self,
        campaigns: Current[Snapshot],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Know campaigns by `campaigns`."""
        self._campaigns = campaigns
        self._clock = clock
        self._held: _Held | None = None

    async def get(self) -> Extras:
        """Return the features as they are now."""
        return (await self._hold()).extras

    async def changed(self, since: Extras, within: float) -> Extras:
        """Wait until the features are others, or these seconds have passed."""
        held = await self._hold()
        if held.extras is not since:
            return held.extras
        if held.until is not None:
            within = min(within, max((held.until - self._clock()).total_seconds(), 0.0))
        await self._campaigns.changed(held.snapshot, within)
        return await self.get()

    async def _hold(self) -> _Held:
        snapshot, now = await self._campaigns.get(), self._clock()
        held = self._held
        is_old = held is None or held.snapshot is not snapshot
        if held is None or is_old or (held.until is not None and held.until <= now):
            until = next_change(snapshot, now=now)
            held = self._held = _Held(snapshot, to_extras(snapshot, now=now), until)
        return held
