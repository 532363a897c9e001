"""Draws each arm's mean as a bar from zero, with its interval as a whisker."""

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.charts import svg
from experiments.charts.axis import make_axis
from experiments.wording import Unit


@dataclass(frozen=True, slots=True)
class RateRow:
    """One arm: its mean, the interval around it, and the same in words."""

    label: str
    value: float
    low: float
    high: float
    text: str


def rates_chart(rows: Sequence[RateRow], *, unit: Unit, title: str = "Mean by arm") -> str:
    """Draw one bar an arm, below each other on one axis that starts at zero.

    Args:
        rows: At least one arm; in "percent", 0.05 is 5%.
        unit: Of the values on the axis.
        title: The picture's name for those who cannot see it.

    Raises:
        ValueError: There are no rows.
    """
    if not rows:
        raise ValueError("a chart of rates needs at least one row")
    axis = make_axis(
        [value for row in rows for value in (row.low, row.value, row.high)],
        left=svg.MARGIN,
        right=svg.WIDTH - svg.MARGIN - 8,
    )
    drawn = [svg.grid(axis, rows=len(rows), unit=unit, is_signed=False)]
    whisker = f'stroke="{svg.TEXT}" stroke-width="2" stroke-linecap="round"'
    for index, row in enumerate(rows):
        y = svg.TOP + svg.ROW * index
        start, end = sorted((axis.x(0), axis.x(row.value)))
        low, high, middle = axis.x(row.low), axis.x(row.high), y + 40
        drawn += [
            svg.row_heading(y + 17, row.label, row.text),
            f'<rect class="chart-bar" x="{start:.1f}" y="{middle - 8}" width="{end - start:.1f}" '
            f'height="16" rx="2" fill="{svg.BLUE}"/>',
            svg.line(low, middle, high, middle, style=whisker),
            svg.line(low, middle - 5, low, middle + 5, style=whisker),
            svg.line(high, middle - 5, high, middle + 5, style=whisker),
        ]
    return svg.document(
        "".join(drawn),
        rows=len(rows),
        kind="rates",
        title=title,
        description=" ".join(f"{row.label}: {row.text}." for row in rows),
    )
