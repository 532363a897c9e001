"""How often something may be given out, seen or clicked, and over what time that is counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
# The longest window of each kind, on any clock; a day has 25 hours where clocks are put back.
LONGEST = {"day": 2 * DAY, "week": 8 * DAY, "month": 32 * DAY}


# What tells that something was seen or clicked.
EVENTS = {
    "impression": ("Promotion Viewed", "Offer Viewed"),
    "click": ("Promotion Clicked", "Offer Clicked", "Message Clicked"),
}


class Scope(StrEnum):
    """What a limit is of."""

    OFFER = "offer"
    CAMPAIGN = "campaign"
    PLACEMENT = "placement"


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so often.

    Attributes:
        id: Of the row that says so.
        scope: What it is of, and `key` which one.
        key: Of the offer, campaign or placement.
        most: How often.
        is_per_customer: Whether each customer is counted alone.
        counts: What is counted: "decision", "impression", "click" or "event".
        event: Which one, where it is another event.
        window: Over what time: "ever", "rolling", "day", "week" or "month".
        hours: Of a rolling window.
        made_at: When it was made; what happened before does not count in total.
    """

    id: int
    scope: Scope
    key: str
    most: int
    is_per_customer: bool = True
    counts: str = "decision"
    event: str = ""
    window: str = "ever"
    hours: int | None = None
    made_at: datetime | None = None

    @property
    def counts_decisions(self) -> bool:
        """Whether it counts what is given out, and not what became of it."""
        return self.counts == "decision"

    @property
    def events(self) -> tuple[str, ...]:
        """The names of the events that it counts; none where it counts what is given out."""
        return (self.event,) if self.counts == "event" else EVENTS.get(self.counts, ())

    def opens_at(self, now: datetime, zone: tzinfo) -> datetime | None:
        """Return from when on it counts, by the clock of this zone; None is ever."""
        return opens_at(self.window, now, zone, hours=self.hours)

    def earliest(self, now: datetime) -> datetime | None:
        """Return a time before which nothing counts on any clock; None is ever."""
        if self.window in LONGEST:
            return now - LONGEST[self.window]
        return self.opens_at(now, UTC)

    def is_reached_by(self, times: Sequence[datetime], now: datetime, zone: tzinfo) -> bool:
        """Tell whether one customer has had it as often as may be.

        Args:
            times: When, the newest `most` at least.
            now: The time.
            zone: Of the customer's clock.
        """
        opens = self.opens_at(now, zone)
        return sum(opens is None or time >= opens for time in times) >= self.most

    def counters(self, now: datetime, zone: tzinfo) -> list[str]:
        """Name the counters whose sum is how often, of all customers; the first one grows.

        A rolling window is made of whole hours and is up to an hour longer than it says, so that
        it never counts too little.
        """
        name = f"cap:{self.id}"
        opens = self.opens_at(now, zone)
        if opens is None:
            return [name]
        if self.window != "rolling":
            return [f"{name}:{opens:%Y-%m-%d}"]
        assert self.hours is not None, "a rolling window has its hours"
        return [f"{name}:{now - n * HOUR:%Y-%m-%dT%H}" for n in range(self.hours + 1)]


def opens_at(window: str, now: datetime, zone: tzinfo, *, hours: int | None) -> datetime | None:
    """Return when a window begins that is open now; None is ever.

    A day, a week or a month begins when the clock of this zone says so.
    """
    if window == "ever":
        return None
    if window == "rolling":
        assert hours is not None, "a rolling window has its hours"
        return now - hours * HOUR
    day = now.astimezone(zone).date()
    if window == "week":
        day -= timedelta(days=day.weekday())
    elif window == "month":
        day = day.replace(day=1)
    # The first of two midnights, where clocks are put back over one.
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def say_window(window: str, *, hours: int | None) -> str:
    """Say over what time something is counted; nothing where it is ever."""
    return {
        "ever": "",
        "rolling": f"within {hours} hours",
        "day": "today",
        "week": "this week",
        "month": "this month",
    }[window]


def say_limit(limit: Limit) -> str:
    """Say that a limit is reached, for whoever asks why somebody got nothing."""
    done = {
        "decision": "was given out",
        "impression": "was seen",
        "click": "was clicked",
        "event": f"led to “{limit.event}”",
    }[limit.counts]
    whom = "to this customer" if limit.counts_decisions else "by this customer"
    times = "once" if limit.most == 1 else f"{limit.most} times"
    said = [done, whom if limit.is_per_customer else "", times]
    said.append(say_window(limit.window, hours=limit.hours))
    return f"{limit.scope} {limit.key} {' '.join(filter(None, said))}, as often as it may be"
