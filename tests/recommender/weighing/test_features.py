"""Features turn attributes into numbers, whatever clients send."""

import math

import numpy as np
import pytest

from recommender.weighing.features import MAX_SIZE, CategoryFeature, FeatureSpec, NumberFeature

SPEC = FeatureSpec(
    (
        CategoryFeature("segment", ("gold", "silver")),
        NumberFeature("age", centre=40.0, scale=10.0),
    )
)


def test_names_begin_with_the_intercept() -> None:
    assert SPEC.names == ("intercept", "segment=gold", "segment=silver", "age")
    assert SPEC.size == 4


def test_known_values_are_encoded() -> None:
    row = SPEC.encode({"segment": "silver", "age": 55})
    np.testing.assert_array_equal(row, [1.0, 0.0, 1.0, 1.5])


def test_missing_attributes_leave_only_the_intercept() -> None:
    np.testing.assert_array_equal(SPEC.encode({}), [1.0, 0.0, 0.0, 0.0])


@pytest.mark.parametrize("age", [None, "55", math.nan, math.inf, -math.inf, [55], {"a": 1}])
def test_a_number_of_the_wrong_kind_counts_as_missing(age: object) -> None:
    assert SPEC.encode({"age": age})[3] == 0.0


def test_an_integer_too_large_for_a_float_counts_as_missing() -> None:
    assert SPEC.encode({"age": 10**400})[3] == 0.0


@pytest.mark.parametrize(("age", "encoded"), [(1e9, 8.0), (-1e9, -8.0), (10**300, 8.0)])
def test_absurd_numbers_are_clipped(age: float, encoded: float) -> None:
    assert SPEC.encode({"age": age})[3] == encoded


@pytest.mark.parametrize(("answer", "encoded"), [(True, 1.0), (False, 0.0)])
def test_booleans_count_as_one_and_zero(answer: bool, encoded: float) -> None:
    spec = FeatureSpec((NumberFeature("subscribed", centre=0.0, scale=1.0),))
    assert spec.encode({"subscribed": answer})[1] == encoded


@pytest.mark.parametrize("segment", ["bronze", "Gold", None, 1.0, ["gold"], {"gold": 1}])
def test_an_unknown_category_is_all_zeros(segment: object) -> None:
    np.testing.assert_array_equal(SPEC.encode({"segment": segment})[1:3], [0.0, 0.0])


def test_whole_numbers_and_booleans_match_by_their_json_text() -> None:
    feature = CategoryFeature("tier", ("1", "true"))
    assert feature.encode(1) == [1.0, 0.0]
    assert feature.encode(1.0) == [1.0, 0.0]
    assert feature.encode(True) == [0.0, 1.0]


def test_many_rows_are_single_rows_stacked() -> None:
    rows: list[dict[str, object]] = [{"segment": "gold"}, {"age": 30}]
    for age in (
        None,
        "55",
        math.nan,
        math.inf,
        1e308,
        -1e9,
        10**400,
        2**60,
        True,
        [5],
        np.float64(3),
    ):
        rows += [{"age": age, "segment": age}, {"segment": "silver", "age": 41.7}]
    np.testing.assert_array_equal(SPEC.encode_many(rows), [SPEC.encode(row) for row in rows])


def test_no_rows_keep_their_columns() -> None:
    assert SPEC.encode_many([]).shape == (0, 4)


def test_json_round_trip() -> None:
    assert FeatureSpec.from_json(SPEC.to_json()) == SPEC


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "an object with one entry"),
        ({"features": [], "colour": 1}, "an object with one entry"),
        ({"features": "segment"}, "must be a list"),
        ({"features": [7]}, "Each feature has a type"),
        ({"features": [{"type": "colour", "attribute": "a"}]}, "Each feature has a type"),
        ({"features": [{"type": "category", "attribute": "a"}]}, "Each feature has a type"),
        (
            {"features": [{"type": "category", "attribute": "a", "values": ["b"], "x": 1}]},
            "“a” has unknown entries: x",
        ),
        (
            {"features": [{"type": "category", "attribute": "a", "values": []}]},
            "needs a list of values",
        ),
        (
            {"features": [{"type": "category", "attribute": "a", "values": [1]}]},
            "needs a list of values",
        ),
        (
            {"features": [{"type": "category", "attribute": "a", "values": [["b"]]}]},
            "needs a list of values",
        ),
        (
            {"features": [{"type": "category", "attribute": "a", "values": ["b", "b"]}]},
            "lists a value twice",
        ),
        (
            {"features": [{"type": "category", "attribute": " ", "values": ["b"]}]},
            "needs the name of an attribute",
        ),
        (
            {"features": [{"type": "number", "attribute": "a", "centre": 0, "scale": 0}]},
            "a scale above 0",
        ),
        (
            {"features": [{"type": "number", "attribute": "a", "centre": 0, "scale": True}]},
            "a scale above 0",
        ),
        (
            {"features": [{"type": "number", "attribute": "a", "centre": "0", "scale": 1}]},
            "a numeric centre",
        ),
        (
            {"features": [{"type": "number", "attribute": "a", "centre": math.nan, "scale": 1}]},
            "a numeric centre",
        ),
        (
            {"features": [{"type": "category", "attribute": "a", "values": ["b"]}] * 2},
            "“a” is used twice",
        ),
    ],
)
def test_json_that_means_nothing_is_explained(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FeatureSpec.from_json(value)


def test_more_columns_than_an_artifact_can_carry_are_refused() -> None:
    values = tuple(str(i) for i in range(MAX_SIZE))
    with pytest.raises(ValueError, match="128 is the most"):
        FeatureSpec((CategoryFeature("postcode", values),))
