"""Experiments and metrics in the admin."""

import json
from typing import Any

import msgspec
from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.admin import ModelAdmin, TabularInline
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminURLInputWidget

from audience.careful_admin import CarefulAdmin
from experiments.metrics import METRICS
from experiments.metrics.base import read_params
from experiments.models import (
    Arm,
    Endpoint,
    Experiment,
    ExperimentMetric,
    Metric,
    Status,
    Subscriber,
)
from experiments.notifying.outbox import EVENTS
from wire.webhooks import Forbidden, read_url


class MetricForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A metric whose parameters fit its type."""

    class Meta:
        model = Metric
        fields = ["name", "key", "kind", "params", "higher_is_better"]

    def clean_params(self) -> Any:
        """Refuse what Python reads as JSON and PostgreSQL does not store."""
        params = self.cleaned_data["params"]
        try:
            written = json.dumps(params, allow_nan=False)
        except ValueError as error:
            raise ValidationError("Numbers must be finite.") from error
        if r"\u0000" in written:
            raise ValidationError("Texts must not hold the character zero.")
        return params

    def clean(self) -> dict[str, Any]:
        """Check the parameters against the type's own rules."""
        cleaned = super().clean() or {}
        kind, params = cleaned.get("kind"), cleaned.get("params")
        if kind in METRICS and params is not None:
            try:
                read_params(METRICS[kind], params)
            except msgspec.ValidationError as error:
                self.add_error("params", ValidationError(f"{error}."))
        return cleaned


@admin.register(Metric)
class MetricAdmin(CarefulAdmin):
    """Metrics."""

    form = MetricForm
    list_display = ["name", "kind", "key", "higher_is_better"]
    search_fields = ["name", "key"]

    def get_readonly_fields(self, request: HttpRequest, obj: Metric | None = None) -> list[str]:
        """Keep what a started experiment is judged by."""
        is_kept = obj is not None and obj.is_settled
        return ["key", "kind", "params", "higher_is_better"] if is_kept else []

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Propose a key for a new metric."""
        return {"key": ["name"]} if obj is None else {}


class ReadOnlyInline(TabularInline):
    """Rows that are shown and not edited: they belong to the experiment's design."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Never."""
        return False


class ArmInline(ReadOnlyInline):
    """The arms."""

    model = Arm
    fields = ["name", "key", "weight", "is_control", "payload"]


class MeasuredInline(ReadOnlyInline):
    """The metrics."""

    model = ExperimentMetric
    fields = ["metric", "role"]


@admin.register(Subscriber)
class SubscriberAdmin(ModelAdmin):
    """Who gets the weekly digest, with or without an account."""

    list_display = ["email", "created_at", "unsubscribed_at", "digested_week"]
    search_fields = ["email"]
    fields = ["email", "unsubscribed_at"]

    def save_model(self, request: HttpRequest, obj: Subscriber, form: Any, change: bool) -> None:
        """Remember who invited somebody."""
        if not change and isinstance(request.user, User):
            obj.created_by = request.user
        super().save_model(request, obj, form, change)


class EndpointForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """Where to send, and what."""

    url = forms.URLField(max_length=500, assume_scheme="https", widget=UnfoldAdminURLInputWidget)
    events = forms.MultipleChoiceField(
        choices=list(EVENTS.items()),
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="None is all of them.",
    )

    class Meta:
        model = Endpoint
        fields = ["url", "events", "is_active"]

    def clean_url(self) -> str:
        """Refuse an address that nothing would be sent to."""
        url: str = self.cleaned_data["url"]
        try:
            read_url(url, may_be_private=settings.WEBHOOKS_MAY_BE_PRIVATE)
        except Forbidden as error:
            raise ValidationError(str(error)) from error
        return url


@admin.register(Endpoint)
class EndpointAdmin(ModelAdmin):
    """Addresses that are told, signed per Standard Webhooks."""

    form = EndpointForm
    list_display = ["url", "is_active", "created_at", "waiting"]
    readonly_fields = ["secret", "waiting"]
    fields = ["url", "events", "is_active", "secret", "waiting"]

    @admin.display(description="Waiting to be taken")
    def waiting(self, endpoint: Endpoint) -> int:
        """Count what was not taken yet."""
        return endpoint.notices.exclude(due_at=None).count()


@admin.register(Experiment)
class ExperimentAdmin(CarefulAdmin):
    """Experiments; a campaign makes its own."""

    list_display = ["name", "status", "started_at", "planned_customers", "report"]
    list_filter = ["status"]
    search_fields = ["name", "key"]
    fields = [
        "name", "hypothesis", "planned_customers",
        "key", "seed", "status", "started_at", "stopped_at", "report",
    ]  # fmt: skip
    inlines = [ArmInline, MeasuredInline]

    @admin.display(description="Report")
    def report(self, experiment: Experiment) -> str:
        """Link to the report."""
        return format_html('<a href="{}">Open report</a>', experiment.get_absolute_url())

    def get_readonly_fields(self, request: HttpRequest, obj: Experiment | None = None) -> list[str]:
        """Keep the planned end once it runs: one that is moved to please proves nothing."""
        kept = ["key", "seed", "status", "started_at", "stopped_at", "report"]
        is_draft = obj is not None and obj.status == Status.DRAFT
        return kept if is_draft else ["planned_customers", *kept]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Experiments begin with their campaign."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Experiment | None = None) -> bool:
        """Only a draft goes; exposures name the others, and finding all of them takes minutes."""
        is_draft = obj is not None and obj.status == Status.DRAFT
        return is_draft and super().has_delete_permission(request, obj)
