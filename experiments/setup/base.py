"""What every step of setting up promises: a form that reads a draft and writes to it."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms

from audience.overwriting import CarefulForm
from experiments.models import Experiment


class Step(CarefulForm, forms.Form):
    """A form over one part of a draft.

    Rows of a kind that there can be any number of are counted by a hidden field, so that a button
    adds one without a script.
    """

    title: ClassVar[str]
    explanation: ClassVar[str]
    template: ClassVar[str] = "experiments/setup/fields.html"

    def __init__(self, experiment: Experiment, data: Mapping[str, Any] | None = None) -> None:
        """Show a draft, or read what was sent."""
        super().__init__(data, initial=self.read(experiment))
        self.experiment = experiment

    @classmethod
    def read(cls, experiment: Experiment) -> dict[str, Any]:
        """Return what the draft says, by field."""
        raise NotImplementedError

    def write(self) -> None:
        """Save the valid form to the draft."""
        raise NotImplementedError

    def count_of(self, name: str, *, at_least: int, at_most: int) -> int:
        """Say how many rows of a kind there are: as many as are shown, or one more if asked."""
        raw = self.data.get(f"{name}_count") if self.is_bound else self.initial.get(f"{name}_count")
        try:
            count = int(raw or 0)
        except ValueError:
            count = 0
        count += self.is_bound and self.data.get("add") == name
        return max(at_least, min(count, at_most))
