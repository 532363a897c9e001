"""Customers fall where GrowthBook's SDKs place them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.growthbook.buckets import (
    bucket_ranges,
    choose_variation,
    equal_weights,
    hash_of,
    is_in_namespace,
    is_truthy,
    text_of,
)


@pytest.mark.parametrize(
    ("seed", "value", "version", "expected"),
    [
        # From the shared cases of the specification.
        ("seed", "a", 2, 0.0505),
        ("b", "a", 1, 0.946),
        ("abc", "def", 99, None),
        # What the SDKs for JavaScript (1.8.0) and Python (4.0.0) both answer beyond ASCII.
        ("seed", "Åsa", 2, 0.2571),
        ("seed", "😀", 2, 0.4346),
        ("s", "日本", 2, 0.0984),
        ("seed", "é", 1, 0.137),
    ],
)
def test_a_value_is_placed_as_the_sdks_place_it(
    seed: str, value: str, version: int, expected: float | None
) -> None:
    assert hash_of(seed, value, version) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), (3, "3"), (3.0, "3"), (0.5, "0.5"), (True, "true"), (["é", 1], '["é",1]')],
)
def test_a_value_is_hashed_as_the_text_that_javascript_makes_of_it(
    value: object, text: str
) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize("value", [None, False, 0, 0.0, ""])
def test_nothing_is_not_true(value: object) -> None:
    assert not is_truthy(value)


@pytest.mark.parametrize("value", [True, 1, -0.5, "0", [], {}])
def test_an_empty_list_is_true_as_in_javascript(value: object) -> None:
    assert is_truthy(value)


@given(st.integers(1, 20))
def test_equal_weights_share_everything(count: int) -> None:
    assert len(equal_weights(count)) == count
    assert sum(equal_weights(count)) == pytest.approx(1)


def test_nobody_shares_nothing() -> None:
    assert equal_weights(0) == equal_weights(-1) == []


@pytest.mark.parametrize(
    ("coverage", "weights", "expected"),
    [
        (None, None, [(0, 0.5), (0.5, 1)]),
        (0.5, None, [(0, 0.25), (0.5, 0.75)]),
        (-1, None, [(0, 0), (0.5, 0.5)]),
        (2, [0.25, 0.75], [(0, 0.25), (0.25, 1)]),
        (1, [0.2, 0.2], [(0, 0.5), (0.5, 1)]),
        (1, [1.0], [(0, 0.5), (0.5, 1)]),
    ],
)
def test_ranges_are_laid_end_to_end_and_covered_from_the_left(
    coverage: float | None, weights: list[float] | None, expected: list[tuple[float, float]]
) -> None:
    assert bucket_ranges(2, coverage, weights) == expected


def test_the_end_of_a_range_is_the_next_one_s() -> None:
    assert choose_variation(0.5, [(0, 0.5), (0.5, 0.5), (0.5, 1)]) == 2
    assert choose_variation(0.5, [(0, 0.5)]) == -1


def test_a_namespace_holds_its_share() -> None:
    # From the shared cases of the specification.
    assert not is_in_namespace("1", ["namespace1", 0, 0.4])
    assert is_in_namespace("1", ["namespace1", 0.4, 1])
