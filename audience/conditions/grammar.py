"""Refuses what is no condition of the language, in words that say where and why."""

import re
from collections.abc import Callable
from typing import Any

from audience.conditions.meaning import VERSION_ORDERS, is_operator_object
from audience.conditions.patterns import why_refused
from audience.conditions.values import ORDERS, is_number

DEEPEST = 20
LARGEST = 2_000
LONGEST_TEXT = 1_000

WHOLE = "The condition"
TYPES = ("string", "number", "boolean", "array", "object", "null")

# PostgreSQL stores neither NUL nor half of a surrogate pair.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def check(condition: Any) -> None:
    """Refuse what is no condition, is too large, or could take too long to evaluate.

    Args:
        condition: Whatever was read from JSON.

    Raises:
        ValueError: In a sentence that names the path of what is wrong.
    """
    _check_size(condition)
    _check_condition(condition, WHOLE)


def _check_size(condition: Any) -> None:
    """Walk level by level, so that depth is known before anything else recurses."""
    level, count = [condition], 0
    for _ in range(DEEPEST + 1):
        count += len(level)
        if count > LARGEST:
            raise ValueError(f"The condition has more than {LARGEST} parts.")
        for value in level:
            _check_value(value)
        level = [
            part
            for value in level
            if isinstance(value, dict | list)
            for part in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return
    raise ValueError(f"The condition is nested more than {DEEPEST} levels deep.")


def _check_value(value: Any) -> None:
    if is_number(value) and not abs(value) < float("inf"):
        raise ValueError(f"The condition holds {value}, which is no JSON value.")
    for text in value if isinstance(value, dict) else [value] if isinstance(value, str) else []:
        if len(text) > LONGEST_TEXT:
            raise ValueError(f"A text of the condition is longer than {LONGEST_TEXT} characters.")
        if _UNSTORABLE.search(text):
            raise ValueError("A text of the condition holds a character that cannot be stored.")


def _check_condition(condition: Any, path: str) -> None:
    if not isinstance(condition, dict):
        raise ValueError(f"{path} should be an object of attributes and conditions.")
    for key, part in condition.items():
        inner = key if path == WHOLE else f"{path}.{key}"
        if key == "$not":
            _check_condition(part, inner)
        elif key in ("$and", "$or", "$nor"):
            _require(isinstance(part, list), inner, "a list of conditions")
            for index, each in enumerate(part):
                _check_condition(each, f"{inner}[{index}]")
        elif key in _OPERANDS:
            raise ValueError(f"{inner} compares, but stands where an attribute should.")
        elif not key:
            raise ValueError(f"{path} has an attribute without a name.")
        else:
            _check_wanted(part, inner)


def _check_wanted(wanted: Any, path: str) -> None:
    """Check what an attribute is compared with: a value, or operators."""
    if is_operator_object(wanted):
        for name, operand in wanted.items():
            if name not in _OPERANDS:
                raise ValueError(f"{path} has the unknown operator {name}.")
            _OPERANDS[name](operand, f"{path}.{name}")
    elif isinstance(wanted, dict) and any(key[:1] == "$" for key in wanted):
        raise ValueError(f"{path} mixes operators with the parts of a value.")


def _check_elements(operand: Any, path: str) -> None:
    if is_operator_object(operand):
        _check_wanted(operand, path)
    else:
        _check_condition(operand, path)


def _check_pattern(operand: Any, path: str) -> None:
    _require(isinstance(operand, str), path, "a regular expression")
    why = why_refused(operand)
    if why is not None:
        raise ValueError(f"{path} cannot be used. {why}")


def _check_type(operand: Any, path: str) -> None:
    _require(operand in TYPES, path, f"one of {', '.join(TYPES)}")


def _check_size_operand(operand: Any, path: str) -> None:
    _require(is_number(operand) or is_operator_object(operand), path, "a number or operators")
    _check_wanted(operand, path)


def _is(kind: type | Callable[[Any], bool], what: str) -> Callable[[Any, str], None]:
    """Make a check for one kind of operand."""

    def check_operand(operand: Any, path: str) -> None:
        fits = isinstance(operand, kind) if isinstance(kind, type) else kind(operand)
        _require(fits, path, what)

    return check_operand


def _require(fits: bool, path: str, what: str) -> None:  # noqa: FBT001 - it reads as the fact
    if not fits:
        raise ValueError(f"{path} should be {what}.")


def _is_comparable(operand: Any) -> bool:
    return isinstance(operand, str | bool | int | float)


def _is_any(_: Any) -> bool:
    return True


_OPERANDS: dict[str, Callable[[Any, str], None]] = {
    "$eq": _is(_is_any, "a value"),
    "$ne": _is(_is_any, "a value"),
    **{name: _is(_is_comparable, "a number or a text") for name in ORDERS},
    **{name: _is(str, "a version such as 1.2.3") for name in VERSION_ORDERS},
    **{
        name: _is(list, "a list of values")
        for name in ("$in", "$nin", "$ini", "$nini", "$all", "$alli")
    },
    "$inGroup": _is(str, "the name of a group"),
    "$notInGroup": _is(str, "the name of a group"),
    "$exists": _is(bool, "true or false"),
    "$not": _check_wanted,
    "$size": _check_size_operand,
    "$elemMatch": _check_elements,
    "$regex": _check_pattern,
    "$regexi": _check_pattern,
    "$type": _check_type,
}
