"""Finds the customers who meet a condition, in PostgreSQL: the same ones as `matches` does.

Values come in as parameters only. Every fragment is true or false and never NULL, so that `NOT`
means what it says.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from psycopg.types.json import Jsonb

from audience.conditions import check
from audience.conditions.meaning import is_operator_object
from audience.conditions.values import NUMBER, to_number

ORDERS = {"$lt": "<", "$lte": "<=", "$gt": ">", "$gte": ">="}

COUNT = "SELECT count(*) FROM audience_customer AS customer WHERE merged_into_id IS NULL AND "

# Of anything but numbers, true, false, and texts that are numbers, there is none: NULL.
AS_NUMBER = f"""COALESCE(
    CASE jsonb_typeof({{v}})
        WHEN 'null' THEN 0
        WHEN 'number' THEN ({{v}})::numeric
        WHEN 'boolean' THEN ({{v}})::boolean::int
        WHEN 'string' THEN CASE WHEN {{v}} #>> '{{}}' ~ '^{NUMBER}$'
            THEN ({{v}} #>> '{{}}')::numeric END
    END %s %%s::numeric, FALSE)"""
AS_TEXT = """CASE WHEN jsonb_typeof({v}) = 'string'
    THEN ({v} #>> '{}') COLLATE "C" %s %%s::text"""


class NotInSql(ValueError):
    """A condition that only `matches` can evaluate, and which operator makes it so."""


@dataclass(frozen=True, slots=True)
class Sql:
    """A fragment with its parameters, in the order of their places."""

    text: str
    params: tuple[Any, ...] = ()


def count_customers(condition: Mapping[str, Any]) -> int:
    """Count the customers who meet a condition; who turned out to be another counts as that one.

    Raises:
        ValueError: It is no condition.
        NotInSql: PostgreSQL cannot evaluate it.
    """
    text, params = to_sql(condition)
    with connection.cursor() as cursor:
        cursor.execute(COUNT + text, params)
        row = cursor.fetchone()
    assert row is not None, "a count returns its row"
    return int(row[0])


def to_sql(condition: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Write a condition as SQL over `customer.attributes`, with the parameters of its places.

    Raises:
        ValueError: It is no condition.
        NotInSql: PostgreSQL cannot evaluate it.
    """
    check(condition)
    sql = _meets(condition)
    return sql.text, list(sql.params)


def _meets(condition: Mapping[str, Any]) -> Sql:
    return _join("AND", [_holds(key, part) for key, part in condition.items()])


def _holds(key: str, part: Any) -> Sql:
    if key == "$not":
        return _not(_meets(part))
    if key == "$and":
        return _join("AND", [_meets(each) for each in part])
    if key in ("$or", "$nor"):
        # Of nothing, everything is accepted, as by `matches`.
        either = _join("OR", [_meets(each) for each in part])
        return either if key == "$or" else _not(either)
    return _accepts(_find(key), part)


def _find(path: str) -> Sql:
    """Write where a value is: JSON's null where there is none."""
    names = path.split(".")
    # By a name, `->` leads through objects only; `#>` would take "0" for a place in a list.
    steps = " -> ".join(["customer.attributes", *["%s::text"] * len(names)])
    return Sql(f"COALESCE({steps}, 'null'::jsonb)", tuple(names))


def _accepts(value: Sql, wanted: Any) -> Sql:
    if not is_operator_object(wanted):
        return _equals(value, wanted)
    return _join("AND", [_compares(value, name, operand) for name, operand in wanted.items()])


def _compares(value: Sql, name: str, operand: Any) -> Sql:
    if name in ORDERS:
        return _in_order(value, ORDERS[name], operand)
    if name not in _OPERATORS:
        raise NotInSql(f"Customers cannot be searched by {name}.")
    return _OPERATORS[name](value, operand)


def _equals(value: Sql, wanted: Any) -> Sql:
    return _put(value, "{v} = %s::jsonb", Jsonb(wanted))


def _is_in(value: Sql, wanted: Sequence[Any]) -> Sql:
    listed = [Jsonb(each) for each in wanted]
    elements = _put(value, "SELECT FROM jsonb_array_elements({v}) AS element (value)")
    is_list = _put(value, "jsonb_typeof({v}) = 'array'")
    itself = _put(value, "{v} = ANY(%s::jsonb[])", listed)
    return Sql(
        f"CASE WHEN {is_list.text}"
        f" THEN EXISTS ({elements.text} WHERE element.value = ANY(%s::jsonb[]))"
        f" ELSE {itself.text} END",
        (*is_list.params, *elements.params, listed, *itself.params),
    )


def _in_order(value: Sql, order: str, operand: Any) -> Sql:
    """Compare two texts by code points, and everything else as numbers."""
    number = to_number(operand)
    as_number = Sql("FALSE") if number is None else _put(value, AS_NUMBER % order, number)
    if not isinstance(operand, str):
        return as_number
    as_text = _put(value, AS_TEXT % order, operand)
    return Sql(f"{as_text.text} ELSE {as_number.text} END", as_text.params + as_number.params)


def _put(value: Sql, template: str, *params: Any) -> Sql:
    """Put a value into the places of a template, all of which come before its parameters."""
    places = template.count("{v}")
    return Sql(template.replace("{v}", value.text), value.params * places + params)


def _exists(value: Sql, operand: bool) -> Sql:  # noqa: FBT001 - it is what the operator is given
    known = _not(_equals(value, None))
    return known if operand else _not(known)


def _join(word: str, parts: Sequence[Sql]) -> Sql:
    if not parts:
        return Sql("TRUE")
    text = f" {word} ".join(f"({part.text})" for part in parts)
    return Sql(text, tuple(param for part in parts for param in part.params))


def _not(part: Sql) -> Sql:
    return Sql(f"NOT ({part.text})", part.params)


_OPERATORS: Mapping[str, Callable[[Sql, Any], Sql]] = {
    "$eq": _equals,
    "$ne": lambda value, operand: _not(_equals(value, operand)),
    "$in": _is_in,
    "$nin": lambda value, operand: _not(_is_in(value, operand)),
    "$exists": _exists,
    "$not": lambda value, operand: _not(_accepts(value, operand)),
}
