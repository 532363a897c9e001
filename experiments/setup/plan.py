"""The fifth step: how many customers, how long, and how results are judged."""

from collections.abc import Mapping
from typing import Any

from django import forms

from audience.customers.sampling import sample_attributes
from experiments.models import Experiment, MonitoringRule
from experiments.setup.base import Step

FIELDS = (
    "planned_customers",
    "minimum_days",
    "planned_end",
    "monitoring",
    "history_days",
    "strata",
    "segments",
)


class PlanStep(Step):
    """What is promised before any result is seen; the planner beside it says what it takes."""

    title = "Plan"
    explanation = "How many customers it takes, and how the results become a verdict."
    template = "experiments/setup/plan.html"

    planned_customers = forms.IntegerField(
        min_value=100,
        max_value=2_000_000_000,
        help_text="In all arms together. The planner below says how many it takes.",
    )
    minimum_days = forms.IntegerField(
        min_value=1,
        max_value=365,
        initial=14,
        help_text="Results stay hidden, and nothing wins, before so many days. Whole weeks are "
        "best, because people act differently on other weekdays.",
    )
    planned_end = forms.DateField(
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="For the calendar; results are judged by customers, not by dates.",
    )
    monitoring = forms.ChoiceField(
        choices=MonitoringRule.choices,
        label="Looks at the results",
        help_text="The first finds most; the second is for experiments without an end.",
    )
    history_days = forms.IntegerField(
        min_value=0,
        max_value=730,
        label="Days of behaviour before exposure that take noise out",
        help_text="0 is none.",
    )
    strata = forms.ChoiceField(
        required=False,
        label="Compare within groups of the same",
        help_text="An attribute that tells much about the goal and no arm can change.",
    )
    segments = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Also show results by",
    )

    def __init__(self, experiment: Experiment, data: Mapping[str, Any] | None = None) -> None:
        """Offer the attributes that customers have."""
        super().__init__(experiment, data)
        found = {name for row in sample_attributes() for name in row}
        names = sorted(found | {*experiment.segments, experiment.strata} - {""})
        choices = [(name, name) for name in names]
        self._field("strata").choices = [("", "nothing in particular"), *choices]
        self._field("segments").choices = choices

    def _field(self, name: str) -> Any:
        return self.fields[name]

    @classmethod
    def read(cls, experiment: Experiment) -> dict[str, Any]:
        """Return what the draft says."""
        return {name: getattr(experiment, name) for name in FIELDS}

    def write(self) -> None:
        """Save it."""
        for name in FIELDS:
            setattr(self.experiment, name, self.cleaned_data[name])
        self.experiment.save(update_fields=FIELDS)
