"""Conditions mean what GrowthBook's SDKs take them to mean."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience.conditions import matches

Condition = dict[str, Any]


def test_every_case_of_growthbook_is_met(shared_file: Callable[[str], Path]) -> None:
    cases = json.loads(shared_file("specs/growthbook-sdk-cases.json").read_text())["evalCondition"]
    assert len(cases) >= 248
    wrong = [
        name
        for name, condition, attributes, expected, *groups in cases
        if matches(condition, attributes, saved_groups=groups[0] if groups else None) != expected
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("condition", "attributes", "expected"),
    [
        ({}, {}, True),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": True}, {"a": 1}, False),
        ({"a": 1}, {"a": "1"}, False),
        ({"a": {"b": [1, {"c": 2}]}}, {"a": {"b": [1.0, {"c": 2}]}}, True),
        ({"a": {"b": [1, True]}}, {"a": {"b": [1, 1]}}, False),
        ({"a": {"$gt": 1, "b": 2}}, {"a": {"$gt": 1, "b": 2}}, True),
        ({"a.b": 1}, {"a": {"b": 1}}, True),
        ({"a.0": 1}, {"a": [1]}, False),
        ({"a.b": None}, {"a": 5}, True),
        ({"$not": {"a": 1}}, {}, True),
        ({"$nor": []}, {}, False),
        ({"$nor": [{"a": 1}, {"b": 1}]}, {"a": 2}, True),
        ({"a": {"$gte": 0}}, {}, True),
        ({"a": {"$lt": 1}}, {"a": False}, True),
        ({"a": {"$gt": 1}}, {"a": True}, False),
        ({"a": {"$gt": 1}}, {"a": "2.50"}, True),
        ({"a": {"$gt": "10"}}, {"a": "9"}, True),
        ({"a": {"$lt": 1}}, {"a": ""}, False),
        ({"a": {"$gte": 0}}, {"a": "1e3"}, False),
        ({"a": {"$gte": 0}}, {"a": []}, False),
        ({"a": {"$lte": "b"}}, {"a": None}, False),
        ({"a": {"$eq": None}}, {}, True),
        ({"a": {"$ne": None}}, {}, False),
        ({"a": {"$in": [None]}}, {}, True),
        ({"a": {"$in": [[1]]}}, {"a": [1]}, False),
        ({"a": {"$elemMatch": {"$eq": 0}}}, {"a": [0]}, True),
        ({"a": {"$elemMatch": {"b": 1}}}, {"a": [2, {"b": 1}]}, True),
        ({"a": {"$elemMatch": {"$eq": 1}}}, {"a": 1}, False),
        ({"a": {"$all": [1, {"$gt": 5}]}}, {"a": [1, 6]}, True),
        ({"a": {"$not": {"$gt": 5}}}, {"a": 5}, True),
        ({"a": {"$not": {"$gt": 5}}}, {"a": 6}, False),
        ({"a": {"$all": [1, 2]}}, {"a": [1]}, False),
        ({"a": {"$all": [1]}}, {"a": 1}, False),
        ({"a": {"$alli": ["X"]}}, {"a": ["x"]}, True),
        ({"a": {"$type": "null"}}, {}, True),
        ({"a": {"$type": "boolean"}}, {"a": True}, True),
        ({"a": {"$type": "string"}}, {"a": ""}, True),
        ({"a": {"$type": "array"}}, {"a": []}, True),
        ({"a": {"$type": "number"}}, {"a": 1.5}, True),
        ({"a": {"$type": "object"}}, {"a": {}}, True),
        ({"a": {"$elemMatch": {"b": 1}}}, {"a": [2]}, False),
        ({"a": {"$size": 1}}, {"a": "x"}, False),
        ({"a": {"$all": "x"}}, {"a": ["x"]}, False),
        ({"a": {"$all": [{"$gt": 1}, "x"]}}, {"a": ["x", 2]}, True),
        ({"a": {"$alli": [3, "X"]}}, {"a": ["x", 3]}, True),
        ({"a": {"$regex": "^1"}}, {"a": 12}, False),
        ({"a": {"$regex": 1}}, {"a": "1"}, False),
        ({"a": {"$veq": "0"}}, {"a": True}, True),
        ({"a": {"$veq": "2"}}, {"a": 2}, True),
        ({"a": {"$vlt": "1"}}, {}, True),
        ({"a": {"$vgte": "2.0.0", "$vlte": "2.0.0", "$vne": "2.0.1"}}, {"a": "v2.0.0+x"}, True),
        ({"a": {"$inGroup": "vip"}}, {"a": ["x", "ada"]}, True),
        ({"a": {"$type": "number"}}, {"a": True}, False),
    ],
)
def test_a_condition_is_met_or_not(
    condition: Condition, attributes: dict[str, Any], expected: bool
) -> None:
    assert matches(condition, attributes, saved_groups={"vip": ["ada"]}) is expected


values = st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from(["", "a", "1"]))
attributes = st.dictionaries(st.sampled_from("ab"), values)
simple = st.dictionaries(st.sampled_from("ab"), values, max_size=2)


@given(simple, simple, attributes)
def test_logic_is_logic(one: Condition, other: Condition, known: dict[str, Any]) -> None:
    met, other_met = matches(one, known), matches(other, known)
    assert matches({"$not": one}, known) is not met
    assert matches({"$and": [one, other]}, known) is (met and other_met)
    assert matches({"$or": [one, other]}, known) is (met or other_met)
    assert matches({"$nor": [one, other]}, known) is not (met or other_met)


@given(st.text("ab1", max_size=4), st.text("ab1", max_size=4))
def test_of_two_texts_exactly_one_order_holds(one: str, other: str) -> None:
    held = [op for op in ("$lt", "$eq", "$gt") if matches({"a": {op: other}}, {"a": one})]
    assert held == ["$lt" if one < other else "$gt" if one > other else "$eq"]


def test_a_pattern_that_could_take_for_ever_is_met_by_nobody_at_once() -> None:
    assert not matches({"a": {"$regex": "^(a+)+$"}}, {"a": "a" * 40})


def test_only_the_beginning_of_a_long_text_is_looked_at() -> None:
    assert matches({"a": {"$regex": "x"}}, {"a": "-" * 499 + "x"})
    assert not matches({"a": {"$regex": "x"}}, {"a": "-" * 500 + "x"})
