"""Campaigns, offers and placements in the admin."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.html import format_html
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectMultipleWidget,
    UnfoldAdminSelectWidget,
)

from audience.sampling import sample_attributes
from campaigns.drafting import CampaignPlan, Split, draft_campaign, reward_of
from campaigns.lifecycle import tell_policy_its_offers
from campaigns.models import Campaign, CampaignOffer, Offer, Placement, Status
from experiments.models import Metric
from recommender.notices import announce_change
from recommender.profiling import fit_features, name_attributes


@admin.register(Placement)
class PlacementAdmin(ModelAdmin):
    """Placements."""

    list_display = ["name", "key"]
    search_fields = ["name", "key"]
    prepopulated_fields = {"key": ["name"]}

    def save_model(self, request: HttpRequest, obj: Placement, form: Any, change: bool) -> None:
        """Save, and let the deciding know."""
        super().save_model(request, obj, form, change)
        announce_change()


@admin.register(Offer)
class OfferAdmin(ModelAdmin):
    """Offers."""

    list_display = ["name", "key", "headline", "worth", "is_active"]
    list_filter = ["is_active"]
    search_fields = ["name", "key", "headline"]
    prepopulated_fields = {"key": ["name"]}
    fieldsets = [
        (None, {"fields": ["name", "key", "headline", "text", "link"]}),
        ("Worth", {"fields": ["value_cents", "cost_cents", "currency"]}),
        ("When", {"fields": ["is_active", "starts_at", "ends_at"]}),
    ]

    @admin.display(description="Value less cost")
    def worth(self, offer: Offer) -> str:
        """Say what taking the offer leaves."""
        return f"{(offer.value_cents - offer.cost_cents) / 100:,.2f} {offer.currency}"

    def get_readonly_fields(self, request: HttpRequest, obj: Offer | None = None) -> list[str]:
        """Keep the key of an offer: logged decisions name it."""
        return [] if obj is None else ["key"]

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Propose a key for a new offer."""
        return {"key": ["name"]} if obj is None else {}

    def save_model(self, request: HttpRequest, obj: Offer, form: Any, change: bool) -> None:
        """Save, and let the deciding know."""
        super().save_model(request, obj, form, change)
        announce_change()


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
        help_text="The verdict is given when this many took part, not before.",
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
    attributes = forms.MultipleChoiceField(
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
        fields = ["name", "key", "placement", "priority", "hold_minutes", "starts_at", "ends_at"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sample = sample_attributes()
        attributes = self.fields["attributes"]
        assert isinstance(attributes, forms.MultipleChoiceField)
        attributes.choices = [(name, name) for name in name_attributes(self.sample)]

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
            split=self.split(),
            features=fit_features(self.sample, cleaned["attributes"]),
            reward_window_seconds=cleaned["reward_window_hours"] * 3600,
            priority=cleaned["priority"],
            hold_minutes=cleaned["hold_minutes"],
            starts_at=cleaned["starts_at"],
            ends_at=cleaned["ends_at"],
        )


class CampaignOfferInline(TabularInline):
    """The offers of a campaign."""

    model = CampaignOffer
    extra = 0
    min_num = 1
    autocomplete_fields = ["offer"]
    fields = ["offer", "baseline_weight", "position"]
    verbose_name_plural = "offers"

    def has_delete_permission(self, request: HttpRequest, obj: Campaign | None = None) -> bool:
        """Only a draft drops offers; in a running campaign they are switched off."""
        return obj is None or obj.status == Status.DRAFT


@admin.register(Campaign)
class CampaignAdmin(ModelAdmin):
    """Campaigns."""

    list_display = ["name", "shown_status", "placement", "goal", "report"]
    list_filter = ["status", "placement"]
    search_fields = ["name", "key"]
    list_select_related = ["placement", "experiment"]
    inlines = [CampaignOfferInline]
    actions_detail = ["start", "pause", "finish", "open_report"]

    def get_form(
        self, request: HttpRequest, obj: Campaign | None = None, change: bool = False, **kwargs: Any
    ) -> type[Any]:
        """Ask more of a new campaign."""
        if obj is None:
            kwargs["form"] = NewCampaignForm
        form: type[Any] = super().get_form(request, obj, change, **kwargs)
        return form

    def get_fieldsets(self, request: HttpRequest, obj: Campaign | None = None) -> Any:
        """Ask a new campaign for everything; what shapes the proof is settled by then."""
        when = ("When", {"fields": ["starts_at", "ends_at", "priority", "hold_minutes"]})
        if obj is not None:
            return [(None, {"fields": ["name", "key", "placement", "shown_status", "proof"]}), when]
        return [
            (None, {"fields": ["name", "key", "placement"]}),
            (
                "Goal and proof",
                {"fields": ["goal", "planned_customers", "holdout_percent", "control_percent"]},
            ),
            ("Learning", {"fields": ["attributes", "reward_window_hours"]}),
            when,
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Campaign | None = None) -> list[str]:
        """Keep the key of a campaign: logged decisions name it."""
        return [] if obj is None else ["key", "shown_status", "proof"]

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Propose a key for a new campaign."""
        return {"key": ["name"]} if obj is None else {}

    def save_model(self, request: HttpRequest, obj: Campaign, form: Any, change: bool) -> None:
        """Draft a new campaign with its experiment and policy; save an old one."""
        if change:
            super().save_model(request, obj, form, change)
            announce_change()
            return
        drafted = draft_campaign(form.to_plan())
        # The admin goes on with its own object: it becomes the one that was drafted.
        obj.__dict__.update(drafted.__dict__)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the offers, and let policy and deciding know."""
        super().save_related(request, form, formsets, change)
        with transaction.atomic():
            tell_policy_its_offers(form.instance)
        announce_change()

    def has_delete_permission(self, request: HttpRequest, obj: Campaign | None = None) -> bool:
        """Its decisions name it, so it is finished instead."""
        return False

    @display(
        description="Status",
        label={"Draft": "info", "Running": "success", "Paused": "warning", "Finished": "default"},
    )
    def shown_status(self, campaign: Campaign) -> str:
        """Show the status as a pill."""
        return campaign.get_status_display()

    @admin.display(description="Goal")
    def goal(self, campaign: Campaign) -> str:
        """Name the goal."""
        return str(campaign.experiment.metrics.filter(experimentmetric__role="goal").first() or "–")

    @admin.display(description="Divided into")
    def proof(self, campaign: Campaign) -> str:
        """Say how customers are divided."""
        arms = campaign.experiment.arms.all()
        return ", ".join(f"{arm.name} {arm.weight / 100:g}%" for arm in arms)

    @admin.display(description="Report")
    def report(self, campaign: Campaign) -> str:
        """Link to the report."""
        return format_html('<a href="{}">Open report</a>', campaign.get_absolute_url())

    @action(description="Start…", icon="play_arrow")
    def start(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Go to the page that starts it."""
        return _go_to_step(object_id, "start")

    @action(description="Pause…", icon="pause")
    def pause(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Go to the page that pauses it."""
        return _go_to_step(object_id, "pause")

    @action(description="Finish…", icon="stop")
    def finish(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Go to the page that finishes it."""
        return _go_to_step(object_id, "finish")

    @action(description="Report", icon="monitoring")
    def open_report(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Go to the report."""
        return redirect(get_object_or_404(Campaign, pk=object_id))


def _go_to_step(campaign_id: int, verb: str) -> HttpResponse:
    """Go to the page that explains a change of state; following a link changes nothing."""
    return redirect("campaign-step", get_object_or_404(Campaign, pk=campaign_id).key, verb)
