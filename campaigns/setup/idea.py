"""The first step: what the campaign is called, where it appears and what it is for."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from audience.naming import has_letters
from campaigns.lifecycle.drafting import reward_of
from campaigns.lifecycle.redrafting import change_goal
from campaigns.models import Campaign, Placement
from campaigns.setup.base import Step
from experiments.models import Metric, Role


class IdeaStep(Step):
    """Name, placement and goal; the key follows from the name and stays."""

    title = "Idea"
    explanation = "What it is called, where customers meet it, and what it is for."
    template = "campaigns/setup/idea.html"

    name = forms.CharField(max_length=100, help_text="What colleagues will call it: Winter sale.")
    placement = forms.ModelChoiceField(
        Placement.objects.order_by("name"),
        empty_label="Choose …",
        help_text="A place on the site, or a channel by which it is sent.",
    )
    goal = forms.ModelChoiceField(
        Metric.objects.order_by("name"),
        empty_label="Choose …",
        help_text="The verdict and the policy go by it.",
    )

    def __init__(self, campaign: Campaign, data: Mapping[str, Any] | None = None) -> None:
        """Keep the placement of a campaign that has messages for it."""
        super().__init__(campaign, data)
        if campaign.pk and campaign.steps.exists():
            self.fields["placement"].disabled = True

    @classmethod
    def read(cls, campaign: Campaign) -> dict[str, Any]:
        """Return what the draft says."""
        if campaign.pk is None:
            return {}
        goal = campaign.experiment.measured.filter(role=Role.GOAL).first()
        return {
            "name": campaign.name,
            "placement": campaign.placement_id,
            "goal": goal and goal.metric_id,
        }

    def clean_name(self) -> str:
        """Refuse a name that says nothing."""
        name: str = self.cleaned_data["name"]
        if not has_letters(name):
            raise ValidationError("Use at least one letter or digit.")
        return name

    def clean_goal(self) -> Metric:
        """Refuse a goal that teaches nothing."""
        goal: Metric = self.cleaned_data["goal"]
        reward_of(goal)
        return goal

    def write(self) -> None:
        """Save it."""
        campaign = self.campaign
        campaign.name = campaign.experiment.name = self.cleaned_data["name"]
        campaign.placement = self.cleaned_data["placement"]
        change_goal(campaign, self.cleaned_data["goal"])
        campaign.experiment.save(update_fields=["name"])
        campaign.save(update_fields=["name", "placement"])
