"""A horizontal axis with round numbers on it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from experiments.wording import MINUS, Unit, say_in


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear scale from the first tick to the last, drawn between two x positions."""

    ticks: tuple[float, ...]
    left: float
    right: float

    def x(self, value: float) -> float:
        """Place a value."""
        low, high = self.ticks[0], self.ticks[-1]
        return self.left + (value - low) / (high - low) * (self.right - self.left)


def make_axis(values: Iterable[float], *, left: float, right: float) -> Axis:
    """Make an axis that holds every value and zero."""
    held = [0.0, *values]
    return Axis(nice_ticks(min(held), max(held)), left, right)


def nice_ticks(low: float, high: float, *, at_most: int = 7) -> tuple[float, ...]:
    """Find round, evenly spaced numbers that enclose a range.

    Steps are 1, 2, 2.5 or 5 times a power of ten: the smallest that needs no more than `at_most`
    ticks (at least 3). A range of no width is widened around its value.
    """
    if not -math.inf < low <= high < math.inf:
        raise ValueError(f"expected finite low <= high, not {low} and {high}")
    if high - low <= max(1e-9 * max(abs(low), abs(high)), 1e-300):
        margin = abs(low) / 2 or 0.5
        low, high = low - margin, high + margin
    power = math.floor(math.log10((high - low) / at_most))
    # The last candidate is ten times the first, which surely needs few enough ticks.
    steps = (factor * 10.0**power for factor in (1, 2, 2.5, 5, 10, 20))
    spans = ((s, math.floor(low / s + 1e-9), math.ceil(high / s - 1e-9)) for s in steps)
    step, first, last = next(span for span in spans if span[2] - span[1] < at_most)
    # Rounding takes 0.30000000000000004 back to 0.3, and + 0.0 takes -0.0 back to 0.
    return tuple(round(index * step, 1 - power) + 0.0 for index in range(first, last + 1))


def say_tick(value: float, *, unit: Unit, is_signed: bool) -> str:
    """Label a tick; a signed one is a change."""
    scaled = 100 * value if unit == "percent" else value
    said = say_in(unit, f"{abs(scaled):,.10g}") + ("%" if unit == "percent" else "")
    if scaled < 0:
        return MINUS + said
    return "+" + said if is_signed and scaled > 0 else said
