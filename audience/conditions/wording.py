"""Says conditions in plain English, for those who set them up and those who approve them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from audience.conditions.meaning import is_operator_object

Labels = Mapping[str, str]

EVERYBODY = "everybody"


@dataclass(frozen=True, slots=True)
class _Said:
    """Some words, and by which word they are joined if they are several statements."""

    text: str
    joined_by: str = ""


def describe(condition: Mapping[str, Any], labels: Labels = MappingProxyType({})) -> str:
    """Say whom a condition means, such as "country is DE or FR and orders is at least 3".

    Args:
        condition: One that `check` takes.
        labels: What to call attributes, by their path; others are called by it.
    """
    return _say(condition, labels).text


def _say(condition: Mapping[str, Any], labels: Labels) -> _Said:
    return _join("and", (_say_part(key, part, labels) for key, part in condition.items()))


def _say_part(key: str, part: Any, labels: Labels) -> _Said:
    if key == "$not":
        return _not(_say(part, labels))
    if key == "$and":
        return _join("and", (_say(each, labels) for each in part))
    if key in ("$or", "$nor"):
        either = _join("or", (_say(each, labels) for each in part))
        return either if key == "$or" else _not(either)
    return _say_wanted(labels.get(key, key), part)


def _join(word: str, said: Iterable[_Said]) -> _Said:
    """Join statements, with brackets around those that another word joins."""
    parts = list(said)
    if word == "and":
        parts = [part for part in parts if part.text != EVERYBODY]
    if len(parts) < 2:
        return parts[0] if parts else _Said(EVERYBODY)
    texts = [part.text if part.joined_by in ("", word) else f"({part.text})" for part in parts]
    return _Said(f" {word} ".join(texts), joined_by=word)


def _not(said: _Said) -> _Said:
    return _Said(f"not ({said.text})")


def _say_wanted(name: str, wanted: Any) -> _Said:
    if not is_operator_object(wanted):
        return _Said(f"{name} is {_say_value(wanted)}")
    return _join("and", (_say_operator(name, key, operand) for key, operand in wanted.items()))


def _say_operator(name: str, key: str, operand: Any) -> _Said:
    if key == "$not":
        return _not(_say_wanted(name, operand))
    if key == "$size":
        return _say_wanted(f"the number of {name}", operand)
    if key == "$elemMatch":
        each = _say_wanted("it", operand) if is_operator_object(operand) else _say(operand, {})
        return _Said(f"one of {name} is such that {each.text}")
    if key == "$exists":
        return _Said(f"{name} is known" if operand else f"{name} is not known")
    before, between = _WORDS[key]
    return _Said(f"{name} {before} {_say_values(operand, between)}")


def _say_values(operand: Any, between: str) -> str:
    """List values: "a, b or c"."""
    if not between:
        return _say_value(operand)
    if not operand:
        return "nothing"
    *first, last = map(_say_value, operand)
    return f"{', '.join(first)} {between} {last}" if first else last


def _say_value(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(_say_value, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_say_value(part)}' for key, part in value.items())}}}"
    # Quotation marks only where a text would not be seen.
    return str(value) or "\u201c\u201d"


# What is said before the value, and the word between several.
_WORDS: Mapping[str, tuple[str, str]] = {
    "$eq": ("is", ""),
    "$ne": ("is not", ""),
    "$lt": ("is less than", ""),
    "$lte": ("is at most", ""),
    "$gt": ("is more than", ""),
    "$gte": ("is at least", ""),
    "$veq": ("is version", ""),
    "$vne": ("is not version", ""),
    "$vlt": ("is a version before", ""),
    "$vlte": ("is at most version", ""),
    "$vgt": ("is a version after", ""),
    "$vgte": ("is at least version", ""),
    "$in": ("is", "or"),
    "$nin": ("is not", "or"),
    "$ini": ("is, in any case of letters,", "or"),
    "$nini": ("is not, in any case of letters,", "or"),
    "$all": ("has", "and"),
    "$alli": ("has, in any case of letters,", "and"),
    "$inGroup": ("is in the group", ""),
    "$notInGroup": ("is not in the group", ""),
    "$regex": ("contains the pattern", ""),
    "$regexi": ("contains, in any case of letters, the pattern", ""),
    "$type": ("is of the type", ""),
}
