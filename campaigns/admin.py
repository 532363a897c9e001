"""Campaigns, offers and placements in the admin."""

from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet, URLField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.html import format_html
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display

from campaigns.drafting import draft_campaign
from campaigns.eligibility import Budget, OfferRules
from campaigns.forms import NewCampaignForm
from campaigns.lifecycle import tell_policy_its_offers
from campaigns.models import Campaign, CampaignOffer, Counter, Offer, Placement, Status
from experiments.models import Role
from wire.notices import announce_change

SPLIT = ["holdout_percent", "control_percent"]


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
    formfield_overrides = {URLField: {"assume_scheme": "https"}}
    fieldsets = [
        (None, {"fields": ["name", "key", "headline", "text", "link"]}),
        ("Worth", {"fields": ["value_cents", "cost_cents", "currency"]}),
        ("When", {"fields": ["is_active", "starts_at", "ends_at"]}),
        (
            "How often",
            {"fields": ["cap_total", "cap_per_customer", "cap_days", "uncounted", "given_out"]},
        ),
    ]

    @admin.display(description="Value less cost")
    def worth(self, offer: Offer) -> str:
        """Say what taking the offer leaves."""
        return f"{(offer.value_cents - offer.cost_cents) / 100:,.2f} {offer.currency}"

    @admin.display(description="Given out since it has a limit")
    def given_out(self, offer: Offer) -> str:
        """Say how much of the limit is used up."""
        counter = Counter.objects.filter(name=OfferRules.counter_of(offer.key)).first()
        return f"{0 if counter is None else counter.used:,}"

    def get_readonly_fields(self, request: HttpRequest, obj: Offer | None = None) -> list[str]:
        """Keep the key of an offer: logged decisions name it."""
        return ["given_out"] if obj is None else ["key", "given_out"]

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Propose a key for a new offer."""
        return {"key": ["name"]} if obj is None else {}

    def save_model(self, request: HttpRequest, obj: Offer, form: Any, change: bool) -> None:
        """Save, and let the deciding know."""
        super().save_model(request, obj, form, change)
        announce_change()


class CampaignOfferInline(TabularInline):
    """The offers of a campaign."""

    model = CampaignOffer
    extra = 0
    min_num = 1
    autocomplete_fields = ["offer"]
    fields = ["offer", "baseline_weight", "position"]
    verbose_name = "offer"
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
    autocomplete_fields = ["fallback"]
    inlines = [CampaignOfferInline]
    actions_detail = ["start", "pause", "finish", "open_report"]
    view_on_site = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Campaign]:
        """Fetch the goals with the campaigns."""
        campaigns: QuerySet[Campaign] = super().get_queryset(request)
        return campaigns.prefetch_related("experiment__measured__metric")

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
        limits = ("Limits", {"fields": ["budget_cents", "fallback"]})
        if obj is not None:
            about = {"fields": ["name", "key", "placement", "shown_status", "proof"]}
            spent = ("Limits", {"fields": ["budget_cents", "spent", "fallback"]})
            return [(None, about), when, spent]
        return [
            (None, {"fields": ["name", "key", "placement"]}),
            (
                "Goal and proof",
                {"fields": ["goal", "planned_customers", "minimum_days", *SPLIT]},
            ),
            ("Learning", {"fields": ["learns_from", "reward_window_hours"]}),
            when,
            limits,
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Campaign | None = None) -> list[str]:
        """Keep the key of a campaign: logged decisions name it."""
        return [] if obj is None else ["key", "shown_status", "proof", "spent"]

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
        measured = campaign.experiment.measured.all()
        return next((str(m.metric) for m in measured if m.role == Role.GOAL), "–")

    @admin.display(description="Divided into")
    def proof(self, campaign: Campaign) -> str:
        """Say how customers are divided."""
        arms = campaign.experiment.arms.all()
        return ", ".join(f"{arm.name} {arm.weight / 100:g}%" for arm in arms)

    @admin.display(description="Spent since it has a budget")
    def spent(self, campaign: Campaign) -> str:
        """Say how much of the budget is used up."""
        counter = Counter.objects.filter(name=Budget(campaign.key).counter).first()
        return f"{(0 if counter is None else counter.used) / 100:,.2f}"

    @admin.display(description="Report")
    def report(self, campaign: Campaign) -> str:
        """Link to the report."""
        return format_html('<a href="{}">Open report</a>', campaign.get_absolute_url())

    def has_start_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Offer only the steps that the campaign can take."""
        return self._may_take_step(request, object_id, Status.DRAFT, Status.PAUSED)

    def has_pause_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Offer only the steps that the campaign can take."""
        return self._may_take_step(request, object_id, Status.RUNNING)

    def has_finish_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Offer only the steps that the campaign can take."""
        return self._may_take_step(request, object_id, Status.RUNNING, Status.PAUSED)

    def _may_take_step(self, request: HttpRequest, pk: str | None, *statuses: Status) -> bool:
        in_time = Campaign.objects.filter(pk=pk or 0, status__in=statuses).exists()
        return in_time and bool(self.has_change_permission(request))

    @action(description="Start…", icon="play_arrow", permissions=["start"])
    def start(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Go to the page that starts it."""
        return _go_to_step(object_id, "start")

    @action(description="Pause…", icon="pause", permissions=["pause"])
    def pause(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Go to the page that pauses it."""
        return _go_to_step(object_id, "pause")

    @action(description="Finish…", icon="stop", permissions=["finish"])
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
