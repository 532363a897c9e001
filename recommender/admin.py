"""Policies and what they learned, in the admin."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display

from recommender.models import Policy, PolicyQuerySet


@admin.register(Policy)
class PolicyAdmin(ModelAdmin):
    """Policies, to look at; a campaign makes its own."""

    list_display = ["name", "kind", "reward_event", "newest_version", "sums"]
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

    @display(
        description="Sums against the log",
        label={"As the log says": "success", "Not checked yet": "info"},
    )
    def sums(self, policy: Policy) -> str:
        """Say what came of the last check."""
        if policy.sums_checked_at is None:
            return "Not checked yet"
        return policy.sums_problem or "As the log says"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Policies begin with their campaign."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """What a policy is stays as it was when its first decision was logged."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Its decisions stay, so it stays."""
        return False
