"""Draws effects with their intervals around a line of no change."""

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.charts import svg
from experiments.charts.axis import Axis, make_axis
from experiments.wording import Unit


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One effect: its interval around a point, and the same in words."""

    label: str
    low: float
    point: float
    high: float
    text: str


def forest_plot(
    rows: Sequence[ForestRow], *, unit: Unit, title: str = "Change against the control"
) -> str:
    """Draw one row an effect, below each other on one axis.

    An interval clear of zero is coloured and its marker points the way it goes; one that holds zero
    is neutral with a round marker. So no reading depends on colour.

    Args:
        rows: At least one effect; in "percent", 0.05 is +5%.
        unit: Of the values on the axis.
        title: The picture's name for those who cannot see it.

    Raises:
        ValueError: There are no rows.
    """
    if not rows:
        raise ValueError("a forest plot needs at least one row")
    axis = make_axis(
        [value for row in rows for value in (row.low, row.high)],
        left=svg.MARGIN + 8,
        right=svg.WIDTH - svg.MARGIN - 8,
    )
    drawn = [svg.grid(axis, rows=len(rows), unit=unit, is_signed=True)]
    for index, row in enumerate(rows):
        y = svg.TOP + svg.ROW * index
        drawn.append(svg.row_heading(y + 17, row.label, row.text))
        drawn.append(_draw_interval(row, axis=axis, y=y + 40))
    return svg.document(
        "".join(drawn),
        rows=len(rows),
        kind="forest",
        title=title,
        description=" ".join(f"{row.label}: {row.text}." for row in rows),
    )


def _draw_interval(row: ForestRow, *, axis: Axis, y: float) -> str:
    x = axis.x(row.point)
    if row.low > 0:
        name, colour, marker = "up", svg.BLUE, f"M{x - 6:.1f} {y - 8}l14 8l-14 8z"
    elif row.high < 0:
        name, colour, marker = "down", svg.ORANGE, f"M{x + 6:.1f} {y - 8}l-14 8l14 8z"
    else:
        name, colour = "unclear", svg.TEXT
        marker = f"M{x - 6:.1f} {y}a6 6 0 1 0 12 0a6 6 0 1 0 -12 0z"
    style = f'stroke="{colour}" stroke-width="3" stroke-linecap="round"'
    low, high = axis.x(row.low), axis.x(row.high)
    return (
        f'<g class="chart-{name}">'
        + svg.line(low, y, high, y, style=style)
        + svg.line(low, y - 5, low, y + 5, style=style)
        + svg.line(high, y - 5, high, y + 5, style=style)
        + f'<path d="{marker}" fill="{colour}"/></g>'
    )
