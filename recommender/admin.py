"""Policies and what they learned, in the admin."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from recommender.models import Policy, PolicyQuerySet


@admin.register(Policy)
class PolicyAdmin(ModelAdmin):
    """Policies, to look at; a campaign makes its own."""

    list_display = ["name", "kind", "reward_event", "newest_version"]
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

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Policies begin with their campaign."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """What a policy is stays as it was when its first decision was logged."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Its decisions stay, so it stays."""
        return False
