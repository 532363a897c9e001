"""Draws how many values lie in each part of a range."""

from collections.abc import Sequence

from experiments.charts import svg

HEIGHT, BOTTOM, TOP = 170, 26, 8


def histogram(counts: Sequence[int], *, low: str, high: str, title: str, text: str) -> str:
    """Draw one bar a part, with a line where all would be if they were the same.

    Args:
        counts: How many values lie in each part.
        low: What the left end is called.
        high: What the right end is called.
        title: The picture's name.
        text: The same in words.

    Raises:
        ValueError: There are no parts.
    """
    if not counts:
        raise ValueError("a histogram needs at least one part")
    width = (svg.WIDTH - 2 * svg.MARGIN) / len(counts)
    tallest = max([*counts, 1])
    floor = HEIGHT - BOTTOM
    drawn = []
    for index, count in enumerate(counts):
        height = (floor - TOP) * count / tallest
        drawn.append(
            f'<rect class="chart-bar" x="{svg.MARGIN + index * width + 1:.1f}" '
            f'y="{floor - height:.1f}" width="{width - 2:.1f}" height="{height:.1f}" '
            f'fill="{svg.BLUE}"/>'
        )
    even = floor - (floor - TOP) * sum(counts) / len(counts) / tallest
    style = f'stroke="{svg.TEXT}" stroke-dasharray="5 4"'
    drawn.append(svg.line(svg.MARGIN, even, svg.WIDTH - svg.MARGIN, even, style=style))
    drawn.append(svg.text(svg.MARGIN, floor + 16, low, anchor="start", style='font-size="12"'))
    drawn.append(
        svg.text(svg.WIDTH - svg.MARGIN, floor + 16, high, anchor="end", style='font-size="12"')
    )
    return svg.picture(
        "".join(drawn), height=HEIGHT, kind="histogram", title=title, description=text
    )
