"""Says whether attributes meet a condition.

The meaning is GrowthBook's, with two freedoms that its SDKs take as well: values are equal only if
their types are, and a path with dots leads through objects, not through lists. An unknown attribute
is null. Numbers mean the same everywhere up to 2^53.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from audience.conditions.patterns import is_found
from audience.conditions.values import ORDERS, are_equal, is_number, is_ordered
from audience.conditions.versions import sort_key

Groups = Mapping[str, Collection[Any]]

VERSION_ORDERS: dict[str, Callable[[str, str], bool]] = {
    "$veq": eq,
    "$vne": ne,
    "$vlt": lt,
    "$vlte": le,
    "$vgt": gt,
    "$vgte": ge,
}


def matches(
    condition: Mapping[str, Any],
    attributes: Mapping[str, Any],
    *,
    saved_groups: Groups | None = None,
) -> bool:
    """Say whether attributes meet a condition.

    Args:
        condition: One that `check` takes; an empty one is always met. Of others, unknown operators
            and patterns that are refused are never met.
        attributes: What is known, as JSON values; nested ones are named with dots.
        saved_groups: Lists of values by name, for `$inGroup` and `$notInGroup`.
    """
    return _Reader(saved_groups or {}).meets(attributes, condition)


def is_operator_object(condition: Any) -> bool:
    """Tell `{"$gt": 1}`, which compares, from `{"a": 1}`, which is a value."""
    return isinstance(condition, dict) and bool(condition) and all(k[:1] == "$" for k in condition)


def find(attributes: Any, path: str) -> Any:
    """Find the value at a path such as `address.city`; None if there is none."""
    for name in path.split("."):
        if not isinstance(attributes, Mapping):
            return None
        attributes = attributes.get(name)
    return attributes


def type_name(value: Any) -> str:
    """Name the JSON type of a value as `$type` does."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, list):
        return "array"
    return "number" if is_number(value) else "object"


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads conditions with the groups at hand."""

    groups: Groups = field(default_factory=dict)

    def meets(self, attributes: Any, condition: Mapping[str, Any]) -> bool:
        return all(self._holds(attributes, key, part) for key, part in condition.items())

    def _holds(self, attributes: Any, key: str, part: Any) -> bool:
        if key == "$not":
            return not self.meets(attributes, part)
        if key == "$and":
            return all(self.meets(attributes, each) for each in part)
        if key == "$or":
            return self._any(attributes, part)
        if key == "$nor":
            return not self._any(attributes, part)
        return self._accepts(part, find(attributes, key))

    def _any(self, attributes: Any, parts: Sequence[Mapping[str, Any]]) -> bool:
        # Of nothing, everything is accepted; so GrowthBook has it.
        return not parts or any(self.meets(attributes, each) for each in parts)

    def _accepts(self, wanted: Any, value: Any) -> bool:
        """Say whether a value is the one wanted, or does as the operators want."""
        if not is_operator_object(wanted):
            return are_equal(value, wanted)
        return all(self._compares(name, value, operand) for name, operand in wanted.items())

    def _compares(self, name: str, value: Any, operand: Any) -> bool:
        if name in ORDERS:
            return is_ordered(value, ORDERS[name], operand)
        if name in VERSION_ORDERS:
            return VERSION_ORDERS[name](sort_key(value), sort_key(operand))
        operator = _OPERATORS.get(name)
        return operator is not None and operator(self, value, operand)

    def not_(self, value: Any, operand: Any) -> bool:
        return not self._accepts(operand, value)

    def size(self, value: Any, operand: Any) -> bool:
        return isinstance(value, list) and self._accepts(operand, len(value))

    def element(self, value: Any, operand: Any) -> bool:
        if not isinstance(value, list):
            return False
        if is_operator_object(operand):
            return any(self._accepts(operand, each) for each in value)
        return any(isinstance(each, dict) and self.meets(each, operand) for each in value)

    def in_group(self, value: Any, operand: Any) -> bool:
        return _is_in(value, list(self.groups.get(operand, ())))

    def has_all(self, value: Any, operand: Any, *, ignore_case: bool = False) -> bool:
        if not isinstance(value, list) or not isinstance(operand, list):
            return False
        if ignore_case:
            value, operand = _lower(value), _lower(operand)
        return all(any(self._accepts(part, each) for each in value) for part in operand)


def _is_in(value: Any, wanted: Any) -> bool:
    """Say whether a value, or one of a list's, is among those wanted."""
    values = value if isinstance(value, list) else [value]
    return any(are_equal(each, one) for each in values for one in wanted)


def _lower(value: Any) -> Any:
    if isinstance(value, list):
        return [_lower(each) for each in value]
    return value.lower() if isinstance(value, str) else value


Operator = Callable[[_Reader, Any, Any], bool]

_OPERATORS: dict[str, Operator] = {
    "$eq": lambda _, value, operand: are_equal(value, operand),
    "$ne": lambda _, value, operand: not are_equal(value, operand),
    "$exists": lambda _, value, operand: (value is not None) == bool(operand),
    "$in": lambda _, value, operand: isinstance(operand, list) and _is_in(value, operand),
    "$nin": lambda _, value, operand: isinstance(operand, list) and not _is_in(value, operand),
    "$ini": lambda _, value, operand: (
        isinstance(operand, list) and _is_in(_lower(value), _lower(operand))
    ),
    "$nini": lambda _, value, operand: (
        isinstance(operand, list) and not _is_in(_lower(value), _lower(operand))
    ),
    "$inGroup": _Reader.in_group,
    "$notInGroup": lambda reader, value, operand: not reader.in_group(value, operand),
    "$not": _Reader.not_,
    "$size": _Reader.size,
    "$elemMatch": _Reader.element,
    "$all": _Reader.has_all,
    "$alli": partial(_Reader.has_all, ignore_case=True),
    "$regex": lambda _, value, operand: is_found(operand, value),
    "$regexi": lambda _, value, operand: is_found(operand, value, ignore_case=True),
    "$type": lambda _, value, operand: type_name(value) == operand,
}
