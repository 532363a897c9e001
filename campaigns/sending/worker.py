"""A worker that sends: campaign after campaign, some of each, until nothing is due."""

import logging
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from types import TracebackType
from typing import Self

from django.conf import settings
from django.db import connection
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from campaigns.channels import CHANNELS
from campaigns.models import Campaign, Delivery, DeliveryState, Status
from campaigns.sending.claiming import expire_leases
from campaigns.sending.deciding import Decider
from campaigns.sending.lines import Lines
from campaigns.sending.sending import CampaignRun

logger = logging.getLogger(__name__)

# What changed about campaigns is seen so soon; a pause and a no are looked for at every moment.
REFRESH_SECONDS = 1.0
# Old leases are looked for as often.
EXPIRE_SECONDS = 5.0
# A campaign of which nothing gets through is left alone for this long.
REST_SECONDS = 15.0
ENDED = "The campaign ended before it was sent."


class Worker:
    """Holds what sending needs, for as long as a process sends."""

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] = timezone.now,
        is_over: Callable[[], bool] = lambda: False,
    ) -> None:
        """Open nothing yet; `is_over` is asked between two moments of sending."""
        self._clock = clock
        self._is_over = is_over
        self._stack = ExitStack()
        self._decider = self._stack.enter_context(Decider())
        self._lines: dict[str, Lines] = {}
        self._runs: dict[int, CampaignRun] = {}
        self._resting: dict[int, float] = {}
        self._refreshed_at = self._expired_at = float("-inf")

    def __enter__(self) -> Self:
        """Hold everything until the block ends."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close every connection."""
        self._stack.close()

    def send_due(self, *, seconds: float = float("inf")) -> Counter[str]:
        """Send until nothing is due or the time is up; return what became of how many."""
        done: Counter[str] = Counter()
        ends = time.monotonic() + seconds
        while not self._is_over() and time.monotonic() < ends:
            self._look_around()
            campaigns = [
                campaign_id
                for campaign_id in find_due(now=self._clock())
                if self._resting.get(campaign_id, 0.0) <= time.monotonic()
            ]
            if not campaigns:
                break
            for campaign_id in campaigns:
                done += self._send_some(campaign_id)
        return done

    def _send_some(self, campaign_id: int) -> Counter[str]:
        run = self._runs.get(campaign_id)
        if run is None:
            campaign = Campaign.objects.select_related("placement", "policy").get(pk=campaign_id)
            lines = self._lines_of(campaign.placement.channel)
            run = self._runs[campaign_id] = CampaignRun(
                campaign, self._decider, lines, clock=self._clock, is_over=self._is_over
            )
        before = run.tally.states.copy()
        try:
            run.send()
        except Exception:
            # One campaign with damaged settings must not keep the others from being sent.
            logger.exception("%s cannot be sent", run.campaign)
            connection.close_if_unusable_or_obsolete()
            run.tally.is_stuck = True
        if run.tally.is_stuck:
            self._resting[campaign_id] = time.monotonic() + REST_SECONDS
            run.tally.is_stuck = False
        return run.tally.states - before

    def _lines_of(self, channel: str) -> Lines:
        lines = self._lines.get(channel)
        if lines is None:
            lines = Lines(CHANNELS[channel], count=settings.SENDING_LINES)
            self._lines[channel] = self._stack.enter_context(lines)
        return lines

    def _look_around(self) -> None:
        """Read what may have changed, and settle what others left behind, now and then."""
        clock = time.monotonic()
        if clock - self._refreshed_at >= REFRESH_SECONDS:
            self._decider.refresh()
            self._runs.clear()
            self._refreshed_at = clock
        if clock - self._expired_at >= EXPIRE_SECONDS:
            self._expired_at = clock
            settled = expire_leases(now=self._clock())
            if settled:
                logger.warning("Of deliveries whose worker ended: %s", dict(settled))
            close_ended(now=self._clock())


def find_due(*, now: datetime) -> list[int]:
    """Return the campaigns that run and have something to be sent now, the most urgent first."""
    due = Delivery.objects.filter(
        campaign=OuterRef("pk"), state=DeliveryState.QUEUED, send_after__lte=now
    )
    running = Campaign.objects.filter(
        Q(starts_at=None) | Q(starts_at__lte=now),
        Q(ends_at=None) | Q(ends_at__gt=now),
        Exists(due),
        status=Status.RUNNING,
    )
    return list(running.order_by("priority", "pk").values_list("pk", flat=True))


def close_ended(*, now: datetime) -> int:
    """Say of what waits in campaigns that are over that it is not sent; return how many."""
    over = Campaign.objects.filter(
        Q(status=Status.FINISHED) | Q(status=Status.RUNNING, ends_at__lte=now)
    )
    waiting = Delivery.objects.filter(campaign__in=over, state=DeliveryState.QUEUED)
    return waiting.update(state=DeliveryState.SKIPPED, reason=ENDED)
