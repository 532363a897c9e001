"""Draws SVG elements as escaped text, in colours that read on white, on black and on paper."""

from html import escape
from typing import Literal

from experiments.charts.axis import Axis, say_tick
from experiments.wording import Unit

WIDTH = 640
MARGIN = 28
TOP = 8
ROW = 60

# Two of the Okabe-Ito colours for colour-blind readers: each has a contrast of at least 3:1 with
# white and with near-black. Everything neutral is the page's own text colour. They are plain
# attributes, so a page's style sheet may override them by class.
BLUE = "#0072b2"
ORANGE = "#d55e00"
TEXT = "currentColor"


def line(x1: float, y1: float, x2: float, y2: float, *, style: str) -> str:
    """Draw a line; `style` holds further attributes."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {style}/>'


def text(
    x: float, y: float, words: str, *, anchor: Literal["start", "middle", "end"], style: str = ""
) -> str:
    """Write words, escaped."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{TEXT}" {style}>'
        f"{escape(words)}</text>"
    )


def row_heading(y: float, label: str, value: str) -> str:
    """Write a row's label on the left and its numbers on the right, above what is drawn."""
    # Widths of a wide font (DejaVu Sans), since the reader's is unknown.
    room = int((WIDTH - 2 * MARGIN - 8.2 * len(value) - 16) / 9.6)
    if len(label) > room:
        label = label[: max(room - 1, 1)].rstrip() + "\u2026"
    return text(MARGIN, y, label, anchor="start", style='font-weight="600"') + text(
        WIDTH - MARGIN, y, value, anchor="end"
    )


def grid(axis: Axis, *, rows: int, unit: Unit, is_signed: bool) -> str:
    """Draw each tick behind the rows but not behind their words, zero firmly, and label it."""
    bottom = TOP + ROW * rows
    drawn = []
    for tick in axis.ticks:
        x = axis.x(tick)
        for row in range(rows):
            y = TOP + ROW * row
            opacity = "0.7" if tick == 0 else "0.18"
            style = f'stroke="{TEXT}" stroke-opacity="{opacity}"'
            drawn.append(line(x, y + 26, x, y + ROW - 6, style=style))
        label = say_tick(tick, unit=unit, is_signed=is_signed)
        drawn.append(text(x, bottom + 12, label, anchor="middle", style='font-size="12"'))
    return "".join(drawn)


def document(body: str, *, rows: int, kind: str, title: str, description: str) -> str:
    """Wrap rows of elements into a picture with a name and a text alternative."""
    height = TOP + ROW * rows + 22
    return picture(body, height=height, kind=kind, title=title, description=description)


def picture(body: str, *, height: int, kind: str, title: str, description: str) -> str:
    """Wrap elements into a picture with a name and a text alternative."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart chart-{kind}" role="img" '
        f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="system-ui, sans-serif" font-size="14">'
        f"<title>{escape(title)}</title><desc>{escape(description)}</desc>{body}</svg>"
    )
