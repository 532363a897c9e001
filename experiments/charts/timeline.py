"""Draws an effect over time, with its interval and the boundary that it would have to cross."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from experiments.charts import svg
from experiments.charts.axis import nice_ticks, say_tick
from experiments.charts.table import Chart
from experiments.wording import Unit

HEIGHT = 260
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 14, 34
# What reaches further than so many times the widest interval is cut off: a first boundary may.
REACH = 1.2


@dataclass(frozen=True, slots=True)
class TimePoint:
    """The effect as it was seen at one time.

    Attributes:
        at: When.
        point: The effect.
        low: The lower end of its interval.
        high: The upper end.
        needed: Which effects would have been called, downwards and upwards; None if none could.
    """

    at: datetime
    point: float
    low: float
    high: float
    needed: tuple[float, float] | None = None


def lift_timeline(
    points: Sequence[TimePoint], *, unit: Unit, title: str, say: Callable[[float], str]
) -> Chart:
    """Draw one effect over time: dots with whiskers, and dashes where it would have been called.

    Args:
        points: At least one, in the order of time.
        unit: Of the values on the axis; in "percent", 0.05 is +5%.
        title: The picture's name.
        say: Writes an effect in words.

    Raises:
        ValueError: There are no points.
    """
    if not points:
        raise ValueError("a timeline needs at least one point")
    across, up, ticks = _scales(points)
    drawn = [
        *_grid(ticks, up, unit=unit),
        *_days(points, across),
        *_boundaries(points, across, up, lowest=ticks[0], highest=ticks[-1]),
        *_dots(points, across, up),
    ]
    last = points[-1]
    description = (
        f"{len(points)} points in time. The last: {say(last.point)}, between {say(last.low)} and "
        f"{say(last.high)}."
    )
    picture = svg.picture(
        "".join(drawn), height=HEIGHT, kind="timeline", title=title, description=description
    )
    rows = [
        (
            f"{point.at:%-d %b %Y, %H:%M}",
            say(point.point),
            f"{say(point.low)} to {say(point.high)}",
            "–"
            if point.needed is None
            else f"below {say(point.needed[0])} or above {say(point.needed[1])}",
        )
        for point in points
    ]
    return Chart(picture, ("Time, UTC", "Effect", "Interval", "Would have been called"), rows)


Scale = Callable[[float], float]


def _scales(points: Sequence[TimePoint]) -> tuple[Callable[[datetime], float], Scale, list[float]]:
    """Return where times and effects are drawn, and the ticks of effects."""
    reach = REACH * max(abs(end) for point in points for end in (point.low, point.high))
    ends = [end for point in points for end in (point.low, point.high)]
    ends += [
        min(max(end, -reach), reach) for point in points if point.needed for end in point.needed
    ]
    ticks = list(nice_ticks(min(0.0, *ends), max(0.0, *ends)))
    first, last = points[0].at, points[-1].at
    span = max((last - first).total_seconds(), 1.0)

    def across(at: datetime) -> float:
        part = 0.5 if first == last else (at - first).total_seconds() / span
        return LEFT + 10 + part * (svg.WIDTH - LEFT - RIGHT - 20)

    def up(value: float) -> float:
        held = min(max(value, ticks[0]), ticks[-1])
        part = (held - ticks[0]) / (ticks[-1] - ticks[0])
        return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)

    return across, up, ticks


def _grid(ticks: Sequence[float], up: Scale, *, unit: Unit) -> Iterator[str]:
    for tick in ticks:
        opacity = "0.7" if tick == 0 else "0.18"
        style = f'stroke="{svg.TEXT}" stroke-opacity="{opacity}"'
        yield svg.line(LEFT, up(tick), svg.WIDTH - RIGHT, up(tick), style=style)
        label = say_tick(tick, unit=unit, is_signed=True)
        yield svg.text(LEFT - 8, up(tick) + 4, label, anchor="end", style='font-size="12"')


def _days(points: Sequence[TimePoint], across: Callable[[datetime], float]) -> Iterator[str]:
    """Write some dates below: the first, the last, and as many between as have room."""
    first, last = points[0].at, points[-1].at
    days = max((last - first).days, 1)
    step = max(1, -(-days // 5))
    at = first
    while at <= last:
        label = f"{at:%-d %b}"
        yield svg.text(
            across(at), HEIGHT - BOTTOM + 20, label, anchor="middle", style='font-size="12"'
        )
        at += timedelta(days=step)


def _boundaries(
    points: Sequence[TimePoint],
    across: Callable[[datetime], float],
    up: Scale,
    *,
    lowest: float,
    highest: float,
) -> Iterator[str]:
    """Draw both boundaries as dashes; where they leave the picture they are not drawn."""
    style = f'stroke="{svg.TEXT}" stroke-width="1.5" stroke-dasharray="5 4" stroke-opacity="0.8"'
    known = [(point.at, point.needed) for point in points if point.needed is not None]
    for side in (0, 1):
        for (at, before), (later, after) in pairwise(known):
            if all(lowest <= end <= highest for end in (before[side], after[side])):
                yield svg.line(
                    across(at), up(before[side]), across(later), up(after[side]), style=style
                )


def _dots(
    points: Sequence[TimePoint], across: Callable[[datetime], float], up: Scale
) -> Iterator[str]:
    for point in points:
        x = across(point.at)
        is_called = point.needed is not None and not point.needed[0] < point.point < point.needed[1]
        name = "unclear" if not is_called else "up" if point.point > 0 else "down"
        colour = {"up": svg.BLUE, "down": svg.ORANGE, "unclear": svg.TEXT}[name]
        style = f'stroke="{colour}" stroke-width="2" stroke-opacity="0.75"'
        yield f'<g class="chart-{name}">'
        yield svg.line(x, up(point.low), x, up(point.high), style=style)
        yield f'<circle cx="{x:.1f}" cy="{up(point.point):.1f}" r="4" fill="{colour}"/></g>'
