"""Draws how much of something has come by when, as a curve with marks on it."""

from collections.abc import Callable, Sequence

from experiments.charts import svg
from experiments.charts.axis import make_axis, nice_ticks, say_tick
from experiments.charts.table import Chart
from experiments.wording import say_value

HEIGHT = 240
LEFT, RIGHT, TOP, BOTTOM = 64, 28, 14, 34


def arrivals_chart(
    ages: Sequence[float],
    shares: Sequence[float],
    *,
    marks: Sequence[tuple[float, float]],
    unit: tuple[float, str],
    title: str,
    say: Callable[[float], str],
) -> Chart:
    """Draw shares over ages, from nothing at the age of 0.

    Args:
        ages: In seconds, rising; at least one.
        shares: What has come by each of them; 1 is all.
        marks: Ages and shares to draw as dots, and to write into the table.
        unit: What the axis counts in: its seconds and its name.
        title: The picture's name.
        say: Writes an age in words.

    Raises:
        ValueError: There is no age, or not one share for each.
    """
    if not ages or len(ages) != len(shares):
        raise ValueError(f"expected a share for each age, not {len(shares)} for {len(ages)}")
    size, name = unit
    axis = make_axis([ages[-1] / size], left=LEFT, right=svg.WIDTH - RIGHT)
    ticks = nice_ticks(0.0, max(1.0, *shares))

    def up(share: float) -> float:
        return HEIGHT - BOTTOM - share / ticks[-1] * (HEIGHT - TOP - BOTTOM)

    points = [(0.0, 0.0), *zip(ages, shares, strict=True)]
    path = " ".join(f"{axis.x(age / size):.1f},{up(share):.1f}" for age, share in points)
    drawn = [
        svg.line(
            LEFT,
            up(tick),
            svg.WIDTH - RIGHT,
            up(tick),
            style=f'stroke="{svg.TEXT}" stroke-opacity="{"0.7" if tick == 0 else "0.18"}"',
        )
        + svg.text(
            LEFT - 8,
            up(tick) + 4,
            say_tick(tick, unit="percent", is_signed=False),
            anchor="end",
            style='font-size="12"',
        )
        for tick in ticks
    ]
    drawn += [
        svg.text(
            axis.x(tick),
            HEIGHT - BOTTOM + 20,
            f"{tick:g}" if tick < axis.ticks[-1] else f"{tick:g} {name}",
            anchor="middle" if tick < axis.ticks[-1] else "end",
            style='font-size="12"',
        )
        for tick in axis.ticks
    ]
    drawn.append(f'<polyline points="{path}" fill="none" stroke="{svg.BLUE}" stroke-width="2"/>')
    drawn += [
        f'<circle cx="{axis.x(age / size):.1f}" cy="{up(share):.1f}" r="4" fill="{svg.ORANGE}"/>'
        for age, share in marks
    ]
    rows = [(say(age), say_value(share, unit="percent")) for age, share in marks]
    picture = svg.picture(
        "".join(drawn),
        height=HEIGHT,
        kind="arrivals",
        title=title,
        description=" ".join(f"After {age}: {share}." for age, share in rows),
    )
    return Chart(picture, ("After", "Has come"), rows)
