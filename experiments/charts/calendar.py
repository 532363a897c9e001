"""Draws from when to when things last, as bars over dates."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from experiments.charts import svg

LEFT = svg.MARGIN
ROW = 40
TOP = 8
BOTTOM = 26
MOST_MONTH_LABELS = 8


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

    drawn = [_tick(across(day), bottom, f"{day:%-d %b %y}") for day in _dates(first, last)]
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


def _dates(first: date, last: date) -> list[date]:
    """Return some dates, evenly apart, the first among them."""
    days = max((last - first).days, 1)
    step = max(1, -(-days // (MOST_MONTH_LABELS - 1)))
    return [first + timedelta(days=n) for n in range(0, days + 1, step)]


def _tick(x: float, bottom: float, label: str) -> str:
    style = f'stroke="{svg.TEXT}" stroke-opacity="0.18"'
    return svg.line(x, TOP, x, bottom, style=style) + svg.text(
        x, bottom + 16, label, anchor="middle", style='font-size="11"'
    )
