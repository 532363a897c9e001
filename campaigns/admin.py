"""Campaigns, offers and placements in the admin."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet, URLField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.html import format_html
from unfold.admin import StackedInline, TabularInline
from unfold.decorators import action, display

from audience.careful_admin import CarefulAdmin
from campaigns.deciding.eligibility import Budget, OfferRules
from campaigns.lifecycle.guarding import may_approve
from campaigns.lifecycle.reviewing import reopen_draft
from campaigns.lifecycle.status import tell_policy_its_offers
from campaigns.models import (
    LIVE,
    UNSTARTED,
    Campaign,
    CampaignOffer,
    Cap,
    Counter,
    Offer,
    OfferContent,
    Placement,
    Status,
)
from campaigns.offers.forms import OfferForm
from campaigns.offers.knowledge import tell_policies
from experiments.models import Role
from wire.notices import announce_change

# What a reviewer saw of an offer; when and how often it is given out may be changed.
APPROVED = [
    "name", "headline", "text", "link", "ranking", "audience", "value_cents", "cost_cents",
    "currency", "facts",
]  # fmt: skip


@admin.register(Placement)
class PlacementAdmin(CarefulAdmin):
    """Placements."""

    list_display = ["name", "key", "channel"]
    list_filter = ["channel"]
    search_fields = ["name", "key"]
    prepopulated_fields = {"key": ["name"]}

    def save_model(self, request: HttpRequest, obj: Placement, form: Any, change: bool) -> None:
        """Save, and let the deciding know."""
        super().save_model(request, obj, form, change)
        announce_change()


class OfferContentInline(StackedInline):
    """What an offer says in a placement and a language."""

    model = OfferContent
    extra = 0
    verbose_name = "other words for a placement or language"
    verbose_name_plural = "other words for placements and languages"
    formfield_overrides = {URLField: {"assume_scheme": "https"}}


class CapInline(TabularInline):
    """The limits of an offer, beside its own."""

    model = Cap
    extra = 0
    fields = ["limit", "counts", "event", "is_per_customer", "window", "hours"]
    verbose_name = "further limit"


@admin.register(Offer)
class OfferAdmin(CarefulAdmin):
    """Offers."""

    form = OfferForm
    list_display = ["name", "key", "headline", "worth", "is_active"]
    list_filter = ["is_active"]
    search_fields = ["name", "key", "headline"]
    prepopulated_fields = {"key": ["name"]}
    formfield_overrides = {URLField: {"assume_scheme": "https"}}
    inlines = [OfferContentInline, CapInline]
    autocomplete_fields = ["audience", "ranking"]
    actions_detail = ["preview"]
    fieldsets = [
        (None, {"fields": ["name", "key", "headline", "text", "link", "ranking", "audience"]}),
        ("Worth", {"fields": ["value_cents", "cost_cents", "currency"]}),
        ("For learning", {"fields": ["facts"]}),
        ("When", {"fields": ["is_active", "priority", "starts_at", "ends_at"]}),
        (
            "How often",
            {"fields": ["cap_total", "cap_per_customer", "cap_days", "uncounted", "given_out"]},
        ),
    ]

    @action(description="As a customer reads it", icon="visibility")
    def preview(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Go to the page that shows it."""
        return redirect("offer-preview", get_object_or_404(Offer, pk=object_id).key)

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
        """Keep the key of an offer, which logged decisions name, and what was approved of it."""
        if obj is None:
            return ["given_out"]
        return ["key", "given_out", *(APPROVED if _is_kept(request, obj) else [])]

    def has_change_permission(self, request: HttpRequest, obj: Offer | None = None) -> bool:
        """Leave what stands for no offer as it is."""
        return not (obj and obj.is_nothing) and super().has_change_permission(request, obj)

    def get_inlines(self, request: HttpRequest, obj: Offer | None = None) -> list[Any]:
        """Leave out the words of an offer that is out under words that somebody approved."""
        return [CapInline] if obj is not None and _is_kept(request, obj) else self.inlines

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Propose a key for a new offer."""
        return {"key": ["name"]} if obj is None else {}

    def save_model(self, request: HttpRequest, obj: Offer, form: Any, change: bool) -> None:
        """Save, and let policies and the deciding know."""
        super().save_model(request, obj, form, change)
        tell_policies(obj)
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

    def has_add_permission(self, request: HttpRequest, obj: Campaign | None = None) -> bool:
        """Nobody adds by oneself what nobody approved to a campaign that was."""
        is_live = obj is not None and obj.status in LIVE
        return super().has_add_permission(request, obj) and (
            not is_live or may_approve(request.user)
        )

    def has_delete_permission(self, request: HttpRequest, obj: Campaign | None = None) -> bool:
        """Only a draft drops offers; in a running campaign they are switched off."""
        return obj is None or obj.status == Status.DRAFT


@admin.register(Campaign)
class CampaignAdmin(CarefulAdmin):
    """Campaigns."""

    list_display = ["name", "shown_status", "placement", "goal", "report"]
    list_filter = ["status", "placement"]
    search_fields = ["name", "key"]
    list_select_related = ["placement", "experiment"]
    autocomplete_fields = ["fallback"]
    inlines = [CampaignOfferInline]
    actions_detail = ["set_up", "start", "pause", "finish", "open_report"]
    view_on_site = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Campaign]:
        """Fetch the goals with the campaigns."""
        campaigns: QuerySet[Campaign] = super().get_queryset(request)
        return campaigns.prefetch_related("experiment__measured__metric")

    fieldsets = [
        (None, {"fields": ["name", "key", "placement", "audience", "shown_status", "proof"]}),
        ("When", {"fields": ["starts_at", "ends_at", "priority", "hold_minutes"]}),
        ("Limits", {"fields": ["budget_cents", "budget_pacing", "spent", "fallback"]}),
    ]

    def add_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Go to the pages that set a campaign up."""
        return redirect("campaign-new")

    def get_readonly_fields(self, request: HttpRequest, obj: Campaign | None = None) -> list[str]:
        """Keep what logged decisions name, and what was approved of a campaign that runs."""
        kept = ["key", "shown_status", "proof", "spent"]
        is_live = obj is not None and obj.status not in UNSTARTED
        return [*kept, "placement", "audience"] if is_live else kept

    def save_model(self, request: HttpRequest, obj: Campaign, form: Any, change: bool) -> None:
        """Save it; what was approved before it was started has to be approved again."""
        super().save_model(request, obj, form, change)
        if obj.status in UNSTARTED and obj.status != Status.DRAFT:
            assert isinstance(request.user, User), "the admin is for people with an account"
            reopen_draft(obj, by=request.user, now=timezone.now())
        announce_change()

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
        label={
            "Draft": "info",
            "In review": "warning",
            "Approved": "info",
            "Scheduled": "info",
            "Running": "success",
            "Paused": "warning",
            "Finished": "default",
        },
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
        return campaign.say_money(0 if counter is None else counter.used)

    @admin.display(description="Next")
    def report(self, campaign: Campaign) -> str:
        """Link to the report, or to the set-up before there is any."""
        says = "Set up" if campaign.status in UNSTARTED else "Open report"
        return format_html('<a href="{}">{}</a>', campaign.get_absolute_url(), says)

    def has_start_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Offer only the steps that the campaign can take; the first start is in the set-up."""
        return self._may_take_step(request, object_id, Status.PAUSED)

    def has_set_up_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Offer only the steps that the campaign can take."""
        return self._may_take_step(request, object_id, *UNSTARTED)

    def has_pause_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Offer only the steps that the campaign can take."""
        return self._may_take_step(request, object_id, Status.RUNNING)

    def has_finish_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Offer only the steps that the campaign can take."""
        return self._may_take_step(request, object_id, Status.RUNNING, Status.PAUSED)

    def _may_take_step(self, request: HttpRequest, pk: str | None, *statuses: Status) -> bool:
        in_time = Campaign.objects.filter(pk=pk or 0, status__in=statuses).exists()
        return in_time and bool(self.has_change_permission(request))

    @action(description="Set up", icon="edit_note", permissions=["set_up"])
    def set_up(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Go to the pages that set it up."""
        return redirect("campaign-setup", get_object_or_404(Campaign, pk=object_id).key)

    @action(description="Start again…", icon="play_arrow", permissions=["start"])
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


def _is_kept(request: HttpRequest, offer: Offer) -> bool:
    """Tell whether an offer is out under an approval that this person may not give."""
    return not may_approve(request.user) and offer.campaigns.filter(status__in=LIVE).exists()


def _go_to_step(campaign_id: int, verb: str) -> HttpResponse:
    """Go to the page that explains a change of state; following a link changes nothing."""
    return redirect("campaign-step", get_object_or_404(Campaign, pk=campaign_id).key, verb)
