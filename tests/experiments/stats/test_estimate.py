"""Estimates: their JSON, their readings, and what they refuse to hold."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.stats.estimate import Estimate, Inconclusive, Interval, result_from_json

ESTIMATE = Estimate(
    control_mean=0.1,
    treatment_mean=0.12,
    n_control=1000,
    n_treatment=1010,
    control_interval=Interval(0.09, 0.11),
    treatment_interval=Interval(0.11, 0.13),
    difference=0.02,
    difference_interval=Interval(-0.001, 0.041),
    relative=0.2,
    relative_interval=Interval(-0.01, 0.41),
    p_value=0.03,
    ln_p_value=math.log(0.03),
    confidence=0.95,
    method="by hand",
)


@pytest.mark.parametrize(
    "result",
    [
        ESTIMATE,
        replace(ESTIMATE, relative=None, relative_interval=None, difference=1 / 3),
        replace(ESTIMATE, relative=None, relative_interval=None, no_lift="Too little so far."),
        Inconclusive("No customers yet."),
    ],
)
def test_json_brings_back_the_same_result(result: Estimate | Inconclusive) -> None:
    assert result_from_json(json.loads(json.dumps(result.to_json()))) == result


def test_json_from_before_reasons_were_given_is_still_read() -> None:
    written = replace(ESTIMATE, relative=None, relative_interval=None).to_json()
    del written["no_lift"]
    assert result_from_json(written) == replace(ESTIMATE, relative=None, relative_interval=None)


def test_json_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="not 'guess'"):
        result_from_json({"kind": "guess"})


def test_several_comparisons_ask_for_a_smaller_p_value() -> None:
    assert ESTIMATE.is_significant
    assert not ESTIMATE.is_significant_among(2)


def test_significance_survives_a_p_value_that_rounds_to_zero() -> None:
    assert replace(ESTIMATE, p_value=0.0, ln_p_value=-2000.0).is_significant_among(10)


@pytest.mark.parametrize(("difference", "direction"), [(0.1, "up"), (-0.1, "down"), (0.0, "none")])
def test_direction_follows_the_sign(difference: float, direction: str) -> None:
    assert replace(ESTIMATE, difference=difference).direction == direction


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_an_interval_holds_what_lies_between_its_ends(a: float, b: float, c: float) -> None:
    low, middle, high = sorted((a, b, c))
    assert middle in Interval(low, high)
    assert high + 1 not in Interval(low, high)


@pytest.mark.parametrize(("low", "high"), [(2, 1), (math.nan, 1), (0, math.inf), (-math.inf, 0)])
def test_an_interval_needs_two_ends_in_order(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="finite low <= high"):
        Interval(low, high)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("confidence", 1.0, "confidence"),
        ("p_value", 1.1, "no p-value"),
        ("ln_p_value", -math.inf, "no p-value"),
        ("ln_p_value", 0.1, "no p-value"),
        ("relative", None, "lift"),
        ("no_lift", "Too little so far.", "lift"),
    ],
)
def test_impossible_numbers_are_refused(field: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(ESTIMATE, **{field: value})
