"""Policies and what they learned, in the admin."""

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from recommender.models import Policy


@admin.register(Policy)
class PolicyAdmin(ModelAdmin):
    """Policies, to look at; a campaign makes its own."""

    list_display = ["name", "kind", "reward_event", "newest_version"]
    search_fields = ["name", "key"]

    @admin.display(description="Newest version")
    def newest_version(self, policy: Policy) -> str:
        """Say how much the policy has learned."""
        version = policy.versions.defer("odds").first()
        if version is None:
            return "has learned nothing yet"
        return f"v{version.number}, from {version.learned_from:,} decisions"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Policies begin with their campaign."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """What a policy is stays as it was when its first decision was logged."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Its decisions stay, so it stays."""
        return False
