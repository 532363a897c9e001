"""Reads what somebody typed as a value of JSON."""

from typing import Any


def to_scalar(text: str) -> Any:
    """Read a number or a truth value; everything else is text."""
    if text in ("true", "false"):
        return text == "true"
    number = to_number(text)
    return text if number is None else number


def to_number(text: str) -> int | float | None:
    """Read a number; None if it is none that JSON has."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None
