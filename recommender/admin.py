"""Policies and rankings, in the admin."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from audience.admin import KeptAdmin
from recommender.models import Policy, PolicyQuerySet, PolicyVersion, Ranking
from recommender.pinning import pin_version, unpin


@admin.register(Ranking)
class RankingAdmin(ModelAdmin):
    """What is ranked, from which events; versions have a page of their own."""

    list_display = ["name", "served", "shown", "refresh_hours"]
    search_fields = ["name", "key"]
    prepopulated_fields = {"key": ["name"]}
    fieldsets = [
        (None, {"fields": ["name", "key", "shown"]}),
        (
            "Learning",
            {
                "fields": [
                    "event_weights",
                    ("window_days", "events_per_customer"),
                    "refresh_hours",
                    "tuned",
                ]
            },
        ),
        (
            "Rules for every list",
            {
                "fields": [
                    "shows_sold_out",
                    ("bought_days", "met_days"),
                    ("price_from", "price_to"),
                    "boosts",
                    ("most_of_category", "diversity"),
                ],
                "description": "The ranking's page shows what they come to for some customers.",
            },
        ),
    ]

    @admin.display(description="Served")
    def served(self, ranking: Ranking) -> str:
        """Link to the page, in the words of what is served."""
        version = ranking.served_version
        words = "nothing yet" if version is None else f"v{version.number}, {version.kind}"
        return format_html('<a href="{}">{}</a>', ranking.get_absolute_url(), words)


@admin.register(Policy)
class PolicyAdmin(KeptAdmin):
    """Policies, to look at; a campaign makes its own."""

    list_display = ["name", "kind", "reward_event", "newest_version", "decides_by", "sums"]
    list_filter = ["sums_are_wrong"]
    search_fields = ["name", "key"]

    def get_queryset(self, request: HttpRequest) -> PolicyQuerySet:
        """Fetch the newest versions with the policies."""
        policies: PolicyQuerySet = super().get_queryset(request)
        return policies.with_newest_version()

    @admin.display(description="Newest version")
    def newest_version(self, policy: Any) -> str:
        """Say how much the policy, fetched with its newest version, has learned."""
        number, learned_from = policy.newest_number, policy.newest_learned_from
        if number is None:
            return "has learned nothing yet"
        return f"v{number}, from {learned_from:,} decisions"

    @admin.display(description="Decides by")
    def decides_by(self, policy: Policy) -> str:
        """Link to the versions, and say which one decides."""
        pinned = policy.pinned_version
        says = "The newest" if pinned is None else f"v{pinned}, pinned"
        versions = reverse("admin:recommender_policyversion_changelist")
        return format_html('<a href="{}?policy__id__exact={}">{}</a>', versions, policy.pk, says)

    @display(
        description="Sums against the log",
        label={"As the log says": "success", "Not checked yet": "info"},
    )
    def sums(self, policy: Policy) -> str:
        """Say what came of the last check."""
        if policy.sums_checked_at is None:
            return "Not checked yet"
        return policy.sums_problem or "As the log says"


@admin.register(PolicyVersion)
class PolicyVersionAdmin(KeptAdmin):
    """What policies had learned at a time; one of them can be made to decide."""

    list_display = ["policy", "number", "published_at", "learned_from", "is_pinned"]
    list_filter = ["policy"]
    list_select_related = ["policy"]
    list_per_page = 25
    show_full_result_count = False
    fields = ["policy", "number", "published_at", "learned_from"]
    actions = ["pin", "unpin"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[PolicyVersion]:
        """Leave the odds where they are: half a megabyte each."""
        versions: QuerySet[PolicyVersion] = super().get_queryset(request)
        return versions.defer("odds")

    @display(description="Decides", label={"Pinned": "warning"})
    def is_pinned(self, version: PolicyVersion) -> str:
        """Say whether somebody made it decide."""
        return "Pinned" if version.number == version.policy.pinned_version else ""

    @action(description="Decide by this version", permissions=["pin"])
    def pin(self, request: HttpRequest, queryset: QuerySet[PolicyVersion]) -> None:
        """Go back to one version."""
        try:
            version = queryset.get()
            pin_version(version)
        except PolicyVersion.MultipleObjectsReturned:
            messages.error(request, "Choose one version.")
        except ValidationError as error:
            messages.error(request, error.messages[0])
        else:
            says = f"{version.policy} decides by version {version.number} within seconds, and goes"
            messages.success(request, f"{says} on learning.")

    @action(description="Decide by the newest version again", permissions=["pin"])
    def unpin(self, request: HttpRequest, queryset: QuerySet[PolicyVersion]) -> None:
        """Let policies decide by what they learned last."""
        policies = {version.policy for version in queryset}
        for policy in policies:
            unpin(policy)
        names = ", ".join(sorted(map(str, policies)))
        messages.success(request, f"{names}: the newest version decides within seconds.")

    def has_pin_permission(self, request: HttpRequest) -> bool:
        """Ask for more than looking."""
        return bool(request.user.has_perm("recommender.pin_policyversion"))
