"""Conditions mean the same after they are written for every SDK."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience.conditions import check, matches
from experiments.growthbook.portable import to_portable

ORDERS = st.sampled_from(["$lt", "$lte", "$gt", "$gte"])
OPERATORS = st.dictionaries(ORDERS, st.integers(-2, 2), min_size=1, max_size=2)
WANTED = (
    OPERATORS
    | OPERATORS.map(lambda operators: {"$not": operators})
    | st.sampled_from([None, 1, {"$ne": 1}, {"$not": {"$ne": 1}}, {"$in": [None, 1]}])
)
CONDITIONS = st.recursive(
    st.dictionaries(st.sampled_from("ab"), WANTED, max_size=2),
    lambda inner: (
        st.dictionaries(st.sampled_from(["$and", "$or", "$nor"]), st.lists(inner, max_size=2))
        | inner.map(lambda each: {"$not": each})
    ),
    max_leaves=5,
)
ATTRIBUTES = st.dictionaries(st.sampled_from("ab"), st.none() | st.integers(-2, 2))


@given(condition=CONDITIONS, attributes=ATTRIBUTES)
def test_the_same_customers_meet_it(condition: dict[str, Any], attributes: dict[str, Any]) -> None:
    check(to_portable(condition))
    assert matches(to_portable(condition), attributes) == matches(condition, attributes)


@given(condition=CONDITIONS, attributes=ATTRIBUTES)
def test_no_order_is_asked_of_what_is_not_known(
    condition: dict[str, Any], attributes: dict[str, Any]
) -> None:
    assert meets(to_portable(condition), attributes) == matches(condition, attributes)


def meets(condition: dict[str, Any], attributes: dict[str, Any]) -> bool:
    """Read these conditions as the SDK for Python does: nothing is less or more than null."""
    return all(holds(key, part, attributes) for key, part in condition.items())


def holds(key: str, part: Any, attributes: dict[str, Any]) -> bool:
    if key == "$not":
        return not meets(part, attributes)
    if key == "$and":
        return all(meets(each, attributes) for each in part)
    if key in ("$or", "$nor"):
        return (not part or any(meets(each, attributes) for each in part)) == (key == "$or")
    return accepts(part, attributes.get(key))


def accepts(part: Any, value: Any) -> bool:
    if not isinstance(part, dict):
        return bool(value == part)
    return all(
        not accepts(operand, value)
        if name == "$not"
        else not (name in ("$lt", "$lte", "$gt", "$gte") and value is None)
        and matches({"x": {name: operand}}, {"x": value})
        for name, operand in part.items()
    )


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"plan": "pro", "a": {"$ne": 1}}, {"plan": "pro", "a": {"$ne": 1}}),
        ({"n": {"$lt": 3}}, {"$and": [{"$or": [{"n": {"$exists": False}}, {"n": {"$lt": 3}}]}]}),
        (
            {"n": {"$gt": 3}, "plan": "pro"},
            {
                "$and": [
                    {"plan": "pro"},
                    {"$and": [{"n": {"$exists": True}}, {"n": {"$gt": 3}}]},
                ]
            },
        ),
    ],
)
def test_what_holds_without_the_attribute_is_said(
    condition: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert to_portable(condition) == expected
