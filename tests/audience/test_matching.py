"""The customers whom PostgreSQL finds are those whom the condition means."""

from collections.abc import Sequence
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from audience.conditions import matches
from audience.matching import NotInSql, count_customers, to_sql
from tests.makers import make_customer, make_customers, merge

pytestmark = pytest.mark.django_db

Condition = dict[str, Any]
Attributes = dict[str, Any]

# Each of these means something to one operator or another: alike, nearly alike, awkward.
TEXTS = [
    "",
    "a",
    "A",
    "b",
    "ä",
    "10",
    "9",
    "-1",
    "1.50",
    "1e3",
    " 1",
    "true",
    "null",
    "0",
    "\U0001f600",
]
numbers = st.one_of(
    st.integers(-3, 12),
    st.sampled_from([0.1, 0.3, 1.5, -0.0, 1e-7, 1e21, 9007199254740991]),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, st.sampled_from(TEXTS))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["c", "0"]), inner, max_size=2)
    ),
    max_leaves=4,
)
attributes = st.dictionaries(st.sampled_from(["a", "b", "0"]), values, max_size=3)
paths = st.sampled_from(["a", "b", "a.c", "a.0", "b.0.c", "0", "a.-1"])

comparable = st.one_of(st.booleans(), numbers, st.sampled_from(TEXTS))
operators = st.one_of(
    st.tuples(st.sampled_from(["$eq", "$ne"]), values),
    st.tuples(st.just("$exists"), st.booleans()),
    st.tuples(st.sampled_from(["$in", "$nin"]), st.lists(values, max_size=4)),
    st.tuples(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), comparable),
).map(lambda pair: dict([pair]))
wanted = st.one_of(values, operators, operators.map(lambda inner: {"$not": inner}))
conditions = st.recursive(
    st.dictionaries(paths, wanted, max_size=2),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["$and", "$or", "$nor"]), st.lists(inner, max_size=3)).map(
            lambda pair: dict([pair])
        ),
        inner.map(lambda condition: {"$not": condition}),
    ),
    max_leaves=4,
)


def ask_postgresql(
    asked: Sequence[Condition], customers: Sequence[Attributes]
) -> list[tuple[bool, ...]]:
    """Evaluate every condition for every customer, all in one query: a row for each customer."""
    fragments = [to_sql(condition) for condition in asked]
    columns = ", ".join(f"({text})" for text, _ in fragments)
    params = [param for _, params in fragments for param in params]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {columns} FROM unnest(%s::jsonb[]) WITH ORDINALITY"
            " AS customer (attributes, number) ORDER BY number",
            [*params, [Jsonb(known) for known in customers]],
        )
        return list(cursor.fetchall())


# Each example compares 300 pairs.
@given(
    st.lists(conditions, min_size=15, max_size=15), st.lists(attributes, min_size=20, max_size=20)
)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_postgresql_and_the_evaluator_agree(
    asked: list[Condition], customers: list[Attributes]
) -> None:
    found = ask_postgresql(asked, customers)
    for known, answers in zip(customers, found, strict=True):
        for condition, answer in zip(asked, answers, strict=True):
            assert answer is matches(condition, known), (condition, known)


@pytest.mark.slow
@given(
    st.lists(conditions, min_size=15, max_size=15), st.lists(attributes, min_size=20, max_size=20)
)
@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
def test_postgresql_and_the_evaluator_agree_on_very_many(
    asked: list[Condition], customers: list[Attributes]
) -> None:
    found = ask_postgresql(asked, customers)
    expected = [tuple(matches(each, known) for each in asked) for known in customers]
    assert found == expected


ORDERED: list[Any] = [None, False, True, -1, 0, 0.1, 1, 2, 10, 1e21, *TEXTS, [], [1], {}, {"c": 1}]


@pytest.mark.parametrize("operator", ["$lt", "$lte", "$gt", "$gte", "$eq", "$ne"])
def test_every_kind_of_value_is_compared_with_every_other_alike(operator: str) -> None:
    operands = [o for o in ORDERED if isinstance(o, str | bool | int | float)]
    asked: list[Condition] = [{"a": {operator: operand}} for operand in operands]
    customers: list[Attributes] = [{"a": value} for value in ORDERED]
    expected = [tuple(matches(each, known) for each in asked) for known in customers]
    assert ask_postgresql(asked, customers) == expected


def test_who_has_no_value_is_found_by_what_is_not_so() -> None:
    make_customer(attributes={"country": "DE"})
    make_customers(2)
    assert count_customers({"country": {"$ne": "DE"}}) == 2
    assert count_customers({"country": {"$nin": ["DE", "FR"]}}) == 2
    assert count_customers({"$not": {"country": "DE"}}) == 2
    assert count_customers({"country": {"$exists": False}}) == 2


def test_customers_are_counted_once_for_all_their_names() -> None:
    visitor, customer = make_customers(2, attributes={"country": "DE"})
    assert count_customers({"country": "DE"}) == count_customers({}) == 2
    merge(visitor, into=customer)
    assert count_customers({"country": "DE"}) == count_customers({}) == 1


@pytest.mark.parametrize("text", ["'; DROP TABLE x; --", "%s", "100%", "\\", '"', "a'b", "{}"])
def test_no_value_and_no_name_is_taken_for_sql(text: str) -> None:
    make_customer(attributes={text: {text: [text]}})
    make_customer(attributes={"country": "DE"})
    if "." not in text:
        assert count_customers({f"{text}.{text}": {"$in": [text]}}) == 1
        assert count_customers({text: {"$exists": True}}) == 1
    assert count_customers({"country": {"$gt": text}}) == matches(
        {"country": {"$gt": text}}, {"country": "DE"}
    )


@pytest.mark.parametrize(
    ("operator", "operand"),
    [("$regex", "^a"), ("$size", 1), ("$elemMatch", {"$eq": 1}), ("$vgt", "1.0"), ("$ini", ["a"])],
)
def test_what_postgresql_cannot_evaluate_is_named(operator: str, operand: Any) -> None:
    with pytest.raises(NotInSql, match=rf"Customers cannot be searched by \{operator}\."):
        count_customers({"$or": [{"a": 1}, {"b": {"$not": {operator: operand}}}]})


def test_what_is_no_condition_never_reaches_postgresql() -> None:
    with pytest.raises(ValueError, match="unknown operator"):
        to_sql({"a": {"$near": 1}})
