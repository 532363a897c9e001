"""What counts within a limit's window, on whose clock, and in which words it is said."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.deciding.eligibility import Uses, audience_against, limits_reached
from campaigns.deciding.limits import Limit, Scope, say_limit
from campaigns.deciding.tally import Tally
from campaigns.deciding.zones import find_zone, zone_of

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)  # a Wednesday
HOUR = timedelta(hours=1)
BERLIN, KIRITIMATI = ZoneInfo("Europe/Berlin"), ZoneInfo("Pacific/Kiritimati")


def limit(window: str = "ever", most: int = 2, **values: object) -> Limit:
    hours = 24 if window == "rolling" else None
    return Limit(7, Scope.OFFER, "tea", most, window=window, hours=hours, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("window", "zone", "opens"),
    [
        ("ever", BERLIN, None),
        ("rolling", BERLIN, NOON - 24 * HOUR),
        ("day", UTC, datetime(2026, 3, 4, tzinfo=UTC)),
        ("day", BERLIN, datetime(2026, 3, 3, 23, tzinfo=UTC)),
        # It is Thursday there.
        ("day", KIRITIMATI, datetime(2026, 3, 4, 10, tzinfo=UTC)),
        ("week", UTC, datetime(2026, 3, 2, tzinfo=UTC)),
        ("week", BERLIN, datetime(2026, 3, 1, 23, tzinfo=UTC)),
        ("month", UTC, datetime(2026, 3, 1, tzinfo=UTC)),
        ("month", BERLIN, datetime(2026, 2, 28, 23, tzinfo=UTC)),
    ],
)
def test_a_window_opens_on_the_customers_clock(
    window: str, zone: ZoneInfo, opens: datetime | None
) -> None:
    assert limit(window).opens_at(NOON, zone) == opens


def test_an_hour_that_comes_twice_is_in_its_day() -> None:
    # Clocks are put back from 3:00 to 2:00 on this day, which has 25 hours.
    late = datetime(2026, 10, 25, 22, 30, tzinfo=UTC)
    opens = limit("day").opens_at(late, BERLIN)
    assert opens is not None
    assert late - opens == 24 * HOUR + 30 * timedelta(minutes=1)


@given(
    st.integers(0, 10 * 365 * 24 * 60).map(lambda minutes: NOON + timedelta(minutes=minutes)),
    st.sampled_from(["Pacific/Apia", "America/Sao_Paulo", "Africa/Cairo", "Asia/Tehran", "UTC"]),
    st.sampled_from(["rolling", "day", "week", "month"]),
)
def test_nothing_counts_that_is_not_looked_at(now: datetime, name: str, window: str) -> None:
    opens, earliest = limit(window).opens_at(now, ZoneInfo(name)), limit(window).earliest(now)
    assert opens is not None
    assert earliest is not None
    assert earliest <= opens <= now
    assert limit("ever").earliest(now) is None


def test_so_often_and_no_more() -> None:
    two_a_day = limit("day")
    times = [NOON - 2 * HOUR, NOON - 20 * HOUR]
    assert not two_a_day.is_reached_by(times, NOON, UTC)
    assert two_a_day.is_reached_by([*times, NOON - HOUR], NOON, UTC)
    assert limit("ever").is_reached_by(times, NOON, UTC)
    assert limit("rolling").is_reached_by(times, NOON, UTC)


def test_counters_are_named_by_their_window() -> None:
    in_total = {"is_per_customer": False}
    assert limit("ever", **in_total).counters(NOON, UTC) == ["cap:7"]
    assert limit("day", **in_total).counters(NOON, UTC) == ["cap:7:2026-03-04"]
    assert limit("week", **in_total).counters(NOON, UTC) == ["cap:7:2026-03-02"]
    names = limit("rolling", **in_total).counters(NOON, UTC)
    assert len(names) == 25
    assert (names[0], names[-1]) == ("cap:7:2026-03-04T12", "cap:7:2026-03-03T12")


def test_a_day_of_all_together_is_one_of_the_sites_clock() -> None:
    evening = datetime(2026, 3, 4, 23, 30, tzinfo=UTC)
    site = Uses({}, zone=ZoneInfo("UTC"), site_zone=BERLIN)
    a_day = limit("day", is_per_customer=False)
    assert limits_reached([a_day], site, Tally({"cap:7:2026-03-05": 2}), now=evening) is not None
    assert limits_reached([a_day], site, Tally({"cap:7:2026-03-04": 2}), now=evening) is None


def test_a_limit_knows_the_events_that_it_counts() -> None:
    assert limit().events == ()
    assert "Offer Clicked" in limit(counts="click").events
    assert limit(counts="event", event="Redeemed").events == ("Redeemed",)


def test_what_cannot_be_counted_counts_as_reached() -> None:
    mine, all_ = limit(), limit(is_per_customer=False)
    known, unknown = Tally({}), Tally(None)
    assert limits_reached([mine, all_], Uses({}), known, now=NOON) is None
    assert "cannot be counted" in (limits_reached([mine], Uses(None), known, now=NOON) or "")
    assert "cannot be counted" in (limits_reached([all_], Uses({}), unknown, now=NOON) or "")
    full = Tally({"cap:7": 2})
    assert "2 times" in (limits_reached([all_], Uses({}), full, now=NOON) or "")
    assert limits_reached([mine], Uses({7: [NOON, NOON]}), full, now=NOON) is not None


@pytest.mark.parametrize(
    ("reached", "says"),
    [
        (limit("day"), "offer tea was given out to this customer 2 times today, as often as"),
        (limit("ever", most=1), "offer tea was given out to this customer once, as often"),
        (limit("rolling", counts="click"), "was clicked by this customer 2 times within 24 hours"),
        (
            limit("ever", counts="event", event="Redeemed"),
            "led to “Redeemed” by this customer 2 times, as often",
        ),
        (limit("week", is_per_customer=False, counts="impression"), "was seen 2 times this week"),
        (limit("month", is_per_customer=False), "was given out 2 times this month"),
    ],
)
def test_a_limit_that_is_reached_says_so(reached: Limit, says: str) -> None:
    assert says in say_limit(reached)


def test_who_is_not_known_to_be_in_an_audience_is_not() -> None:
    assert audience_against(None, None) is None
    assert audience_against(3, {3, 4}) is None
    assert audience_against(5, {3, 4}) == "the customer is not in the audience"
    assert "cannot be found out" in (audience_against(5, None) or "")


@pytest.mark.parametrize("name", ["", "Mars/Base", "../etc/passwd", "Europe", "\0", None, 5, ["x"]])
def test_a_zone_that_is_none_is_the_sites(name: object) -> None:
    assert zone_of({"timezone": name}, otherwise=BERLIN) == BERLIN
    assert zone_of({}, otherwise=BERLIN) == BERLIN


def test_a_customers_zone_is_what_the_attribute_names() -> None:
    assert zone_of({"timezone": "Europe/Berlin"}, otherwise=ZoneInfo("UTC")) == BERLIN
    assert find_zone("nowhere", otherwise=BERLIN) == BERLIN
