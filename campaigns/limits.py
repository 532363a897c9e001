"""How often something may be given out, seen or clicked, and over what time that is counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
# The longest window of each kind, on any clock; a day has 25 hours where clocks are put back.
LONGEST = {"day": 2 * DAY, "week": 8 * DAY, "month": 32 * DAY}


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
        counts: What is counted: "decision", "impression" or "click".
        window: Over what time: "ever", "rolling", "day", "week" or "month".
        hours: Of a rolling window.
    """

    id: int
    scope: Scope
    key: str
    most: int
    is_per_customer: bool = True
    counts: str = "decision"
    window: str = "ever"
    hours: int | None = None

    @property
    def counts_decisions(self) -> bool:
        """Whether it counts what is given out, and not what became of it."""
        return self.counts == "decision"

    def opens_at(self, now: datetime, zone: tzinfo) -> datetime | None:
        """Return from when on it counts; None is ever.

        A day, a week or a month begins when the clock of this zone says so.
        """
        if self.window == "ever":
            return None
        if self.window == "rolling":
            assert self.hours is not None, "a rolling window has its hours"
            return now - self.hours * HOUR
        local = now.astimezone(zone)
        day = local.date()
        if self.window == "week":
            day -= timedelta(days=day.weekday())
        elif self.window == "month":
            day = day.replace(day=1)
        # The first of two midnights, where clocks are put back over one.
        return datetime(day.year, day.month, day.day, tzinfo=zone)

    def earliest(self, now: datetime) -> datetime | None:
        """Return a time before which nothing counts on any clock; None is ever."""
        if self.window == "rolling":
            assert self.hours is not None, "a rolling window has its hours"
            return now - self.hours * HOUR
        return None if self.window == "ever" else now - LONGEST[self.window]

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


def say_limit(limit: Limit) -> str:
    """Say that a limit is reached, for whoever asks why somebody got nothing."""
    done = {"decision": "given out", "impression": "seen", "click": "clicked"}[limit.counts]
    whom = "by this customer" if limit.counts != "decision" else "to this customer"
    whom = f" {whom}" if limit.is_per_customer else ""
    within = {
        "ever": "",
        "rolling": f" in {limit.hours} hours",
        "day": " today",
        "week": " this week",
        "month": " this month",
    }[limit.window]
    times = "once" if limit.most == 1 else f"{limit.most} times"
    return f"{limit.scope} {limit.key} was {done}{whom} {times}{within}, as often as it may be"
