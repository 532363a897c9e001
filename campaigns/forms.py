"""The form that asks a marketer for a new campaign."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectMultipleWidget,
    UnfoldAdminSelectWidget,
)

from audience.sampling import sample_attributes
from campaigns.drafting import CampaignPlan, Split, is_key_free, reward_of
from campaigns.models import Campaign
from experiments.models import Metric
from recommender.profiling import fit_features, name_attributes


class NewCampaignForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A new campaign, with what makes its experiment and its policy."""

    goal = forms.ModelChoiceField(
        Metric.objects.all(),
        widget=UnfoldAdminSelectWidget,
        help_text="What the offers are for; the verdict and the policy go by it.",
    )
    planned_customers = forms.IntegerField(
        min_value=100,
        initial=5000,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="How many are to take part; an early verdict needs overwhelming evidence.",
    )
    minimum_days = forms.IntegerField(
        min_value=0,
        max_value=365,
        initial=7,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Results stay hidden, and nothing wins, before so many days have passed.",
    )
    holdout_percent = forms.IntegerField(
        min_value=1,
        max_value=50,
        initial=10,
        widget=UnfoldAdminIntegerFieldWidget,
        label="Hold-out, %",
        help_text="See no offer, and so show what offers are worth.",
    )
    control_percent = forms.IntegerField(
        min_value=1,
        max_value=90,
        initial=20,
        widget=UnfoldAdminIntegerFieldWidget,
        label="Control, %",
        help_text="See offers by fixed shares, and so show what personalising is worth.",
    )
    # Not "attributes": an input of that name hides the form's own DOM property from the theme.
    learns_from = forms.MultipleChoiceField(
        required=False,
        widget=UnfoldAdminSelectMultipleWidget,
        help_text="What the policy looks at. None: it learns what is best for everybody.",
    )
    reward_window_hours = forms.IntegerField(
        min_value=1,
        max_value=24 * 90,
        initial=72,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="For how long after it was shown an offer is given credit for the goal.",
    )

    class Meta:
        model = Campaign
        fields = [
            "name",
            "key",
            "placement",
            "priority",
            "hold_minutes",
            "starts_at",
            "ends_at",
            "budget_cents",
            "fallback",
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sample = sample_attributes()
        learns_from = self.fields["learns_from"]
        assert isinstance(learns_from, forms.MultipleChoiceField)
        learns_from.choices = [(name, name) for name in name_attributes(self.sample)]

    def clean(self) -> dict[str, Any]:
        """Refuse a split or a goal that proves or teaches nothing."""
        cleaned = super().clean() or {}
        if {"holdout_percent", "control_percent"} <= cleaned.keys():
            try:
                self.split().to_arms()
            except ValidationError as error:
                self.add_error("control_percent", error)
        if cleaned.get("goal") is not None:
            try:
                reward_of(cleaned["goal"])
            except ValidationError as error:
                self.add_error("goal", error)
        if cleaned.get("key") and not is_key_free(cleaned["key"]):
            self.add_error("key", "An experiment or a policy already has this key.")
        if "learns_from" in cleaned:
            try:
                fit_features(self.sample, cleaned["learns_from"])
            except ValueError as error:
                self.add_error("learns_from", str(error))
        return cleaned

    def split(self) -> Split:
        """Return the division of customers that was asked for."""
        return Split(self.cleaned_data["holdout_percent"], self.cleaned_data["control_percent"])

    def to_plan(self) -> CampaignPlan:
        """Return the campaign that was asked for."""
        cleaned = self.cleaned_data
        return CampaignPlan(
            key=cleaned["key"],
            name=cleaned["name"],
            placement=cleaned["placement"],
            goal=cleaned["goal"],
            planned_customers=cleaned["planned_customers"],
            minimum_days=cleaned["minimum_days"],
            split=self.split(),
            features=fit_features(self.sample, cleaned["learns_from"]),
            reward_window_seconds=cleaned["reward_window_hours"] * 3600,
            priority=cleaned["priority"],
            hold_minutes=cleaned["hold_minutes"],
            starts_at=cleaned["starts_at"],
            ends_at=cleaned["ends_at"],
            budget_cents=cleaned["budget_cents"],
            fallback=cleaned["fallback"],
        )
