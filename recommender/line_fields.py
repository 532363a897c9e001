"""Lets people write a list of things as lines of plain words and numbers instead of JSON."""

import math
from collections.abc import Iterable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextareaWidget


class LinesField(forms.Field):
    """A list of things, each on a line as `words: number`; empty lines are left out.

    Whoever reads something else than a number after the words says so in `read`.
    """

    example = ""

    def __init__(self, **options: Any) -> None:
        """Show a text area."""
        options.setdefault("widget", UnfoldAdminTextareaWidget(attrs={"rows": 4}))
        super().__init__(**options)

    def prepare_value(self, value: Any) -> Any:
        """Write a value as lines; what was not understood stays as it was written."""
        if isinstance(value, str) or value is None:
            return value
        return "\n".join(f"{words}: {_say(said)}" for words, said in self.split(value))

    def to_python(self, value: Any) -> Any:
        """Read the lines.

        Raises:
            ValidationError: One is not understood; the message names it.
        """
        lines = (line.strip() for line in (value or "").splitlines())
        return self.join([self._read(line) for line in lines if line])

    def split(self, value: Any) -> Iterable[tuple[str, Any]]:
        """Return the words and the number of each line."""
        raise NotImplementedError

    def join(self, lines: list[tuple[str, Any]]) -> Any:
        """Make a value of words and numbers.

        Raises:
            ValidationError: Some of the words mean nothing.
        """
        raise NotImplementedError

    def read(self, line: str) -> tuple[str, Any] | None:
        """Return the words and the number of a line; None if it is not understood."""
        words, _, number = line.rpartition(":")
        try:
            if words.strip() and math.isfinite(float(number)):
                return words.strip(), float(number)
        except ValueError:
            pass
        return None

    def _read(self, line: str) -> tuple[str, Any]:
        read = self.read(line)
        if read is None:
            raise ValidationError(f"“{line}” is not understood. Write it as in “{self.example}”.")
        return read


def _say(said: float | str) -> str:
    return said if isinstance(said, str) else f"{said:.12g}"
