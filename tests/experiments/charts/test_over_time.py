"""Charts over time say the same in a picture, in words and in a table."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.charts import (
    Bar,
    Chart,
    TimePoint,
    arrivals_chart,
    calendar_chart,
    lift_timeline,
)
from experiments.wording import say_lift

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
SVG = "{http://www.w3.org/2000/svg}"


def points(*values: float, needed: tuple[float, float] | None = (-0.3, 0.4)) -> list[TimePoint]:
    return [
        TimePoint(START + timedelta(days=day), value, value - 0.1, value + 0.1, needed)
        for day, value in enumerate(values)
    ]


def draw(found: list[TimePoint]) -> ElementTree.Element:
    chart = lift_timeline(found, unit="percent", title="Lift <over> time", say=say_lift)
    assert len(chart.rows) == len(found)
    return ElementTree.fromstring(chart.svg)  # noqa: S314 - our own


def test_every_look_is_a_dot_at_its_height() -> None:
    circles = draw(points(0.1, 0.0, -0.1)).findall(f".//{SVG}circle")
    heights = [float(circle.attrib["cy"]) for circle in circles]
    assert heights == sorted(heights)
    across = [float(circle.attrib["cx"]) for circle in circles]
    assert across == sorted(across)


def test_what_was_called_is_told_by_more_than_height() -> None:
    svg = lift_timeline(points(0.1, 0.5, -0.5), unit="percent", title="t", say=say_lift).svg
    assert svg.count('class="chart-unclear"') == 1
    assert svg.count('class="chart-up"') == 1
    assert svg.count('class="chart-down"') == 1


def test_boundaries_are_dashed_where_they_are_inside() -> None:
    def dashes(needed: tuple[float, float] | None) -> int:
        found = points(0.1, 0.1, needed=needed)
        return lift_timeline(found, unit="percent", title="t", say=say_lift).svg.count("dasharray")

    assert dashes((-0.15, 0.15)) == 2
    assert dashes((-50.0, 0.15)) == 1
    assert dashes(None) == 0


def test_one_look_is_in_the_middle_and_none_is_refused() -> None:
    circle = draw(points(0.1)).find(f".//{SVG}circle")
    assert circle is not None
    assert 300 < float(circle.attrib["cx"]) < 380
    with pytest.raises(ValueError, match="at least one"):
        lift_timeline([], unit="percent", title="t", say=say_lift)


def test_the_table_has_the_words_and_the_title_is_escaped() -> None:
    chart = lift_timeline(
        points(0.1) + points(0.2, needed=None), unit="percent", title="<b>", say=say_lift
    )
    assert chart.rows[0] == (
        "2 Mar 2026, 12:00", "+10%", "0% to +20%", "below \N{MINUS SIGN}30% or above +40%",
    )  # fmt: skip
    assert chart.rows[1][3] == "–"
    assert "<b>" not in chart.svg


def test_bars_lie_where_their_dates_are() -> None:
    today = date(2026, 3, 20)
    bars = [
        Bar("First", date(2026, 3, 1), date(2026, 3, 11), "1 Mar to 11 Mar", is_over=True),
        Bar("Second", date(2026, 3, 11), date(2026, 3, 31), "11 Mar to 31 Mar", is_over=False),
    ]
    drawn = calendar_chart(bars, today=today, title="Runs")
    picture = ElementTree.fromstring(drawn)  # noqa: S314 - our own
    first, second = picture.findall(f".//{SVG}rect")
    assert float(second.attrib["x"]) == pytest.approx(
        float(first.attrib["x"]) + float(first.attrib["width"]), abs=0.2
    )
    assert float(second.attrib["width"]) == pytest.approx(2 * float(first.attrib["width"]), abs=0.3)
    # Over is told by more than colour.
    assert (first.attrib["fill"], second.attrib["fill"] != "none") == ("none", True)
    with pytest.raises(ValueError, match="at least one"):
        calendar_chart([], today=today, title="Runs")


def dates_on(drawn: str) -> list[tuple[float, str]]:
    """Return the dates below a calendar, from left to right, and where their middles are."""
    texts = ElementTree.fromstring(drawn).findall(f".//{SVG}text")  # noqa: S314 - our own
    below = [text for text in texts if text.attrib["text-anchor"] == "middle"]
    return [(float(text.attrib["x"]), text.text or "") for text in below]


@pytest.mark.parametrize(
    ("begins", "ends", "dates"),
    [
        ((2026, 3, 1), (2026, 3, 3), ["1 Mar", "2 Mar", "3 Mar"]),
        ((2026, 3, 1), (2026, 3, 31), ["1 Mar", "8 Mar", "15 Mar", "22 Mar", "29 Mar"]),
        ((2026, 3, 20), (2026, 7, 2), ["Apr 2026", "May 2026", "Jun 2026", "Jul 2026"]),
        ((2025, 11, 1), (2026, 10, 31), ["Jan 2026", "Apr 2026", "Jul 2026", "Oct 2026"]),
        ((2019, 11, 24), (2026, 11, 27), [str(year) for year in range(2020, 2027)]),
    ],
)
def test_dates_below_a_calendar_are_days_months_or_years(
    begins: tuple[int, int, int], ends: tuple[int, int, int], dates: list[str]
) -> None:
    first, last = date(*begins), date(*ends)
    bars = [Bar("One", first, last, "a while", is_over=True)]
    drawn = calendar_chart(bars, today=first, title="Runs")
    assert [label for _, label in dates_on(drawn)] == dates


@given(
    begins=st.dates(date(1990, 1, 1), date(2040, 1, 1)),
    days=st.integers(0, 120) | st.integers(0, 12_000) | st.integers(0, 2_900_000),
)
def test_dates_below_a_calendar_never_meet_on_a_phone(begins: date, days: int) -> None:
    """There letters are as large as the style sheet says, and at most two thirds as wide."""
    ends = begins + timedelta(days=days)
    bars = [Bar("One", begins, ends, "a while", is_over=True)]
    dates = dates_on(calendar_chart(bars, today=begins, title="Runs"))
    edges = [
        edge
        for x, label in dates
        for edge in (x - len(label) * 22 * 0.63 / 2, x + len(label) * 22 * 0.63 / 2)
    ]
    assert edges
    assert edges == sorted(edges)
    assert edges[0] >= 0
    assert edges[-1] <= 640


def draw_arrivals(shares: Sequence[float]) -> Chart:
    return arrivals_chart(
        [3_600.0, 86_400.0][: len(shares)],
        shares,
        marks=[(3_600.0, share) for share in shares[:1]],
        unit=(3_600.0, "hours"),
        title="How much <has> come",
        say=lambda age: f"{age:g} s",
    )


def test_a_curve_of_what_came_rises_from_nothing() -> None:
    chart = draw_arrivals([0.25, 1.0])
    assert chart.rows == [("3600 s", "25.0%")]
    svg = ElementTree.fromstring(chart.svg)  # noqa: S314 - our own
    line = svg.find(f"{SVG}polyline")
    assert line is not None
    heights = [float(point.split(",")[1]) for point in line.attrib["points"].split()]
    assert heights == sorted(heights, reverse=True)
    assert "25 hours" in chart.svg
    assert "After 3600 s: 25.0%." in chart.svg


def test_more_than_all_has_room_and_a_curve_of_nothing_is_refused() -> None:
    svg = ElementTree.fromstring(draw_arrivals([1.3]).svg)  # noqa: S314 - our own
    circle = svg.find(f"{SVG}circle")
    assert circle is not None
    assert float(circle.attrib["cy"]) > 14
    with pytest.raises(ValueError, match="a share for each age"):
        draw_arrivals([])
