"""Keeps requests for links and pictures for a moment, and records those that people made.

Whether somebody follows all links of a mail at once shows only when the others are followed too. So
what comes waits a few seconds in this process before it is judged and recorded as an event; and for
longer while the database cannot be reached. Meanwhile it lies in a file (`kept.py`), from which
another process takes it over if this one ends. No redirect waits for any of that.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool

from audience.incoming import Incoming
from audience.intake.ingest import Ingest
from campaigns.mail.links import place_of
from campaigns.tracking.kept import KeptHits, Line, Part
from campaigns.tracking.machines import BURST, SAME, Hit, Kind, find_machines
from wire.background import beside
from wire.messages import Problem

logger = logging.getLogger(__name__)

CLICKED = "Message Clicked"
OPENED = "Message Opened"
NAMES = {Kind.CLICK: CLICKED, Kind.OPEN: OPENED}
SOURCE = "Messages"
LOOK_SECONDS = 1.0
WAITS = BURST + timedelta(seconds=1)
MOST_WAITING = 100_000
# So many share a transaction, which is then over long before the intake's patience is.
AT_ONCE = 1000
# A second click on the same link so soon is the same click.
ONCE = timedelta(seconds=10)

FIND: LiteralString = """
    SELECT delivery.id, customer.external_key AS customer_key, delivery.decision_id,
           delivery.offer, delivery.sent_at, campaign.key AS campaign, step.name AS step,
           (SELECT products FROM recommender_decision WHERE id = delivery.decision_id) AS products
    FROM campaigns_delivery AS delivery
    JOIN audience_customer AS customer ON customer.id = delivery.customer_id
    JOIN campaigns_campaign AS campaign ON campaign.id = delivery.campaign_id
    JOIN campaigns_step AS step ON step.id = delivery.step_id
    WHERE delivery.id = ANY(%s) AND delivery.state IN ('sent', 'in_doubt', 'leased', 'bounced')
"""
# Nobody has a key of it: only we tell of messages.
MAKE_SOURCE: LiteralString = """
    INSERT INTO audience_source
        (name, kind, key_prefix, scopes, encryption_key, created_at)
    VALUES (%(name)s, 'server', '', '{}', '', now())
    ON CONFLICT (name) DO NOTHING
"""
FIND_SOURCE: LiteralString = "SELECT id FROM audience_source WHERE name = %(name)s"


@dataclass(eq=False, slots=True)
class _Waiting:
    """A hit that is not recorded yet, and the file that holds it, if any."""

    line: Line
    part: Part | None


@dataclass(frozen=True, slots=True)
class About:
    """A delivery, as its events tell of it."""

    id: int
    customer_key: str
    decision_id: Any
    offer: str
    sent_at: datetime | None
    campaign: str
    step: str
    products: Sequence[str] | None


class Hits:
    """What was seen of messages, until it is judged."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection],
        ingest: Ingest,
        *,
        directory: Path,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Look deliveries up through the pool, and store events by what stores all others.

        Args:
            pool: Of connections.
            ingest: What stores all events.
            directory: Where hits are kept until they are recorded.
            clock: Says what time it is.
        """
        self._kept = KeptHits(directory)
        self._pool = pool
        self._ingest = ingest
        self._clock = clock
        self._waiting: deque[_Waiting] = deque()
        self._seen: dict[int, list[Hit]] = {}
        self._source: int | None = None
        self.judged: Counter[str] = Counter()

    def note(self, delivery_id: int, hit: Hit, target: str) -> None:
        """Keep a hit until it can be judged; where there are far too many, none is kept."""
        if len(self._waiting) < MOST_WAITING:
            line = Line(delivery_id, hit, target)
            self._add(line, self._kept.keep(line))

    def _take_over(self, now: datetime) -> None:
        """Go on with what processes left that ended."""
        try:
            for line, part in self._kept.take_over(now):
                self._add(line, part)
        except OSError as error:
            logger.warning("What others left of clicks cannot be read: %s", error)

    def _add(self, line: Line, part: Part | None) -> None:
        self._waiting.append(_Waiting(line, part))
        self._seen.setdefault(line.delivery_id, []).append(line.hit)

    @asynccontextmanager
    async def recorded(self) -> AsyncIterator[None]:
        """Record in the background until the block ends, and then what is left."""
        try:
            async with beside(self._keep_recording()):
                yield
        finally:
            try:
                await self.record(until=self._clock())
                self._kept.rest(datetime.max.replace(tzinfo=UTC))
            except (psycopg.Error, Problem) as error:
                logger.error("%s clicks are left on disk: %s", len(self._waiting), error)
            finally:
                self._kept.close()

    async def _keep_recording(self) -> None:
        while True:
            try:
                now = self._clock()
                self._take_over(now)
                await self.record(until=now - WAITS)
                self._kept.rest(now)
            except (psycopg.Error, Problem) as error:
                logger.warning("What was clicked waits: %s", error)
            except Exception:
                logger.exception("What was clicked cannot be recorded now")
            await asyncio.sleep(LOOK_SECONDS)

    async def record(self, *, until: datetime) -> int:
        """Judge and record what came up to a time; return how many events that were."""
        recorded = 0
        ready = deque(entry for entry in self._waiting if entry.line.hit.at <= until)
        while ready:
            some = [ready.popleft() for _ in range(min(AT_ONCE, len(ready)))]
            recorded += await self._record([entry.line for entry in some])
            for entry in some:
                self._waiting.remove(entry)
                if entry.part is not None:
                    self._kept.release(entry.part)
        self._forget(until)
        return recorded

    async def _record(self, lines: Sequence[Line]) -> int:
        about = await self._find({line.delivery_id for line in lines})
        messages: list[Incoming] = []
        judged: Counter[str] = Counter()
        for line in lines:
            known = about.get(line.delivery_id)
            if known is None:
                continue
            reason = self._judge(line.delivery_id, line.hit, known)
            judged[reason] += 1
            if not reason:
                messages.append(_to_event(known, line.hit, line.target))
        if messages:
            await self._ingest.store(messages, source_id=await self._find_source())
        self.judged += judged
        return len(messages)

    def _judge(self, delivery_id: int, hit: Hit, about: About) -> str:
        hits = sorted(self._seen.get(delivery_id, [hit]), key=lambda each: each.at)
        reasons = find_machines(hits, sent_at=about.sent_at)
        return reasons[next(n for n, each in enumerate(hits) if each is hit)]

    async def _find(self, ids: set[int]) -> Mapping[int, About]:
        async with (
            self._pool.connection() as connection,
            connection.cursor(row_factory=class_row(About)) as cursor,
        ):
            rows: Sequence[About] = await (await cursor.execute(FIND, [list(ids)])).fetchall()
        return {row.id: row for row in rows}

    async def _find_source(self) -> int:
        if self._source is None:
            async with self._pool.connection() as connection:
                await connection.execute(MAKE_SOURCE, {"name": SOURCE})
                row = await (await connection.execute(FIND_SOURCE, {"name": SOURCE})).fetchone()
            assert row is not None, "it was made just now"
            self._source = int(row[0])
        return self._source

    def _forget(self, until: datetime) -> None:
        """Forget of whom nothing was seen for long."""
        old = [id_ for id_, hits in self._seen.items() if until - hits[-1].at > SAME]
        for delivery_id in old:
            del self._seen[delivery_id]


def _to_event(about: About, hit: Hit, target: str) -> Incoming:
    properties = {
        "campaign": about.campaign,
        "step": about.step,
        "offer": about.offer,
        "delivery": about.id,
    }
    if about.decision_id is not None:
        properties["decision_id"] = str(about.decision_id)
    if hit.kind is Kind.CLICK:
        properties |= {"url": target, "link": hit.link}
        place, products = place_of(hit.link), about.products or ()
        if place is not None and place < len(products):
            properties["product_id"] = products[place]
    # One that is told twice within a moment has the same id, and is stored once.
    moment = int(hit.at.timestamp() / ONCE.total_seconds())
    return Incoming(
        message_id=f"{hit.kind.value}-{about.id}-{hit.link}-{moment}",
        occurred_at=hit.at,
        customer_key=about.customer_key,
        name=NAMES[hit.kind],
        properties=properties,
    )
