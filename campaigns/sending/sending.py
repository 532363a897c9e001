"""Sends what is due of one campaign: claim, look who may get it, decide, write, send, record.

A worker that is killed at any line leaves every delivery accounted for: waiting, or in doubt.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction

from audience.consent.suppression import suppress
from audience.models import Channel, SuppressionReason
from campaigns.channels.base import Refused, Unsure
from campaigns.deciding.zones import zone_of
from campaigns.models import Campaign, Cap, Step
from campaigns.sending.claiming import (
    LEASE,
    Claimed,
    Result,
    begin,
    claim,
    follow,
    give_back,
    record,
    unbegin,
)
from campaigns.sending.deciding import CHOSE_NOTHING, NO_OFFER, Decided, Decider
from campaigns.sending.enrolling import hours_of
from campaigns.sending.following import Done, find_nexts
from campaigns.sending.frequency import find_capped, find_channel_caps, take_turns
from campaigns.sending.lines import Lines, Sent, Unsent
from campaigns.sending.pacing import take_turn
from campaigns.sending.permission import find_arrived, find_objections, find_unmet
from campaigns.sending.timing import is_quiet, next_moment
from campaigns.sending.writing import Writer, Written
from campaigns.templating.templates import Unrenderable

# How many are claimed, and so decided for, together.
CLAIMED = 250
# How many are on their way at once: so many may be in doubt when a worker is killed.
MOST_AT_ONCE = 40
LEAST_AT_ONCE = 4
# A worker waits this long for a channel's turn, and else lets others have what it claimed.
PATIENCE_SECONDS = 5.0
# Quiet hours begin so much earlier for who is about to be sent something.
MARGIN = timedelta(seconds=5)
# After each refusal that may pass a message waits longer; after the last one it has failed.
DELAYS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 360))

NO_ADDRESS = "No address of the customer is known."
MERGED = "The customer turned out to be another one."
NO_MESSAGE = "The step says nothing."


@dataclass(frozen=True, slots=True)
class Skip:
    """A delivery that is not sent, and whether the customer's next step follows all the same."""

    reason: str
    goes_on: bool = False


@dataclass
class Tally:
    """What one run did, by state, and whether nothing gets through now."""

    states: Counter[str] = field(default_factory=Counter)
    is_stuck: bool = False


class CampaignRun:
    """One campaign's sending by one worker."""

    def __init__(
        self,
        campaign: Campaign,
        decider: Decider,
        lines: Lines,
        *,
        clock: Callable[[], datetime],
        is_over: Callable[[], bool] = lambda: False,
    ) -> None:
        """Read what the campaign says; `is_over` is asked between two moments of sending."""
        self.campaign = campaign
        self.channel: str = campaign.placement.channel
        self.writer = Writer(campaign)
        self.steps: Sequence[Step] = list(campaign.steps.all())
        self.caps: Sequence[Cap] = find_channel_caps(self.channel)
        self.hours = hours_of(campaign)
        self.tally = Tally()
        self._decider = decider
        self._lines = lines
        self._clock = clock
        self._is_over = is_over
        self._until = clock()
        self._at_once = LEAST_AT_ONCE
        self._by_id = {step.pk: step for step in self.steps}

    def send(self, *, limit: int = CLAIMED) -> int:
        """Send a batch of what is due; return how many were claimed."""
        now = self._clock()
        self._until = now + LEASE
        claimed = claim(self.campaign.pk, limit=limit, now=now, until=self._until)
        if not claimed:
            return 0
        unsettled = {each.id for each in claimed}
        try:
            ready = self._prepare(claimed, unsettled)
            while ready and not self._is_over() and not self.tally.is_stuck:
                ready = self._send_some(ready, unsettled)
        finally:
            # What is begun stays leased, and is in doubt once the lease runs out.
            give_back(unsettled, until=self._until)
        return len(claimed)

    def _prepare(self, claimed: Sequence[Claimed], unsettled: set[int]) -> list[Written]:
        """Sort out who gets nothing, decide for the others, and write their messages."""
        now = self._clock()
        skips = dict(self._sort_out(claimed, now))
        later = dict(self._quiet([each for each in claimed if each.id not in skips], now))
        left = [each for each in claimed if each.id not in skips and each.id not in later]
        decided = self._decide(left, now)
        ready: list[Written] = []
        failed: list[Result] = []
        for each in left:
            made = decided[each.id]
            if made.content is None:
                skips[each.id] = Skip(made.reason, goes_on=made.reason in {NO_OFFER, CHOSE_NOTHING})
                continue
            try:
                outgoing = self.writer.write(self._by_id[each.step_id], each, made.content, now=now)
            except (Unrenderable, Refused) as error:
                failed.append(Result(each.id, "failed", str(error)))
            else:
                ready.append(Written(each, outgoing))
        results = [Result(id_, "skipped", skip.reason) for id_, skip in skips.items()]
        results += [Result(id_, "queued", again_at=at) for id_, at in later.items()]
        goes_on = {id_ for id_, skip in skips.items() if skip.goes_on}
        self._settle([*results, *failed], claimed, goes_on, unsettled)
        return ready

    def _sort_out(self, claimed: Sequence[Claimed], now: datetime) -> Iterable[tuple[int, Skip]]:
        """Yield who gets nothing; the first reason counts."""
        found: dict[int, Skip] = {}

        def skip(reasons: Mapping[int, str], *, goes_on: bool = False) -> None:
            for id_, reason in reasons.items():
                found.setdefault(id_, Skip(reason, goes_on))

        addresses = {each.id: self.writer.address_of(each) for each in claimed}
        skip({each.id: MERGED for each in claimed if each.merged_into is not None})
        skip({id_: NO_ADDRESS for id_, address in addresses.items() if not address})
        event = self.campaign.policy.reward_event
        skip(find_arrived(self.campaign, claimed, event=event))
        skip(self._objections(claimed))
        for step in self.steps:
            of_step = [each for each in claimed if each.step_id == step.pk]
            skip(find_unmet(step, of_step, now=now), goes_on=True)
            if of_step and not self.writer.has_message(step):
                skip({each.id: NO_MESSAGE for each in of_step}, goes_on=True)
        left = [each for each in claimed if each.id not in found]
        skip(self._capped(left, now), goes_on=True)
        return found.items()

    def _quiet(self, claimed: Sequence[Claimed], now: datetime) -> Iterable[tuple[int, datetime]]:
        """Yield whose clock is about to show a quiet hour, and when it no more does."""
        for each in claimed:
            zone = self._zone(each)
            soon = now + MARGIN
            if is_quiet(self.hours, now, zone=zone) or is_quiet(self.hours, soon, zone=zone):
                yield each.id, next_moment(replace(self.hours, send_time=None), soon, zone=zone)

    def _objections(self, claimed: Sequence[Claimed]) -> Mapping[int, str]:
        objections = find_objections(
            [each.customer_id for each in claimed],
            channel=self.channel,
            purpose=self.campaign.purpose,
        )
        return {
            each.id: objections[each.customer_id]
            for each in claimed
            if each.customer_id in objections
        }

    def _capped(self, claimed: Sequence[Claimed], now: datetime) -> Mapping[int, str]:
        if not self.caps:
            return {}
        zones = {each.customer_id: self._zone(each) for each in claimed}
        capped = find_capped(self.caps, zones, channel=self.channel, now=now)
        return {each.id: capped[each.customer_id] for each in claimed if each.customer_id in capped}

    def _decide(self, claimed: Sequence[Claimed], now: datetime) -> Mapping[int, Decided]:
        running = self._decider.find(self.campaign.key) if claimed else None
        if running is None:
            return {each.id: Decided(None, "", None, "The campaign is over.") for each in claimed}
        return self._decider.decide(running, claimed, now=now)

    def _send_some(self, ready: list[Written], unsettled: set[int]) -> list[Written]:
        """Send the first few, if they still may be; return what is left."""
        some, rest = ready[: self._at_once], ready[self._at_once :]
        per_second = settings.MESSAGES_PER_SECOND.get(self.channel, 0.0)
        if per_second > 0:
            some = some[: max(1, int(per_second / 4))]
            rest = ready[len(some) :]
            wait = take_turn(self.channel, len(some), per_second=per_second, now=self._clock())
            if wait > PATIENCE_SECONDS or not self._wait(wait):
                self.tally.is_stuck = True
                return []
        now = self._clock()
        begun = self._begin(some, now, unsettled)
        if not begun:
            # Those who object are settled; else the campaign does not run, or the lease is over.
            self.tally.is_stuck = any(each.claimed.id in unsettled for each in some)
            return rest
        started = time.monotonic()
        round_ = self._lines.send([each.outgoing for each in begun], now=now)
        self._adapt(len(round_.outcomes), time.monotonic() - started)
        by_id = {each.claimed.id: each for each in begun}
        results = [self._to_result(each, by_id) for each in round_.outcomes]
        left = [by_id[each.delivery_id] for each in round_.left]
        unbegin([each.claimed.id for each in left], until=self._until)
        goes_on = {result.id for result in results if result.state == "sent"}
        for result in results:
            if result.state == "bounced":
                suppress(
                    by_id[result.id].outgoing.address,
                    channel=Channel(self.channel),
                    reason=SuppressionReason.BOUNCE,
                    now=now,
                )
        self._settle(results, [each.claimed for each in begun], goes_on, unsettled)
        if results and all(result.state == "queued" for result in results):
            # Nothing gets through: the others wait without having been refused.
            self.tally.is_stuck = True
        return [*left, *rest]

    def _begin(
        self, some: Sequence[Written], now: datetime, unsettled: set[int]
    ) -> Sequence[Written]:
        """Look once more who may get it, and write down that it is about to leave."""
        claimed = [each.claimed for each in some]
        quiet = [Result(id_, "queued", again_at=at) for id_, at in self._quiet(claimed, now)]
        with transaction.atomic():
            if self.caps:
                take_turns([each.customer_id for each in claimed])
            skips = dict(self._objections(claimed))
            capped = self._capped([each for each in claimed if each.id not in skips], now)
            stopped = {*skips, *capped, *(result.id for result in quiet)}
            begun = begin(
                {
                    each.claimed.id: each.outgoing.message_id
                    for each in some
                    if each.claimed.id not in stopped
                },
                until=self._until,
            )
        results = [Result(id_, "skipped", why) for id_, why in {**capped, **skips}.items()]
        self._settle([*quiet, *results], claimed, set(capped) - set(skips), unsettled)
        # What is begun is no more given back: from here on it may have left.
        return [each for each in some if each.claimed.id in begun]

    def _to_result(self, outcome: Sent | Unsent, by_id: Mapping[int, Written]) -> Result:
        id_ = outcome.outgoing.delivery_id
        if isinstance(outcome, Sent):
            return Result(id_, "sent", provider_id=outcome.provider_id)
        error = outcome.error
        if isinstance(error, Unsure):
            return Result(id_, "in_doubt", str(error))
        if error.is_gone:
            return Result(id_, "bounced", str(error))
        attempts = by_id[id_].claimed.attempts
        if error.permanent or attempts >= len(DELAYS):
            return Result(id_, "failed", str(error))
        zone = self._zone(by_id[id_].claimed)
        # The time of day was right already; a night may lie in between.
        hours = replace(self.hours, send_time=None)
        again_at = next_moment(hours, self._clock() + DELAYS[attempts], zone=zone)
        return Result(id_, "queued", str(error), again_at=again_at)

    def _settle(
        self,
        results: Sequence[Result],
        claimed: Sequence[Claimed],
        goes_on: set[int],
        unsettled: set[int],
    ) -> None:
        """Write down what became of deliveries, and put down the next step of those who go on."""
        if not results:
            return
        now = self._clock()
        by_id = {each.id: each for each in claimed}
        with transaction.atomic():
            told = record(results, now=now, until=self._until)
            done = [Done(id_, by_id[id_].step_id, self._zone(by_id[id_])) for id_ in goes_on & told]
            follow(list(find_nexts(self.steps, self.hours, done, now=now)), now=now)
        self.tally.states.update(result.state for result in results if result.id in told)
        unsettled.difference_update(result.id for result in results)

    def _zone(self, claimed: Claimed) -> ZoneInfo:
        return zone_of(claimed.attributes, otherwise=settings.SITE_ZONE)

    def _adapt(self, count: int, seconds: float) -> None:
        """Have so many under way as leave within a quarter of a second."""
        if count and seconds > 0:
            fitting = int(0.25 * count / seconds)
            self._at_once = max(LEAST_AT_ONCE, min(MOST_AT_ONCE, 2 * self._at_once, fitting))

    def _wait(self, seconds: float) -> bool:
        """Wait for a turn; return whether it is worth it still."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            if self._is_over():
                return False
            time.sleep(min(left, 0.2))
        return True
