"""What every step of setting a campaign up promises: a form that reads a draft and writes it."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms

from audience.overwriting import CarefulForm
from campaigns.models import Campaign


class Step(CarefulForm, forms.Form):
    """A form over one part of a draft."""

    title: ClassVar[str]
    explanation: ClassVar[str]
    template: ClassVar[str] = "campaigns/setup/fields.html"

    def __init__(self, campaign: Campaign, data: Mapping[str, Any] | None = None) -> None:
        """Show a draft, or read what was sent."""
        super().__init__(data, initial=self.read(campaign))
        self.campaign = campaign

    @classmethod
    def read(cls, campaign: Campaign) -> dict[str, Any]:
        """Return what the draft says, by field."""
        raise NotImplementedError

    def write(self) -> None:
        """Save the valid form to the draft."""
        raise NotImplementedError

    @property
    def shown(self) -> list[forms.BoundField]:
        """The fields that a row of their own is not drawn for."""
        return list(self)
