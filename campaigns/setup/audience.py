"""The second step: whom the campaign is for."""

from typing import Any

from django import forms

from audience.models import Audience
from campaigns.models import Campaign
from campaigns.setup.base import Step


class AudienceStep(Step):
    """One of the audiences, or everybody."""

    title = "Audience"
    explanation = "Whom it is for. Customers who are not in the audience are not asked about."
    template = "campaigns/setup/audience.html"

    audience = forms.ModelChoiceField(
        Audience.objects.order_by("name"), required=False, empty_label="Everybody"
    )

    @classmethod
    def read(cls, campaign: Campaign) -> dict[str, Any]:
        """Return what the draft says."""
        return {"audience": campaign.audience_id}

    def write(self) -> None:
        """Save it."""
        self.campaign.audience = self.cleaned_data["audience"]
        self.campaign.save(update_fields=["audience"])
