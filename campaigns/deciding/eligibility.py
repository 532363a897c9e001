"""Which offers may be shown now, and why not the others."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from campaigns.deciding.limits import Limit, say_limit
from campaigns.deciding.tally import Tally

UTC = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time, open at either end where it is None."""

    starts_at: datetime | None = None
    ends_at: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Tell whether a moment lies in it; the start is in, the end is not."""
        begun = self.starts_at is None or self.starts_at <= now
        return begun and (self.ends_at is None or now < self.ends_at)

    def part_before(self, now: datetime) -> float:
        """Return which part of it is over, from 0 to 1; it has both ends."""
        assert self.starts_at is not None, "a part is of something that begins"
        assert self.ends_at is not None, "a part is of something that ends"
        part = (now - self.starts_at) / (self.ends_at - self.starts_at)
        return min(max(part, 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class Caps:
    """How often an offer may be given out.

    Attributes:
        total: To all customers together; None is no limit.
        per_customer: To one customer, within so many days.
        days: These days.
        is_shown_uncounted: Whether it is shown while nobody can count.
    """

    total: int | None = None
    per_customer: int | None = None
    days: int = 30
    is_shown_uncounted: bool = False

    @property
    def is_limited(self) -> bool:
        """Whether there is any limit."""
        return self.total is not None or self.per_customer is not None


@dataclass(frozen=True, slots=True)
class OfferRules:
    """What decides whether an offer may be shown."""

    key: str
    is_active: bool
    window: Window
    caps: Caps = field(default_factory=Caps)
    cost_cents: int = 0
    # Of the offers that may be shown, those with the lowest number are drawn from.
    priority: int = 100
    limits: tuple[Limit, ...] = ()
    # The audience that it is only for; None is everybody.
    audience: int | None = None

    @property
    def counter(self) -> str:
        """The name under which it is counted."""
        return self.counter_of(self.key)

    @staticmethod
    def counter_of(key: str) -> str:
        """Name the counter of an offer with this key."""
        return f"offer:{key}"


@dataclass(frozen=True, slots=True)
class Budget:
    """What a campaign's offers may cost together.

    Attributes:
        campaign: Its key.
        limit_cents: What they may cost; None is no limit.
        spread: Over what time it is spent evenly, with both ends; None is as fast as it comes.
    """

    campaign: str
    limit_cents: int | None = None
    spread: Window | None = None

    @property
    def counter(self) -> str:
        """The name under which it is counted."""
        return f"budget:{self.campaign}"

    def reason_against(self, cost_cents: int, *, spent_cents: int, now: datetime) -> str | None:
        """Return why something may not be given out for so much, or None.

        What is spread evenly may go beyond its share of the time by one offer, the last one, so
        that the first can be given out at the start. What was not spent in time is spent later.
        """
        if self.limit_cents is None or not cost_cents:
            return None
        if cost_cents > self.limit_cents - spent_cents:
            return "costs more than is left of the campaign's budget"
        if self.spread is not None and spent_cents > self.limit_cents * self.spread.part_before(
            now
        ):
            return "waits, so that the campaign's budget lasts until its end"
        return None


@dataclass(frozen=True, slots=True)
class Uses:
    """What one customer had before, as far as limits ask.

    Attributes:
        times: When, the newest last ones, by the id of a limit per customer; None is not known.
        zone: Of the customer's clock.
        site_zone: Of the site's, by which it is counted what all customers had together.
    """

    times: Mapping[int, Sequence[datetime]] | None
    zone: ZoneInfo = UTC
    site_zone: ZoneInfo = UTC


def limits_reached(
    limits: Iterable[Limit], uses: Uses, tally: Tally, *, now: datetime
) -> str | None:
    """Return which of these limits is reached, or None; what cannot be counted counts as reached.

    Args:
        limits: Of one offer, or of the campaign and its placement.
        uses: What the customer had before.
        tally: What all customers had.
        now: The time.
    """
    for limit in limits:
        if limit.is_per_customer:
            if uses.times is None:
                return f"{limit.scope} {limit.key} cannot be counted now"
            if limit.is_reached_by(uses.times.get(limit.id, ()), now, uses.zone):
                return say_limit(limit)
        elif not tally.is_known:
            return f"{limit.scope} {limit.key} cannot be counted now"
        elif tally.used_by(limit.counters(now, uses.site_zone)) >= limit.most:
            return say_limit(limit)
    return None


def count_towards(limits: Iterable[Limit], uses: Uses, tally: Tally, *, now: datetime) -> None:
    """Count one decision towards the limits of what all customers have together.

    Args:
        limits: Of the offer, or of the campaign and its placement.
        uses: What the customer had before.
        tally: What all customers had; it is added to.
        now: The time.
    """
    for limit in limits:
        if limit.counts_decisions and not limit.is_per_customer:
            tally.add(limit.counters(now, uses.site_zone)[0], 1)


def audience_against(audience: int | None, member_of: Collection[int] | None) -> str | None:
    """Return why a customer is not in the audience that something is only for, or None.

    Args:
        audience: Its id; None is everybody.
        member_of: The audiences that the customer is in; None where that is not known.
    """
    if audience is None:
        return None
    if member_of is None:
        return "who is in the audience cannot be found out now"
    return None if audience in member_of else "the customer is not in the audience"


def reason_against(offer: OfferRules, *, now: datetime) -> str | None:
    """Return why an offer may not be shown, or None when it may; limits are not looked at."""
    if not offer.is_active:
        return f"{offer.key} is switched off"
    if offer.window.starts_at is not None and now < offer.window.starts_at:
        return f"{offer.key} has not begun"
    if not offer.window.holds(now):
        return f"{offer.key} has ended"
    return None


def limit_reached(
    offer: OfferRules,
    budget: Budget,
    tally: Tally,
    given: Mapping[str, int] | None,
    *,
    now: datetime,
) -> str | None:
    """Return which limit keeps an offer from being given out once more, or None.

    Args:
        offer: The offer.
        budget: Of the campaign.
        tally: What was given out and spent.
        given: How often the customer was given each capped offer; None where that is not known.
        now: The time.
    """
    caps = offer.caps
    costs = budget.limit_cents is not None and offer.cost_cents > 0
    if (caps.is_limited or costs) and not tally.is_known:
        return None if caps.is_shown_uncounted else f"{offer.key} cannot be counted now"
    if caps.total is not None and tally.used(offer.counter) >= caps.total:
        return f"{offer.key} was given out {caps.total} times, as often as it may be"
    if caps.per_customer is not None:
        times = (given or {}).get(offer.key, 0)
        if times >= caps.per_customer:
            return f"{offer.key} was given to this customer {times} times in {caps.days} days"
    spent = tally.used(budget.counter)
    against = budget.reason_against(offer.cost_cents, spent_cents=spent, now=now)
    return None if against is None else f"{offer.key} {against}"


def fallback_against(
    fallback: OfferRules,
    budget: Budget,
    tally: Tally,
    member_of: Collection[int] | None,
    *,
    now: datetime,
) -> str | None:
    """Return why a campaign's fallback may not be given, or None.

    Its own limits do not count. What it costs is spent of the campaign's budget all the same, and
    whom it is for stays so.
    """
    against = reason_against(fallback, now=now)
    if against is not None:
        return against
    other = audience_against(fallback.audience, member_of)
    if other is not None:
        return f"{fallback.key}: {other}"
    unlimited = replace(fallback, caps=Caps(is_shown_uncounted=fallback.caps.is_shown_uncounted))
    return limit_reached(unlimited, budget, tally, None, now=now)
