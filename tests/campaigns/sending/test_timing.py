"""Right times on every clock of the world, also where it is put forward and back."""

import random
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from campaigns.deciding.zones import find_zone
from campaigns.sending.timing import Hours, is_quiet, next_moment, to_moment

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
ZONES = sorted(available_timezones())
NIGHT = Hours(quiet_from=time(21), quiet_until=time(8))
BERLIN = ZoneInfo("Europe/Berlin")
# Half an hour of summer time, quarters of an hour, and changes at midnight.
ODD = [
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "America/Havana",
    "Asia/Beirut",
    "Africa/Casablanca",
]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def test_without_hours_it_is_at_once() -> None:
    now = utc(2026, 3, 2, 3, 4, 5)
    assert next_moment(Hours(), now, zone=BERLIN) == now


def test_quiet_hours_are_waited_for() -> None:
    assert next_moment(NIGHT, utc(2026, 1, 5, 22), zone=BERLIN) == utc(2026, 1, 6, 7)
    assert next_moment(NIGHT, utc(2026, 1, 5, 12), zone=BERLIN) == utc(2026, 1, 5, 12)


def test_whose_time_has_passed_is_written_to_on_the_next_day() -> None:
    hours = Hours(send_time=time(9))
    assert next_moment(hours, utc(2026, 1, 5, 7), zone=BERLIN) == utc(2026, 1, 5, 8)
    assert next_moment(hours, utc(2026, 1, 5, 8), zone=BERLIN) == utc(2026, 1, 5, 8)
    assert next_moment(hours, utc(2026, 1, 5, 8, 1), zone=BERLIN) == utc(2026, 1, 6, 8)


def test_a_time_in_quiet_hours_is_moved_to_their_end() -> None:
    hours = Hours(send_time=time(23), quiet_from=time(21), quiet_until=time(8))
    assert next_moment(hours, utc(2026, 1, 5, 12), zone=BERLIN) == utc(2026, 1, 6, 7)


def test_a_time_that_spring_leaves_out_is_the_moment_of_the_change() -> None:
    hours = Hours(send_time=time(2, 30))
    assert next_moment(hours, utc(2026, 3, 28, 20), zone=BERLIN) == utc(2026, 3, 29, 1)


def test_a_time_that_autumn_brings_twice_is_its_first() -> None:
    hours = Hours(send_time=time(2, 30))
    first = utc(2026, 10, 25, 0, 30)
    assert next_moment(hours, utc(2026, 10, 24, 20), zone=BERLIN) == first
    # Not once more when the clock shows it again.
    assert next_moment(hours, first + MINUTE, zone=BERLIN) == utc(2026, 10, 26, 1, 30)


def test_quiet_by_the_clock_on_the_wall_may_come_again_in_autumn() -> None:
    hours = Hours(quiet_from=time(1), quiet_until=time(2, 30))
    # 02:30 comes, then 02:00 again: quiet until the second 02:30.
    assert next_moment(hours, utc(2026, 10, 25, 0, 10), zone=BERLIN) == utc(2026, 10, 25, 0, 30)
    assert is_quiet(hours, utc(2026, 10, 25, 1, 10), zone=BERLIN)
    assert next_moment(hours, utc(2026, 10, 25, 1, 10), zone=BERLIN) == utc(2026, 10, 25, 1, 30)


def test_a_clock_put_back_before_the_beginning_ends_quiet() -> None:
    hours = Hours(quiet_from=time(2, 30), quiet_until=time(4))
    assert next_moment(hours, utc(2026, 10, 25, 0, 40), zone=BERLIN) == utc(2026, 10, 25, 1)


def test_an_unknown_zone_is_the_sites() -> None:
    tokyo = ZoneInfo("Asia/Tokyo")
    assert find_zone("Europe/Berlin", otherwise=tokyo).key == "Europe/Berlin"
    for nonsense in ("Mars/Olympus", "", "../etc/passwd", "a" * 300, "Europe", "\0"):
        assert find_zone(nonsense, otherwise=tokyo) is tokyo


times = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))


@given(
    zone=st.sampled_from([*ODD, "Europe/Berlin", "America/New_York", "Pacific/Apia"]).map(ZoneInfo),
    begins=times,
    ends=times,
    hours=st.integers(0, 366 * 24),
    minute=st.sampled_from([0, 10, 30, 45]),
)
@example(BERLIN, time(2, 30), time(4), 7128, 40)
def test_it_is_the_first_minute_that_is_not_quiet(
    zone: ZoneInfo, begins: time, ends: time, hours: int, minute: int
) -> None:
    if begins == ends:
        return
    quiet = Hours(quiet_from=begins, quiet_until=ends)
    moment = earliest = utc(2026, 1, 1) + timedelta(hours=hours, minutes=minute)
    while is_quiet(quiet, moment, zone=zone):
        moment += MINUTE
    assert next_moment(quiet, earliest, zone=zone) == moment


def changes_of(zone: ZoneInfo) -> tuple[tuple[datetime, timedelta], ...]:
    """List the hours after which clocks show another time, from the year's first, with their lead.

    A day that ends as it began is not looked into: no clock is changed twice in one.
    """

    def lead(moment: datetime) -> timedelta:
        found = moment.astimezone(zone).utcoffset()
        assert found is not None
        return found

    changes = [(utc(2026, 1, 1), lead(utc(2026, 1, 1)))]
    for day in (utc(2026, 1, 1) + n * DAY for n in range(370)):
        if lead(day) != lead(day + DAY):
            hours = [day + n * HOUR for n in range(24)]
            changes += [(h, lead(h + HOUR)) for h in hours if lead(h) != lead(h + HOUR)]
    return tuple(changes)


def moments_around(changes: Iterable[tuple[datetime, timedelta]]) -> Iterator[datetime]:
    """Yield moments around each change of the clocks, and some others."""
    rng = random.Random(repr(changes))  # noqa: S311
    for hour, _ in changes:
        yield from (hour + timedelta(minutes=rng.randrange(-2000, 200)) for _ in range(25))
    yield from (utc(2026, 1, 1) + timedelta(minutes=rng.randrange(525_600)) for _ in range(25))


def test_a_year_in_every_zone_has_nothing_in_quiet_hours_lost_or_late() -> None:
    # Most zones are others by another name, or go as they do this year.
    distinct = {changes_of(ZoneInfo(name)): name for name in ZONES}
    assert len(distinct) > 50
    for changes, name in distinct.items():
        zone = ZoneInfo(name)
        for earliest in moments_around(changes):
            for send_time in (None, time(9), time(2, 30), time(23)):
                hours = Hours(send_time, time(21), time(8))
                moment = next_moment(hours, earliest, zone=zone)
                assert not is_quiet(hours, moment, zone=zone)
                assert timedelta(0) <= moment - earliest <= timedelta(hours=37)
                if send_time == time(9):
                    assert moment.astimezone(zone).time() == send_time


@pytest.mark.parametrize("name", ["Europe/Berlin", *ODD])
def test_one_a_day_comes_once_a_day_all_year(name: str) -> None:
    zone = ZoneInfo(name)
    hours = Hours(send_time=time(1, 30))
    moment = utc(2026, 1, 1)
    days: list[date] = []
    while len(days) < 365:
        moment = next_moment(hours, moment + MINUTE, zone=zone)
        days.append(moment.astimezone(zone).date())
    assert len(set(days)) == 365
    assert (days[-1] - days[0]).days == 364


def test_a_moment_of_a_clock_is_found_again() -> None:
    assert to_moment(utc(2026, 7, 1).date(), time(9), zone=BERLIN) == utc(2026, 7, 1, 7)
    last = to_moment(utc(2026, 10, 25).date(), time(2, 30), zone=BERLIN, fold=1)
    assert last == utc(2026, 10, 25, 1, 30)
