"""Axes: round ticks that enclose their range."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.charts.axis import make_axis, nice_ticks, say_tick
from experiments.wording import Unit

finite = st.floats(-1e9, 1e9).map(lambda value: float(f"{value:.6g}"))


@given(finite, finite)
def test_ticks_are_few_even_round_and_enclose(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    ticks = nice_ticks(low, high)
    slack = 1e-6 * (ticks[-1] - ticks[0])
    assert 3 <= len(ticks) <= 7
    assert ticks[0] <= low + slack
    assert high - slack <= ticks[-1]
    steps = [after - before for before, after in pairwise(ticks)]
    assert steps == pytest.approx([steps[0]] * len(steps), rel=1e-6)
    mantissa = steps[0] / 10 ** math.floor(math.log10(steps[0]) + 1e-6)
    assert min(abs(mantissa - nice) for nice in (1, 2, 2.5, 5)) < 1e-4


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 0.183, (0, 0.05, 0.1, 0.15, 0.2)),
        (-0.1, 0.3, (-0.1, 0, 0.1, 0.2, 0.3)),
        (0, 0, (-0.6, -0.4, -0.2, 0, 0.2, 0.4, 0.6)),
        (0, 7, (0, 2, 4, 6, 8)),
    ],
)
def test_ticks_of_known_ranges(low: float, high: float, ticks: tuple[float, ...]) -> None:
    assert nice_ticks(low, high) == ticks


@pytest.mark.parametrize(("low", "high"), [(1, 0), (0, math.inf), (math.nan, 1)])
def test_a_range_needs_two_ends_in_order(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="finite low <= high"):
        nice_ticks(low, high)


def test_axis_is_linear_and_holds_zero() -> None:
    axis = make_axis([2, 3], left=10, right=110)
    assert axis.x(0) == 10
    assert axis.x(axis.ticks[-1]) == 110
    assert axis.x(1) + axis.x(2) == pytest.approx(axis.x(0) + axis.x(3))


@pytest.mark.parametrize(
    ("value", "unit", "is_signed", "said"),
    [
        (0.25, "percent", True, "+25%"),
        (-0.025, "percent", False, "−2.5%"),
        (0.0, "percent", True, "0%"),
        (1500, "number", False, "1,500"),
        (0.3, "number", True, "+0.3"),
    ],
)
def test_tick_labels(value: float, unit: Unit, is_signed: bool, said: str) -> None:
    assert say_tick(value, unit=unit, is_signed=is_signed) == said
