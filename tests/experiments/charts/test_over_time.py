"""Charts over time say the same in a picture, in words and in a table."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from xml.etree import ElementTree

import pytest

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
