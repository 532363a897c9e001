"""The first step: what is to be found out, and why it may be so."""

from typing import Any

from django import forms

from audience.naming import has_letters
from experiments.models import Experiment
from experiments.setup.base import Step


class IdeaStep(Step):
    """Name and hypothesis; the key follows from the name and stays."""

    title = "Idea"
    explanation = "Say what you want to find out, before you see any result."

    name = forms.CharField(
        max_length=100, help_text="What the report will be called: Free shipping banner."
    )
    hypothesis = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="We believe that … for … will …, because …",
    )

    @classmethod
    def read(cls, experiment: Experiment) -> dict[str, Any]:
        """Return what the draft says."""
        return {"name": experiment.name, "hypothesis": experiment.hypothesis}

    def clean_name(self) -> str:
        """Refuse a name that says nothing."""
        name: str = self.cleaned_data["name"]
        if not has_letters(name):
            raise forms.ValidationError("Use at least one letter or digit.")
        return name

    def write(self) -> None:
        """Save it; a new experiment gets its key."""
        experiment = self.experiment
        experiment.name = self.cleaned_data["name"]
        experiment.hypothesis = self.cleaned_data["hypothesis"]
        experiment.save(update_fields=["name", "hypothesis"])
