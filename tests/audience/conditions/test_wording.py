"""Conditions are said in plain English."""

from typing import Any

import pytest

from audience.conditions import describe


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ({}, "everybody"),
        (
            {"country": {"$in": ["DE", "FR"]}, "orders": {"$gte": 3}},
            "country is DE or FR and orders is at least 3",
        ),
        ({"country": "DE"}, "country is DE"),
        ({"country": {"$in": ["DE", "FR", "IT"]}}, "country is DE, FR or IT"),
        ({"country": {"$nin": ["DE"]}}, "country is not DE"),
        ({"country": {"$in": []}}, "country is nothing"),
        ({"country": ""}, "country is \u201c\u201d"),
        ({"newsletter": True}, "newsletter is true"),
        ({"newsletter": {"$ne": False}}, "newsletter is not false"),
        ({"age": None}, "age is unknown"),
        ({"age": {"$exists": True}}, "age is known"),
        ({"age": {"$exists": False}}, "age is not known"),
        ({"age": {"$gt": 18, "$lte": 65.5}}, "age is more than 18 and age is at most 65.5"),
        ({"tags": ["a", 1]}, "tags is [a, 1]"),
        ({"home": {"city": "Bonn", "zip": None}}, "home is {city: Bonn, zip: unknown}"),
        ({"app": {"$vgte": "2.1.0"}}, "app is at least version 2.1.0"),
        ({"tags": {"$all": ["a", "b"]}}, "tags has a and b"),
        ({"tags": {"$size": 2}}, "the number of tags is 2"),
        ({"tags": {"$size": {"$gt": 2}}}, "the number of tags is more than 2"),
        ({"tags": {"$elemMatch": {"$eq": "a"}}}, "one of tags is such that it is a"),
        ({"pets": {"$elemMatch": {"name": "Rex"}}}, "one of pets is such that name is Rex"),
        ({"name": {"$not": {"$regex": "^a"}}}, "not (name contains the pattern ^a)"),
        ({"$not": {"a": 1, "b": 2}}, "not (a is 1 and b is 2)"),
        ({"$and": [{"a": 1}, {}, {"b": 2, "c": 3}]}, "a is 1 and b is 2 and c is 3"),
        ({"$or": [{"a": 1}, {"b": 2, "c": 3}]}, "a is 1 or (b is 2 and c is 3)"),
        ({"a": 1, "$or": [{"b": 2}, {"c": 3}]}, "a is 1 and (b is 2 or c is 3)"),
        ({"$or": [{"a": 1}, {"$or": [{"b": 2}, {"c": 3}]}]}, "a is 1 or b is 2 or c is 3"),
        ({"$or": [{"a": 1}, {}]}, "a is 1 or everybody"),
        ({"$nor": [{"a": 1}, {"b": 2}]}, "not (a is 1 or b is 2)"),
    ],
)
def test_a_condition_is_said(condition: dict[str, Any], said: str) -> None:
    assert describe(condition) == said


def test_attributes_are_called_by_their_labels() -> None:
    condition = {"$or": [{"orders_90d": {"$gt": 2}}, {"size": {"$not": 5}}, {"country": "DE"}]}
    labels = {"orders_90d": "orders in 90 days", "size": "the size"}
    assert describe(condition, labels) == (
        "orders in 90 days is more than 2 or not (the size is 5) or country is DE"
    )
