"""Decides for everybody who asks at the same time, and logs it before anybody is answered."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from audience.customers.finding import Name
from audience.keeping.partitions import Months
from campaigns.deciding.contacting import Watched
from campaigns.deciding.counters import lock_counters, move_counters, read_counters
from campaigns.deciding.decide import Asked, Slate, Slot, decide, describe
from campaigns.deciding.foresight import Foreseen, foresee
from campaigns.deciding.logbook import OVERTAKEN, NewlyMet, Unlogged, write
from campaigns.deciding.memory import Memory
from campaigns.deciding.recall import Known, Wanted, recall
from campaigns.deciding.snapshot import RunningCampaign, Snapshot
from campaigns.deciding.spool import Spool
from campaigns.deciding.tally import Tally
from recommender.decision_ids import decision_partition
from recommender.ranking.reading import fetch_by, read_lists
from recommender.weighing.in_parts import Weigh, weigh_here
from wire.batches import Batches
from wire.breaker import Breaker
from wire.current import Current
from wire.pools import UNFIT

logger = logging.getLogger(__name__)

# A batch of some ten visits is done by then, unless it waits for a slow disk or somebody's lock.
PATIENCE_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Visit:
    """One customer who asks, for which placements, and how many offers in each."""

    name: Name
    placements: Mapping[str, int]
    context: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a customer is shown in each placement, in the order asked for.

    Attributes:
        slates: By placement; None where no campaign decides.
        is_logged: Whether it is in the database, or on disk on its way there.
        is_degraded: Whether it was decided without the database: without limits and memory.
    """

    slates: Mapping[str, Slate | None]
    is_logged: bool = True
    is_degraded: bool = False


# Told of what each visit came to.
Observer = Callable[[Outcome], None]


class Desk:
    """Takes visits, in batches: all of one are recalled, decided for and logged together."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection],
        snapshot: Current[Snapshot],
        spool: Spool,
        *,
        observe: Observer = lambda outcome: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Log through `pool`, or into `spool` meanwhile; know campaigns by `snapshot`."""
        self._observe = observe
        self._pool = pool
        self._snapshot = snapshot
        self._spool = spool
        self._clock = clock
        self._months = Months(pool, decision_partition)
        self._breaker = Breaker()
        self._memory = Memory()
        # One after the other they are larger, and so cheaper; nobody waits for one that waits.
        self._batches: Batches[Visit, Outcome] = Batches(
            self._serve,
            at_once=1,
            most=3,
            patience=PATIENCE_SECONDS,
            owner=lambda visit: visit.name,
        )

    async def serve(self, visit: Visit) -> Outcome:
        """Decide for one customer, together with whoever else asks now."""
        outcome = await self._batches.do(visit)
        self._observe(outcome)
        return outcome

    async def _serve(self, visits: Sequence[Visit]) -> Sequence[Outcome]:
        snapshot, now = await self._snapshot.get(), self._clock()
        batch = Batch(snapshot, visits, now)
        if not batch.campaigns:
            # Nobody could be shown anything, so nobody needs to be known.
            return [Outcome(dict.fromkeys(visit.placements)) for visit in visits]
        if not self._breaker.is_open:
            try:
                await self._months.prepare([now])
                await self._serve_logged(batch)
                self._breaker.close()
                batch.remember(self._memory)
                return batch.outcomes(is_logged=True)
            except UNFIT as error:
                logger.error("Decisions cannot be logged in the database now: %s", error)
                self._breaker.open()
            except psycopg.Error:
                if len(visits) > 1:
                    # Each is tried by itself then, and whoever is not to blame is logged.
                    raise
                logger.exception("A decision is refused by the database")
        is_degraded = not batch.is_decided
        if is_degraded:
            batch.decide_blindly(self._memory)
        # What was decided when the connection broke may have been committed or not: it is the
        # same decisions that are spooled, and they are logged once.
        is_spooled = await self._spool.keep(batch.unlogged())
        return batch.outcomes(is_logged=is_spooled, is_degraded=is_degraded)

    async def _serve_logged(self, batch: "Batch") -> None:
        """Decide and log, and once more if others changed the same rows meanwhile.

        Raises:
            psycopg.Error: The database does not take it: one of `UNFIT`, or it takes not this.
        """
        try:
            async with self._pool.connection() as connection:
                await batch.serve(connection)
        except OVERTAKEN:
            async with self._pool.connection() as connection:
                await batch.serve(connection)


class Batch:
    """Visits that are decided together."""

    def __init__(self, snapshot: Snapshot, visits: Sequence[Visit], now: datetime) -> None:
        """Look for the campaigns that may decide."""
        placements = {placement for visit in visits for placement in visit.placements}
        self.snapshot = snapshot.only(sorted(placements), now=now)
        self.visits = visits
        self.now = now
        self.campaigns: list[RunningCampaign] = list(self.snapshot.all_campaigns)
        self.known: Sequence[Known] = ()
        self.slates: list[Mapping[str, Slate | None]] = []
        self.tally = Tally(None)

    @property
    def is_decided(self) -> bool:
        """Whether everybody was decided for."""
        return len(self.slates) == len(self.visits)

    async def serve(self, connection: AsyncConnection[Any]) -> None:
        """Recall, decide and log, with two round trips.

        Where something is limited it is one transaction, and counters are locked in it. Where
        nothing is, two statements without one do the same.
        """
        async with AsyncExitStack() as entered:
            if any(campaign.is_limited for campaign in self.campaigns):
                await entered.enter_async_context(connection.pipeline())
                await entered.enter_async_context(connection.transaction())
            await self.recall(connection)
            self.decide()
            await self._log(connection)

    async def recall(self, connection: AsyncConnection[Any]) -> None:
        """Lock the counters, in the transaction at hand if there are some; find the customers."""
        limits = [limit for campaign in self.campaigns for limit in campaign.all_limits]
        counters = {name for campaign in self.campaigns for name in campaign.counters}
        # What is counted as events come in.
        heard: set[str] = set()
        for limit in limits:
            if not limit.is_per_customer:
                names_of = counters if limit.counts_decisions else heard
                names_of.update(limit.counters(self.now, self.snapshot.zone))
        audiences = {id_ for campaign in self.campaigns for id_ in campaign.audiences}
        holdout = self.snapshot.holdout
        wanted = Wanted(
            experiments=[
                *(campaign.experiment_id for campaign in self.campaigns),
                *([] if holdout is None else [holdout.experiment_id]),
            ],
            holds={campaign.key: campaign.hold_seconds for campaign in self.campaigns},
            capped_days={k: n for c in self.campaigns for k, n in c.capped_days.items()},
            limits=list({limit.id: limit for limit in limits if limit.is_per_customer}.values()),
            audiences={id_: c for id_, c in self.snapshot.rules.items() if id_ in audiences},
            watched=self._watched(),
        )
        used = await lock_counters(connection, counters)
        self.tally = Tally(used | await read_counters(connection, heard))
        names = [visit.name for visit in self.visits]
        self.known = await recall(connection, names, wanted, now=self.now)
        await self._read_lists(connection)

    def _watched(self) -> Watched:
        watching = [campaign for campaign in self.campaigns if campaign.sees_contacts]
        return Watched(
            {campaign.key: campaign.policy.reward_event for campaign in watching},
            frozenset(key for campaign in watching for key in campaign.silent),
        )

    async def _read_lists(self, connection: AsyncConnection[Any]) -> None:
        """Read the products of everybody, where a campaign may show some."""
        rankings = {key for campaign in self.campaigns for key in campaign.rankings}
        if not rankings:
            return
        held = [slot for one in self.known for slate in one.held.values() for slot in slate]
        lists = await read_lists(
            fetch_by(connection),
            rankings,
            [one.id for one in self.known],
            now=self.now,
            besides={key for slot in held for key in (*slot.products, slot.offer) if key},
        )
        for one in self.known:
            one.lists = lists

    def decide_blindly(self, memory: Memory) -> None:
        """Decide by the snapshot alone, and by what this process remembers."""
        self.known = [memory.recall(visit.name) for visit in self.visits]
        self.tally = Tally(None)
        self.decide()

    def decide(self, *, weigh: Weigh = weigh_here) -> None:
        """Let the first campaign of each placement decide for whom it was recalled.

        Args:
            weigh: Weighs offers for many of them at once.
        """
        foreseen = self._foresee(weigh)
        self.slates = [
            {
                placement: decide(
                    self.snapshot,
                    Asked(
                        placement,
                        count,
                        visit.name.key,
                        visit.context,
                        self.now,
                        foreseen.get((placement, place)),
                    ),
                    customer,
                    self.tally,
                )
                for placement, count in visit.placements.items()
            }
            for place, (visit, customer) in enumerate(zip(self.visits, self.known, strict=True))
        ]

    def _foresee(self, weigh: Weigh) -> dict[tuple[str, int], Foreseen]:
        """Look ahead for those who come for something new, by placement and place in the batch."""
        foreseen: dict[tuple[str, int], Foreseen] = {}
        for placement, campaigns in self.snapshot.campaigns.items():
            asking = self._describe_askers(placement, campaigns[0]) if campaigns else {}
            if len(asking) > 1:
                said = list(asking.values())
                found = foresee(campaigns[0], said, now=self.now, weigh=weigh)
                for place, each in zip(asking, found, strict=True):
                    foreseen[placement, place] = each
        return foreseen

    def _describe_askers(
        self, placement: str, campaign: RunningCampaign
    ) -> dict[int, dict[str, Any]]:
        """Say all that is known of those who hold nothing of a campaign, by place in the batch.

        Of somebody who asks twice only the first time counts: at the second, more is known.
        """
        asking: dict[int, dict[str, Any]] = {}
        met: set[str] = set()
        for place, (visit, known) in enumerate(zip(self.visits, self.known, strict=True)):
            is_new = known.key not in met and campaign.key not in known.held
            if is_new and placement in visit.placements:
                met.add(known.key)
                asking[place] = describe(campaign, known, visit.context, now=self.now)
        return asking

    def remember(self, memory: Memory) -> None:
        """Keep in mind what may be needed while the database cannot be asked."""
        attributes = {
            feature.attribute
            for campaign in self.campaigns
            for feature in campaign.policy.odds.features.features
        }
        names = (visit.name for visit in self.visits)
        memory.keep(zip(names, self.known, strict=True), attributes=attributes)

    async def _log(self, connection: AsyncConnection[Any]) -> None:
        unlogged = self.unlogged()
        if unlogged.decisions or unlogged.met:
            await write(connection, unlogged, self.ids)
        await move_counters(connection, unlogged.added)

    @property
    def ids(self) -> Mapping[str, int]:
        """The ids of the customers who are known, by their keys."""
        return {one.key: one.id for one in self.known if one.id is not None}

    def unlogged(self) -> Unlogged:
        """Return what has to be logged, now or later."""
        return Unlogged(
            decisions=[slot.decision for slot in self._new_slots()],
            met=[
                NewlyMet(customer.key, experiment_id, arm_id, self.now)
                for customer, slate in self._slates()
                for experiment_id, arm_id in slate.met
            ],
            added=self.tally.added,
        )

    def outcomes(self, *, is_logged: bool, is_degraded: bool = False) -> Sequence[Outcome]:
        """Return what each visit gets."""
        return [Outcome(slates, is_logged, is_degraded) for slates in self.slates]

    def _slates(self) -> Iterable[tuple[Known, Slate]]:
        for customer, slates in zip(self.known, self.slates, strict=True):
            for slate in slates.values():
                if slate is not None:
                    yield customer, slate

    def _new_slots(self) -> Iterable[Slot]:
        for _, slate in self._slates():
            yield from (slot for slot in slate.slots if isinstance(slot, Slot))
