"""Axes part customers by a condition exactly as by the numbers that a policy sees."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience.conditions import check, matches
from recommender.distilling.axes import MOST_CUTS, CategoryAxis, NumberAxis, axes_of
from recommender.weighing.features import CategoryFeature, FeatureSpec, NumberFeature

EXACT = 2**53
SCALES = st.floats(1e-3, 1e6)
CENTRES = st.floats(-1e6, 1e6)
WHOLE = st.integers(-EXACT, EXACT)
PLAIN = st.floats(-1e9, 1e9)
ANYTHING = st.one_of(
    WHOLE, PLAIN, st.booleans(), st.none(), st.text(max_size=3), st.just("8"),
    st.lists(st.integers(0, 3), max_size=2), st.just({"a": 1}),
)  # fmt: skip


def axis_of(feature: NumberFeature | CategoryFeature, values: list[Any]) -> Any:
    spec = FeatureSpec((feature,))
    (axis,) = axes_of(spec, spec.encode_many({feature.attribute: v} for v in values))
    return axis


def assert_same_side(axis: Any, marked: Any, attributes: dict[str, Any]) -> None:
    x = FeatureSpec((axis.feature,)).encode(attributes)[None, :]
    inside, outside = axis.conditions(marked)
    check(inside)
    assert matches(inside, attributes) is bool(marked[axis.group(x)[0]])
    assert matches(outside, attributes) is not matches(inside, attributes)


@given(CENTRES, SCALES, st.lists(PLAIN, min_size=2, max_size=40, unique=True), ANYTHING, st.data())
def test_a_cut_says_the_same_of_every_attribute(
    centre: float, scale: float, values: list[float], other: Any, data: st.DataObject
) -> None:
    axis = axis_of(NumberFeature("n", centre, scale), values)
    assert isinstance(axis, NumberAxis)
    candidates = axis.candidates(np.zeros(axis.n_groups), np.zeros((axis.n_groups, 1)))
    if not len(candidates):
        return
    marked = candidates[data.draw(st.integers(0, len(candidates) - 1))]
    inside, _ = axis.conditions(marked)
    said = inside.get("$not", inside)
    parts = said.get("$or", [said])
    bound = next(v for k, v in parts[0]["n"].items() if k != "$type")
    for value in (other, bound, np.nextafter(bound, -np.inf), np.nextafter(bound, np.inf)):
        attribute = float(value) if isinstance(value, np.floating) else value
        assert_same_side(axis, marked, {"n": attribute})
    assert_same_side(axis, marked, {})


@given(st.sets(st.sampled_from(["de", "3", "-1", "true", "false", "", "8", "07"])), ANYTHING,
       st.data())  # fmt: skip
def test_a_set_of_categories_says_the_same_of_every_attribute(
    texts: set[str], other: Any, data: st.DataObject
) -> None:
    values = (*sorted(texts - {""}), "last")
    axis = axis_of(CategoryFeature("c", values), [*values, None])
    assert isinstance(axis, CategoryAxis)
    size = axis.n_groups
    candidates = axis.candidates(np.ones(size), np.arange(2.0 * size).reshape(size, 2) ** 2)
    marked = candidates[data.draw(st.integers(0, len(candidates) - 1))]
    if marked.all():
        return
    for attribute in (
        other,
        *values,
        3,
        3.0,
        -0.0,
        2.5,
        10**300,
        1e300,
        -1,
        True,
        False,
        1,
        0,
        [values[0]],
    ):
        assert_same_side(axis, marked, {"c": attribute})
    assert_same_side(axis, marked, {})


def test_cuts_are_plain_numbers_between_those_that_occur() -> None:
    axis = axis_of(NumberFeature("n", 40.0, 10.0), [18, 25, 25, 61])
    below = [axis.conditions(each)[0] for each in axis.candidates(np.zeros(3), np.zeros((3, 1)))]
    # Whoever has no number stands at 40, so is not below.
    assert below == [
        {"$or": [{"n": {"$type": "number", "$lt": 20.0}}, {"n": {"$type": "boolean"}}]},
        {"$or": [{"n": {"$type": "number", "$lt": 40.0}}, {"n": {"$type": "boolean"}}]},
    ]
    axis = axis_of(NumberFeature("n", 40.0, 10.0), [55, 69])
    assert axis.conditions(np.array([True, False])) == (
        {"$not": {"n": {"$type": "number", "$gte": 60.0}}},
        {"n": {"$type": "number", "$gte": 60.0}},
    )


def test_many_numbers_are_cut_as_evenly_as_can_be() -> None:
    axis = axis_of(NumberFeature("n", 500.0, 250.0), list(range(1000)))
    assert len(axis.cuts) == MOST_CUTS
    counts = np.bincount(axis.places)
    assert counts.min() > 20
    assert counts.max() < 45


def test_numbers_that_their_scale_cannot_tell_apart_are_not_cut() -> None:
    spec = FeatureSpec((NumberFeature("n", 1e6, 1.0),))
    (axis,) = axes_of(spec, np.array([[1.0, 0.0], [1.0, 1e-20]]))
    assert axis.n_groups == 1


@pytest.mark.parametrize(
    "feature",
    [
        NumberFeature("address.floor", 0.0, 1.0),
        CategoryFeature("$group", ("a",)),
        NumberFeature("n", 0.0, 2.0**53),
    ],
)
def test_what_no_condition_can_say_has_no_axis(feature: NumberFeature | CategoryFeature) -> None:
    spec = FeatureSpec((feature, CategoryFeature("c", ("a",))))
    (axis,) = axes_of(spec, spec.encode_many([{"c": "a"}, {}]))
    assert (axis.feature.attribute, axis.places.tolist()) == ("c", [0, 1])


def test_a_mean_of_customers_is_in_the_category_of_most() -> None:
    axis = axis_of(CategoryFeature("c", ("a", "b")), ["a"])
    assert axis.group(np.array([[1.0, 0.7, 0.3], [1.0, 0.4, 0.4]])).tolist() == [0, 2]


def test_groups_that_earn_alike_are_tried_together() -> None:
    axis = axis_of(CategoryFeature("c", ("a", "b", "c")), ["a", "b", "c", "d"])
    # Two offers: those of a and c expect more of the first one, those of b and d of the second.
    mean = np.array([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1], [0.2, 0.8]])
    tried = {tuple(np.flatnonzero(each)) for each in axis.candidates(np.ones(4), mean)}
    assert tried & {(0, 2), (1, 3)}
