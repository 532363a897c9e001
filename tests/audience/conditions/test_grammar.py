"""What is no condition is refused, with its place and the reason."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audience.conditions import check


def nested(depth: int) -> dict[str, Any]:
    """Write a condition of so many levels, its value being the last."""
    condition: dict[str, Any] = {"a": 1}
    for _ in range(depth - 2):
        condition = {"$not": condition}
    return condition


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        ([], "The condition should be an object of attributes and conditions."),
        (None, "The condition should be an object of attributes and conditions."),
        ({"a": {"$near": 1}}, "a has the unknown operator $near."),
        ({"$gt": 1}, "$gt compares, but stands where an attribute should."),
        ({"": 1}, "The condition has an attribute without a name."),
        ({"$and": {"a": 1}}, "$and should be a list of conditions."),
        ({"$or": [{"a": 1}, 5]}, "$or[1] should be an object of attributes and conditions."),
        ({"$not": {"b": {"$in": 1}}}, "$not.b.$in should be a list of values."),
        ({"$nor": [{"": 1}]}, "$nor[0] has an attribute without a name."),
        ({"a": {"$gt": 1, "b": 1}}, "a mixes operators with the parts of a value."),
        ({"a": {"$gt": None}}, "a.$gt should be a number or a text."),
        ({"a": {"$exists": 1}}, "a.$exists should be true or false."),
        ({"a": {"$size": "1"}}, "a.$size should be a number or operators."),
        ({"a": {"$size": {"$gt": []}}}, "a.$size.$gt should be a number or a text."),
        ({"a": {"$not": {"$near": 1}}}, "a.$not has the unknown operator $near."),
        ({"a": {"$elemMatch": 1}}, "a.$elemMatch should be an object of attributes and conditions"),
        ({"a": {"$elemMatch": {"$near": 1}}}, "a.$elemMatch has the unknown operator $near."),
        ({"a": {"$elemMatch": {"b": {"$x": 1}}}}, "a.$elemMatch.b has the unknown operator $x."),
        ({"a": {"$type": "text"}}, "a.$type should be one of string, number, boolean"),
        ({"a": {"$type": ["string"]}}, "a.$type should be one of string, number, boolean"),
        ({"a": {"$veq": 1}}, "a.$veq should be a version such as 1.2.3."),
        ({"a": {"$inGroup": []}}, "a.$inGroup should be the name of a group."),
        ({"a": {"$regex": 1}}, "a.$regex should be a regular expression."),
        ({"a": {"$regex": "("}}, "a.$regex cannot be used. This is no regular expression: missing"),
        ({"a": {"$regexi": "(a+)+"}}, "a.$regexi cannot be used. What varies may not be repeated"),
        ({"a": "x\0"}, "A text of the condition holds a character that cannot be stored."),
        ({"\ud800": 1}, "A text of the condition holds a character that cannot be stored."),
        ({"a": "x" * 1001}, "A text of the condition is longer than 1000 characters."),
        ({"a": float("nan")}, "The condition holds nan, which is no JSON value."),
        ({"a": [float("inf")]}, "The condition holds inf, which is no JSON value."),
        ({"a": {"$in": [1] * 2000}}, "The condition has more than 2000 parts."),
        (nested(22), "The condition is nested more than 20 levels deep."),
    ],
)
def test_what_is_no_condition_is_refused(condition: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the sentence is compared below
        check(condition)
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize(
    "condition",
    [
        {},
        nested(20),
        {"$groups": {"$elemMatch": {"$eq": "a"}}},
        {"a": {"$elemMatch": {"b": {"$gt": 1}}}},
        {"a": {"$size": 2}},
        {"a": {"$size": {"$gte": 2}}},
        {"a": {"$not": "x"}},
        {"a": {"$type": "null"}},
        {"a": {"$regex": "^(Mobile|Tablet)$"}},
        {"a": {"$in": [1] * 1900}},
    ],
)
def test_a_condition_is_taken(condition: Any) -> None:
    check(condition)


def test_of_growthbooks_own_cases_only_the_wrong_ones_are_refused(
    shared_file: Callable[[str], Path],
) -> None:
    cases = json.loads(shared_file("specs/growthbook-sdk-cases.json").read_text())["evalCondition"]
    refused = []
    for name, condition, *_ in cases:
        try:
            check(condition)
        except ValueError:
            refused.append(name)
    assert refused == [
        *(f"{operator} - not array" for operator in ("$in", "$nin", "$ini", "$nini")),
        "unknown operator - pass",
        "$regex invalid - pass",
        "$regex invalid - fail",
    ]
