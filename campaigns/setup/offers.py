"""The third step: what customers are offered; a new offer is written right there."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from audience.naming import free_key, has_letters, to_stem
from campaigns.lifecycle.drafting import find_nothing
from campaigns.lifecycle.redrafting import change_offers, change_slate
from campaigns.models import Campaign, Offer
from campaigns.offers.forms import FactsField
from campaigns.setup.base import Step
from recommender.models import Ranking

NEW = ("new_name", "new_headline", "new_text", "new_link", "new_cost", "new_facts")

SLATE = ("ranking", "places", "temperature")


class OffersStep(Step):
    """The offers to choose from for each customer, one of them perhaps new."""

    title = "Offers"
    explanation = (
        "For each customer one of these is chosen. Two or more let the policy learn what works "
        "for whom. Or each customer is shown their own products."
    )
    template = "campaigns/setup/offers.html"

    offers = forms.ModelMultipleChoiceField(
        Offer.objects.filter(is_active=True, is_nothing=False).order_by("name"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    may_be_nothing = forms.BooleanField(
        required=False,
        label="Or nothing at all",
        help_text="The policy may show nothing too, and learns for whom that earns more. The "
        "control, which goes by fixed shares, always shows an offer.",
    )
    new_name = forms.CharField(max_length=100, required=False, label="Name of a new offer")
    new_headline = forms.CharField(max_length=200, required=False, label="Its headline")
    new_text = forms.CharField(
        required=False, label="Its text", widget=forms.Textarea(attrs={"rows": 2})
    )
    new_link = forms.URLField(required=False, label="Where it leads", assume_scheme="https")
    new_cost = forms.DecimalField(
        required=False,
        min_value=0,
        max_value=1_000_000,
        decimal_places=2,
        label="What it costs you each time",
        help_text="Counts against the campaign's budget.",
    )
    new_facts = FactsField(widget=forms.Textarea(attrs={"rows": 2}))
    ranking = forms.ModelChoiceField(
        Ranking.objects.order_by("name"),
        required=False,
        empty_label="No products: the offers above",
        label="Products of",
        help_text="The personalised arm shows each customer's own, the control what the ranking "
        "lists for everybody.",
    )
    places = forms.IntegerField(
        min_value=1,
        max_value=20,
        required=False,
        help_text="How many a message shows, and a page at most.",
    )
    temperature = forms.FloatField(
        min_value=0.01,
        max_value=10,
        required=False,
        label="Chance in the order",
        help_text="A product as much better as the best is than the last of a list comes first "
        "e^(1/chance) times as often: at 0.1 nearly always, at 1 nearly three times. With more of "
        "it other orders can be judged afterwards.",
    )
    fallback = forms.ModelChoiceField(
        Offer.objects.filter(is_active=True, is_nothing=False).order_by("name"),
        required=False,
        empty_label="Nothing",
        help_text="What is shown where none of the offers may be; its own limits do not count.",
    )

    def __init__(self, campaign: Campaign, data: Mapping[str, Any] | None = None) -> None:
        """Offer what the draft has, even if it was switched off since."""
        super().__init__(campaign, data)
        own = Offer.objects.filter(campaigns=campaign) | Offer.objects.filter(is_active=True)
        field = self.fields["offers"]
        assert isinstance(field, forms.ModelMultipleChoiceField)
        field.queryset = own.filter(is_nothing=False).distinct().order_by("name")

    @property
    def new(self) -> list[forms.BoundField]:
        """The fields of a new offer."""
        return [self[name] for name in NEW]

    @property
    def slate(self) -> list[forms.BoundField]:
        """The fields of products instead of offers."""
        return [self[name] for name in SLATE]

    @classmethod
    def read(cls, campaign: Campaign) -> dict[str, Any]:
        """Return what the draft says."""
        chosen = dict(campaign.choices.values_list("offer_id", "offer__is_nothing"))
        policy = campaign.policy
        return {
            "offers": [offer for offer, is_nothing in chosen.items() if not is_nothing],
            "may_be_nothing": any(chosen.values()),
            "fallback": campaign.fallback_id,
            "ranking": policy.ranking_id,
            "places": policy.places,
            "temperature": policy.temperature,
        }

    def clean(self) -> dict[str, Any]:
        """Refuse a new offer without a name, and a campaign without offers."""
        cleaned = super().clean() or {}
        name = cleaned.get("new_name")
        if not name and any(cleaned.get(field) for field in NEW[1:]):
            self.add_error("new_name", "Name the new offer.")
        if name and not has_letters(name):
            self.add_error("new_name", "Use at least one letter or digit.")
        if name and not cleaned.get("new_headline"):
            self.add_error("new_headline", "Say what customers read.")
        is_offered = bool(cleaned.get("offers") or name)
        if not self.errors and is_offered and cleaned.get("ranking"):
            raise ValidationError("Choose offers or products, not both.")
        if not self.errors and not is_offered and not cleaned.get("ranking"):
            raise ValidationError("Choose an offer, write a new one, or choose products.")
        return cleaned

    def write(self) -> None:
        """Save them, a new one last."""
        cleaned = self.cleaned_data
        offers = list(cleaned["offers"])
        if cleaned["new_name"]:
            offers.append(self._make_offer())
        if cleaned["may_be_nothing"]:
            offers.append(find_nothing())
        change_offers(self.campaign, offers)
        policy = self.campaign.policy
        change_slate(
            self.campaign,
            cleaned["ranking"],
            places=cleaned["places"] or policy.places,
            temperature=cleaned["temperature"] or policy.temperature,
        )
        self.campaign.fallback = cleaned["fallback"]
        self.campaign.save(update_fields=["fallback"])

    def _make_offer(self) -> Offer:
        cleaned = self.cleaned_data
        return Offer.objects.create(
            key=free_key(to_stem(cleaned["new_name"], otherwise="offer"), Offer),
            name=cleaned["new_name"],
            headline=cleaned["new_headline"],
            text=cleaned["new_text"],
            link=cleaned["new_link"],
            cost_cents=round((cleaned["new_cost"] or 0) * 100),
            facts=cleaned["new_facts"],
        )
