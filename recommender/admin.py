"""Policies, their challengers, and rankings, in the admin."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from audience.admin import KeptAdmin
from audience.careful_admin import CarefulAdmin
from recommender.evaluating.challenging import check_challenge, withdraw
from recommender.evaluating.promoting import find_obstacles, want
from recommender.learning.holding import release
from recommender.learning.pinning import pin_version, unpin
from recommender.models import (
    Challenger,
    Policy,
    PolicyQuerySet,
    PolicyVersion,
    PublishingHold,
    Ranking,
)
from recommender.ranking.forms import RankingForm
from recommender.weighing.odds import Odds


@admin.register(Ranking)
class RankingAdmin(CarefulAdmin):
    """What is ranked, from which events; versions have a page of their own."""

    form = RankingForm
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

    list_display = [
        "name", "kind", "rewarded_by", "newest_version", "decides_by", "sums", "publishing",
    ]  # fmt: skip
    list_filter = ["sums_are_wrong"]
    search_fields = ["name", "key"]

    def get_queryset(self, request: HttpRequest) -> PolicyQuerySet:
        """Fetch the newest versions with the policies."""
        policies: PolicyQuerySet = super().get_queryset(request)
        return policies.with_newest_version().with_hold()

    @admin.display(description="Rewarded by", ordering="reward_event")
    def rewarded_by(self, policy: Policy) -> str:
        """Say what counts, and what of it is left."""
        said = f"{policy.reward_event}: {policy.get_reward_kind_display().lower()}"
        if policy.margin is None:
            return said
        return f"{said}, {policy.margin:.4g} of it less the offer's cost"

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

    @display(description="Publishes", label={"held": "danger", "free": "success"})
    def publishing(self, policy: Any) -> tuple[str, str]:
        """Say why the policy, fetched with its hold, publishes nothing."""
        if policy.held_because is None:
            return "free", "As it learns"
        return "held", f"Held: {policy.held_because}"


@admin.register(PolicyVersion)
class PolicyVersionAdmin(KeptAdmin):
    """What policies had learned at a time; one of them can be made to decide."""

    list_display = ["policy", "number", "published_at", "learned_from", "is_pinned"]
    list_filter = ["policy"]
    list_select_related = ["policy"]
    list_per_page = 25
    show_full_result_count = False
    fields = ["policy", "number", "published_at", "learned_from", "taught"]
    readonly_fields = ["taught"]
    actions = ["pin", "unpin"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[PolicyVersion]:
        """Leave the odds where they are: half a megabyte each."""
        versions: QuerySet[PolicyVersion] = super().get_queryset(request)
        return versions.defer("odds")

    @admin.display(description="Taught by facts of offers")
    def taught(self, version: PolicyVersion) -> str:
        """Say what facts were found to change for the average customer."""
        effects = Odds.from_bytes(bytes(version.odds)).taught
        return (
            format_html_join(
                mark_safe("<br>"),
                "{}: {}: {} ({} to {})",
                (
                    (e.fact, e.says, *(f"{n:+.4g}" for n in (e.effect, e.low, e.high)))
                    for e in effects
                ),
            )
            or "Nothing"
        )

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


class ChallengerForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """Another kind or other settings for a policy."""

    class Meta:
        model = Challenger
        fields = ["policy", "kind", "hyperparameters", "is_automatic"]

    def clean(self) -> dict[str, Any]:
        """Refuse one from which nothing could come."""
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors:
            cleaned["hyperparameters"] = cleaned["hyperparameters"] or {}
            settings = cleaned["hyperparameters"]
            check_challenge(cleaned["policy"], kind=cleaned["kind"], hyperparameters=settings)
        return cleaned


@admin.register(Challenger)
class ChallengerAdmin(ModelAdmin):
    """What decides and what might, side by side."""

    form = ChallengerForm
    list_display = [
        "policy", "decides", "decides_earns",
        "challenger", "challenger_earns", "advantage", "state",
    ]  # fmt: skip
    list_select_related = ["policy"]
    list_filter = ["policy"]
    readonly_fields = ["decides_earns", "challenger_earns", "advantage", "judged_on", "state"]
    fields = ["policy", "kind", "hyperparameters", "is_automatic", *readonly_fields]
    actions = ["promote", "withdraw"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Challenger]:
        """Leave the odds where they are."""
        challengers: QuerySet[Challenger] = super().get_queryset(request)
        return challengers.defer("odds")

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """What was begun stays as it is, or is withdrawn."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """What was tried stays written down."""
        return False

    def save_model(self, request: HttpRequest, obj: Challenger, form: Any, change: Any) -> None:
        """Let it begin now."""
        obj.began_at = timezone.now()
        obj.save()

    @admin.display(description="Decides")
    def decides(self, challenger: Challenger) -> str:
        """Name what decides, or did before this one."""
        return str(challenger.policy.get_kind_display())

    @admin.display(description="Challenger")
    def challenger(self, challenger: Challenger) -> str:
        """Name what may take its place."""
        settings = ", ".join(f"{name} {n}" for name, n in challenger.hyperparameters.items())
        return f"{challenger.get_kind_display()}{f' ({settings})' if settings else ''}"

    @admin.display(description="What decides earns")
    def decides_earns(self, challenger: Challenger) -> str:
        """Say it with its interval."""
        return _say(challenger, "champion")

    @admin.display(description="The challenger would earn")
    def challenger_earns(self, challenger: Challenger) -> str:
        """Say it with its interval."""
        return _say(challenger, "challenger")

    @admin.display(description="Advantage")
    def advantage(self, challenger: Challenger) -> str:
        """Say by how much more the challenger would earn."""
        return _say(challenger, "advantage")

    @admin.display(description="Judged on")
    def judged_on(self, challenger: Challenger) -> str:
        """Say on whom, and how sure intervals are after so many looks."""
        found = challenger.assessment
        if "population" not in found:
            return str(found.get("problem", "–"))
        sure = f"the advantage's interval is sure to {found['confidence']:.1%}"
        return f"{found['population']}, look {challenger.looks}: {sure}"

    @display(
        description="State",
        label={"better": "success", "open": "info", "promoted": "success", "withdrawn": "warning"},
    )
    def state(self, challenger: Challenger) -> tuple[str, str]:
        """Say what keeps it from taking over, or how it ended."""
        if challenger.outcome:
            return challenger.outcome, challenger.get_outcome_display()
        obstacles = find_obstacles(challenger, now=timezone.now())
        return ("open", " ".join(obstacles)) if obstacles else ("better", "May take over")

    @action(description="Let it decide", permissions=["promote"])
    def promote(self, request: HttpRequest, queryset: QuerySet[Challenger]) -> None:
        """Have a worker let them take over."""
        for challenger in queryset:
            try:
                want(challenger, now=timezone.now())
            except ValidationError as error:
                messages.error(request, f"{challenger}: {' '.join(error.messages)}")
            else:
                messages.success(request, f"{challenger} takes over as soon as a worker is free.")

    @action(description="Withdraw", permissions=["withdraw"])
    def withdraw(self, request: HttpRequest, queryset: QuerySet[Challenger]) -> None:
        """Let them learn no more."""
        for challenger in queryset:
            try:
                withdraw(challenger, now=timezone.now())
            except ValidationError as error:
                messages.error(request, " ".join(error.messages))
            else:
                messages.success(request, f"{challenger} is withdrawn.")

    def has_promote_permission(self, request: HttpRequest) -> bool:
        """Ask for what an approver has."""
        return bool(request.user.has_perm("recommender.promote_challenger"))

    def has_withdraw_permission(self, request: HttpRequest) -> bool:
        """Ask for what whoever began it has."""
        return bool(request.user.has_perm("recommender.add_challenger"))


def _say(challenger: Challenger, name: str) -> str:
    found = challenger.assessment.get(name)
    if found is None:
        return "–"
    if "withheld" in found:
        return f"withheld: {found['withheld']}"
    return f"{found['estimate']:.4g} ({found['low']:.4g} to {found['high']:.4g})"


@admin.register(PublishingHold)
class PublishingHoldAdmin(KeptAdmin):
    """Policies that publish nothing because a check has failed, and those that did."""

    list_display = ["policy", "reason", "held_at", "state"]
    list_select_related = ["policy"]
    fields = ["policy", "reason", "held_at", "released_at"]
    actions = ["release"]

    @display(description="State", label={"held": "danger", "released": "success"})
    def state(self, hold: PublishingHold) -> tuple[str, str]:
        """Say whether it is over."""
        if hold.released_at is None:
            return "held", "Publishes nothing"
        return "released", f"Released {hold.released_at:%Y-%m-%d %H:%M}"

    @action(description="Let it publish again", permissions=["release"])
    def release(self, request: HttpRequest, queryset: QuerySet[PublishingHold]) -> None:
        """Let policies publish what they learned meanwhile."""
        for hold in queryset:
            try:
                release(hold, now=timezone.now())
            except ValidationError as error:
                messages.error(request, " ".join(error.messages))
            else:
                messages.success(request, f"{hold.policy} publishes with its next lesson.")

    def has_release_permission(self, request: HttpRequest) -> bool:
        """Ask for what an approver has."""
        return bool(request.user.has_perm("recommender.release_publishinghold"))
