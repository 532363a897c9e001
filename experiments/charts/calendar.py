"""Draws from when to when things last, as bars over dates."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from experiments.charts import svg

LEFT = svg.MARGIN
ROW = 40
TOP = 8
BOTTOM = 26
# Of a label on a phone, where letters are twice as large: what each takes, and the gap between two.
LETTER = 14
GAP = 12

Unit = Literal["day", "month", "year"]
# How far apart dates on the axis may be; the first where all labels have room is taken.
STEPS: tuple[tuple[Unit, int], ...] = (
    *(("day", n) for n in (1, 2, 7, 14)),
    *(("month", n) for n in (1, 2, 3, 6)),
    *(("year", n * 10**zeros) for zeros in range(4) for n in (1, 2, 5)),
)
FORMATS: dict[Unit, str] = {"day": "%-d %b", "month": "%b %Y", "year": "%Y"}


@dataclass(frozen=True, slots=True)
class Bar:
    """Something that lasts: from and to, and what it is."""

    label: str
    begins: date
    ends: date
    text: str
    is_over: bool


def calendar_chart(bars: Sequence[Bar], *, today: date, title: str) -> str:
    """Draw one bar each, below each other, with today as a line.

    What is over is outlined, and what goes on is filled: no reading depends on colour.

    Args:
        bars: At least one.
        today: Where to draw the line.
        title: The picture's name.

    Raises:
        ValueError: There are no bars.
    """
    if not bars:
        raise ValueError("a calendar needs at least one bar")
    first = min(min(bar.begins for bar in bars), today)
    last = max(max(bar.ends for bar in bars), today)
    days = max((last - first).days, 1)
    width = svg.WIDTH - 2 * LEFT
    bottom = TOP + ROW * len(bars)

    def across(day: date) -> float:
        return LEFT + width * (day - first).days / days

    drawn = [_tick(tick, bottom) for tick in _find_ticks(first, last, across)]
    for index, bar in enumerate(bars):
        y = TOP + ROW * index
        x, length = across(bar.begins), max(across(bar.ends) - across(bar.begins), 3.0)
        fill = "none" if bar.is_over else svg.BLUE
        drawn.append(svg.row_heading(y + 14, bar.label, bar.text))
        drawn.append(
            f'<rect class="chart-bar" x="{x:.1f}" y="{y + 20}" width="{length:.1f}" height="12" '
            f'rx="3" fill="{fill}" stroke="{svg.BLUE}" stroke-width="1.5"/>'
        )
        style = f'stroke="{svg.ORANGE}" stroke-width="2"'
        drawn.append(svg.line(across(today), y + 17, across(today), y + 35, style=style))
    return svg.picture(
        "".join(drawn),
        height=bottom + BOTTOM,
        kind="calendar",
        title=title,
        description=" ".join(f"{bar.label}: {bar.text}." for bar in bars),
    )


@dataclass(frozen=True, slots=True)
class _Tick:
    """A date on the axis, its label, and where both are."""

    x: float
    label: str
    label_x: float


def _find_ticks(first: date, last: date, across: Callable[[date], float]) -> list[_Tick]:
    """Return dates of the axis that are as near to each other as their labels allow."""
    for unit, step in STEPS:
        ticks = _place(_dates(first, last, unit, step), FORMATS[unit], across)
        if ticks is not None:
            return ticks
    raise AssertionError("no two labels of the widest step meet")


def _place(days: Iterator[date], said: str, across: Callable[[date], float]) -> list[_Tick] | None:
    """Put a label below each date, within the picture; None if two of them meet."""
    ticks: list[_Tick] = []
    free_from = 0.0
    for day in days:
        label = day.strftime(said)
        half = LETTER * len(label) / 2
        x = across(day)
        label_x = min(max(x, half), svg.WIDTH - half)
        if label_x - half < free_from:
            return None
        ticks.append(_Tick(x, label, label_x))
        free_from = label_x + half + GAP
    return ticks


def _dates(first: date, last: date, unit: Unit, step: int) -> Iterator[date]:
    """Give every so many days from the first on, or first days of months or years."""
    if unit == "day":
        for n in range(0, (last - first).days + 1, step):
            yield first + timedelta(days=n)
        return
    months = step if unit == "month" else 12 * step
    begun = first.year * 12 + first.month - 1
    # Rounded up to a whole step; the first may still lie before the day on which it begins.
    for month in range(-(-begun // months) * months, last.year * 12 + last.month, months):
        day = date(month // 12, month % 12 + 1, 1)
        if day >= first:
            yield day


def _tick(tick: _Tick, bottom: float) -> str:
    style = f'stroke="{svg.TEXT}" stroke-opacity="0.18"'
    return svg.line(tick.x, TOP, tick.x, bottom, style=style) + svg.text(
        tick.label_x, bottom + 16, tick.label, anchor="middle", style='font-size="11"'
    )
