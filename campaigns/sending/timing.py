"""When a customer may be written to, by that customer's own clock.

A local time that a spring's change leaves out counts as the moment of the change; one that an
autumn's change brings twice counts as its first. Quiet hours go by what the clock on the wall
shows, so both of two repeated hours may be quiet.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

# No clock is put forward or back for longer than a day, so what is next lies within these.
DAYS_AHEAD = 4
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Hours:
    """A campaign's hours, on any customer's clock.

    Attributes:
        send_time: The time of day to write at; None is any that is not quiet.
        quiet_from: When quiet begins.
        quiet_until: When it ends, perhaps on the next day; None, as the beginning, is never.
    """

    send_time: time | None = None
    quiet_from: time | None = None
    quiet_until: time | None = None


def is_quiet(hours: Hours, moment: datetime, *, zone: ZoneInfo) -> bool:
    """Tell whether nobody may be written to at a moment."""
    begins, ends = hours.quiet_from, hours.quiet_until
    if begins is None or ends is None:
        return False
    wall = moment.astimezone(zone).time()
    if begins <= ends:
        return begins <= wall < ends
    return wall >= begins or wall < ends


def next_moment(hours: Hours, earliest: datetime, *, zone: ZoneInfo) -> datetime:
    """Return the first moment, not before `earliest`, at which a customer is to be written to.

    Whose time of day has passed is written to on the next day, never at once.
    """
    moment = earliest
    if hours.send_time is not None:
        first = earliest.astimezone(zone).date() - timedelta(days=1)
        moment = min(
            moment
            for day in _days(first)
            if (moment := to_moment(day, hours.send_time, zone=zone)) >= earliest
        )
    return _next_loud(hours, moment, zone=zone).astimezone(UTC)


def _next_loud(hours: Hours, moment: datetime, *, zone: ZoneInfo) -> datetime:
    """Return the first moment from this one on that is not quiet."""
    if not is_quiet(hours, moment, zone=zone):
        return moment
    assert hours.quiet_until is not None, "without an end nothing is quiet"
    days = list(_days(moment.astimezone(zone).date() - timedelta(days=1)))
    ends = [to_moment(d, hours.quiet_until, zone=zone, fold=fold) for d in days for fold in (0, 1)]
    # A clock that is put forward over the end, or back before the beginning, ends quiet too.
    ends += [change for day in days if (change := _change_of(day, zone)) is not None]
    return min(end for end in ends if end > moment and not is_quiet(hours, end, zone=zone))


def to_moment(day: date, wall: time, *, zone: ZoneInfo, fold: int = 0) -> datetime:
    """Return the moment at which a clock shows a time on a day: the first, or with 1 the last.

    Where the clock never shows it, that is the moment of the change that leaves it out.
    """
    local = datetime.combine(day, wall).replace(tzinfo=zone, fold=fold)
    moment = local.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return moment
    before = local.replace(fold=1).astimezone(UTC)
    after = local.replace(fold=0).astimezone(UTC)
    return _find_change(before, after, zone)


def _days(first: date) -> Iterator[date]:
    return (first + timedelta(days=n) for n in range(DAYS_AHEAD + 1))


@lru_cache(maxsize=8192)
def _change_of(day: date, zone: ZoneInfo) -> datetime | None:
    """Return when the clocks change on a day, by UTC's days, if they do."""
    begins = datetime.combine(day, time(), tzinfo=UTC)
    ends = begins + timedelta(days=1)
    if begins.astimezone(zone).utcoffset() == ends.astimezone(zone).utcoffset():
        return None
    return _find_change(begins, ends, zone)


def _find_change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """Return the first minute with the offset that `after` has."""
    offset = after.astimezone(zone).utcoffset()
    minutes = int((after - before) / MINUTE)
    low, high = 0, minutes
    while high - low > 1:
        middle = (low + high) // 2
        if (before + middle * MINUTE).astimezone(zone).utcoffset() == offset:
            high = middle
        else:
            low = middle
    return before + high * MINUTE
