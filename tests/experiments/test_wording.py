"""Numbers in words: the digits a reader gets to see."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.wording import (
    Unit,
    say_difference,
    say_lift,
    say_list,
    say_p_value,
    say_value,
    say_values,
)


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (0.106167, "percent", "10.6%"),
        (0.005726, "percent", "0.573%"),
        (1.0, "percent", "100%"),
        (0.0, "percent", "0%"),
        (1.4226, "number", "1.42"),
        (1234.6, "number", "1,235"),
        (9.998, "number", "10.0"),
        (0.9998, "number", "1.00"),
        (-3.21, "number", "−3.21"),
        (1e-9, "number", "0"),
    ],
)
def test_values_have_three_digits(value: float, unit: Unit, said: str) -> None:
    assert say_value(value, unit=unit) == said


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (0.1061, 0.1828, ("10.6%", "18.3%")),
        (0.10612, 0.10634, ("10.61%", "10.63%")),
        (0.1, 0.1, ("10.0%", "10.0%")),
        (0.1, 0.1 + 1e-9, ("10.000%", "10.000%")),
    ],
)
def test_two_values_get_the_digits_that_tell_them_apart(
    first: float, second: float, said: tuple[str, str]
) -> None:
    assert say_values(first, second, unit="percent") == said


@pytest.mark.parametrize(
    ("lift", "said"),
    [(0.7214, "+72%"), (-0.0431, "−4.3%"), (0.0, "0%"), (12.34, "+1,234%"), (1e-12, "0%")],
)
def test_lifts_are_signed(lift: float, said: str) -> None:
    assert say_lift(lift) == said


def test_a_difference_of_percentages_is_in_points() -> None:
    assert say_difference(0.07659, unit="percent") == "+7.66 points"
    assert say_difference(-0.7698, unit="number") == "−0.770"


@pytest.mark.parametrize(
    ("p_value", "said"),
    [
        (0.031, "p = 0.031"),
        (1.0, "p = 1"),
        (5.685e-112, "p = 6 × 10⁻¹¹²"),
        (9.9e-8, "p = 1 × 10⁻⁷"),
    ],
)
def test_p_values_are_said_from_their_logarithm(p_value: float, said: str) -> None:
    assert say_p_value(math.log(p_value)) == said


def test_a_p_value_beyond_floating_point_can_still_be_said() -> None:
    assert say_p_value(-1000 * math.log(10) + math.log(3)) == "p = 3 × 10⁻¹⁰⁰⁰"


@given(st.floats(1e-5, 1e9))
def test_three_digits_err_by_less_than_half_a_per_cent(value: float) -> None:
    said = float(say_value(value, unit="number").replace(",", ""))
    assert said == pytest.approx(value, rel=0.005 + 1e-9)


def test_lists_read_as_english() -> None:
    assert say_list([]) == ""
    assert say_list(["a"]) == "a"
    assert say_list(["a", "b", "c"]) == "a, b and c"
