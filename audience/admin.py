"""Sources, customers and rejected events in the admin."""

from datetime import timedelta

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.text import Truncator
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from audience.models import (
    Audience,
    AuditEntry,
    Customer,
    Erasure,
    Identity,
    RejectedEvent,
    Scope,
    Source,
)
from audience.sources.keys import encrypt_payloads, renew_key, revoke
from wire.notices import announce_change

OLD_KEY_LIVES = timedelta(days=7)
# So long a text stands in a list.
LONGEST_LINE = 80


class SourceForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A source, its scopes to be ticked."""

    scopes = forms.MultipleChoiceField(
        choices=Scope.choices,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="What its key may do. A client's can send events and read experiments and flags.",
    )

    class Meta:
        model = Source
        fields = ["name", "kind", "scopes", "requests_per_second", "events_per_day"]


@admin.register(Source)
class SourceAdmin(ModelAdmin):
    """Sources; a key is shown once, when it is made."""

    form = SourceForm
    list_display = ["name", "kind", "key_prefix", "scopes", "last_used_at", "revoked_at"]
    list_filter = ["kind"]
    fields = [
        "name",
        "kind",
        "scopes",
        "requests_per_second",
        "events_per_day",
        "key_prefix",
        "old_key_until",
        "is_encrypted",
        "created_at",
        "last_used_at",
        "revoked_at",
    ]
    readonly_fields = [
        "key_prefix",
        "old_key_until",
        "is_encrypted",
        "created_at",
        "last_used_at",
        "revoked_at",
    ]
    actions = ["revoke_keys", "renew_keys", "rotate_keys", "encrypt"]

    @admin.display(boolean=True, description="Payloads are encrypted")
    def is_encrypted(self, source: Source) -> bool:
        """Tell whether what GrowthBook's libraries fetch is encrypted."""
        return bool(source.encryption_key)

    def get_readonly_fields(self, request: HttpRequest, obj: Source | None = None) -> list[str]:
        """Keep the kind of a source: its key, which is out there, says which one it is."""
        fixed = [] if obj is None else ["kind"]
        return [*fixed, *self.readonly_fields]

    def save_model(self, request: HttpRequest, obj: Source, form: object, change: bool) -> None:
        """Make the key of a new source and show it."""
        if change:
            obj.save()
            announce_change()
        else:
            self._show(request, obj, renew_key(obj))

    @action(description="Revoke the keys", permissions=["change"])
    def revoke_keys(self, request: HttpRequest, queryset: QuerySet[Source]) -> None:
        """Stop accepting the keys of these sources."""
        for source in queryset:
            revoke(source, now=timezone.now())
        messages.success(request, "Revoked; the keys stop working within seconds.")

    @action(description="Make new keys; the old ones stop", permissions=["change"])
    def renew_keys(self, request: HttpRequest, queryset: QuerySet[Source]) -> None:
        """Replace the keys of these sources."""
        for source in queryset:
            self._show(request, source, renew_key(source))

    @action(description="Rotate: new keys; the old ones work for a week", permissions=["change"])
    def rotate_keys(self, request: HttpRequest, queryset: QuerySet[Source]) -> None:
        """Replace the keys of these sources without turning anybody away."""
        for source in queryset:
            self._show(request, source, renew_key(source, old_lives_for=OLD_KEY_LIVES))

    @action(description="Encrypt GrowthBook payloads with a new key", permissions=["change"])
    def encrypt(self, request: HttpRequest, queryset: QuerySet[Source]) -> None:
        """Make keys with which clients have to decrypt what they fetch."""
        for source in queryset:
            key = encrypt_payloads(source)
            messages.warning(
                request,
                f"Payloads of {source.name} are encrypted from now on; its clients need the "
                f"decryption key {key}. Copy it now: it is not shown again.",
            )

    def _show(self, request: HttpRequest, source: Source, key: str) -> None:
        messages.warning(
            request, f"The key of {source.name} is {key}. Copy it now: it is not shown again."
        )

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Its events name it, so it is revoked instead."""
        return False


class IdentityInline(TabularInline):
    """The other names of a customer."""

    model = Identity
    extra = 0


@admin.register(Customer)
class CustomerAdmin(ModelAdmin):
    """Customers."""

    list_display = ["external_key", "known", "merged_into", "created_at"]
    # The index finds how a key begins; looking inside every key would read the whole table.
    search_fields = ["external_key__startswith"]
    search_help_text = "How the key begins"
    # An input named "attributes" would hide the form's own DOM property and break the page.
    readonly_fields = ["attributes", "merged_into", "created_at", "updated_at"]
    inlines = [IdentityInline]
    # Counting every row of a large table takes longer than showing a page of it.
    show_full_result_count = False
    list_select_related = ["merged_into"]

    @admin.display(description="Attributes")
    def known(self, customer: Customer) -> str:
        """Say in one line what is known; the customer's page has all of it."""
        words = ", ".join(f"{name}: {value}" for name, value in customer.attributes.items())
        return Truncator(words).chars(LONGEST_LINE)

    def get_readonly_fields(self, request: HttpRequest, obj: object = None) -> list[str]:
        """Keep a known customer's key: arms are drawn by it, and senders go on using it."""
        fixed = [] if obj is None else ["external_key"]
        return [*fixed, *self.readonly_fields]

    def view_on_site(self, customer: Customer) -> str:
        """Return the page that shows all that is known of a customer."""
        return reverse("customer", args=[customer.pk])

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Their events and decisions name them."""
        return False


@admin.register(Audience)
class AudienceAdmin(ModelAdmin):
    """Audiences, to be looked at; the builder makes and changes them."""

    list_display = ["name", "kind", "size", "counted_at", "version", "open_builder"]
    list_filter = ["kind"]
    search_fields = ["name", "key"]
    show_full_result_count = False

    @admin.display(description="Builder")
    def open_builder(self, audience: Audience) -> str:
        """Lead to the page on which it is made."""
        return format_html('<a href="{}">Open</a>', reverse("audience", args=[audience.key]))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """The builder adds them."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """The builder changes them, and knows when a rule is another one."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """The builder's page looks first whether something uses them."""
        return False


@admin.register(RejectedEvent)
class RejectedEventAdmin(ModelAdmin):
    """What senders sent and we could not take."""

    list_display = ["received_at", "source", "reason"]
    list_filter = ["source"]
    list_select_related = ["source"]
    readonly_fields = ["source", "received_at", "reason", "payload"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """They come from outside."""
        return False


class KeptAdmin(ModelAdmin):
    """What happened stays so."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """The software writes it."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Nobody changes it."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Nobody removes it."""
        return False


@admin.register(Erasure)
class ErasureAdmin(KeptAdmin):
    """Who was erased, as the proof says it: without a name."""

    list_display = ["requested_at", "requested_by", "erased_at", "removed", "left_over"]
    date_hierarchy = "requested_at"
    fields = ["requested_at", "requested_by", "erased_at", "removed", "left_over", "fingerprint"]

    @admin.display(description="Left over, by a search of everything")
    def left_over(self, erasure: Erasure) -> str:
        """Say what was found of the person afterwards."""
        if erasure.erased_at is None:
            return "Not erased yet"
        if erasure.left is None:
            return "Not searched yet"
        found = [f"{name}: {count}" for name, count in erasure.left.items()]
        return ", ".join(found) or "Nothing"

    @admin.display(description="Keyed hash of the customer's key")
    def fingerprint(self, erasure: Erasure) -> str:
        """Show by what the proof can be held against a name."""
        return bytes(erasure.key_hash).hex()


@admin.register(AuditEntry)
class AuditEntryAdmin(KeptAdmin):
    """Who changed what."""

    list_display = ["at", "table", "row_id", "by", "changed"]
    list_filter = ["table"]
    search_fields = ["=row_id", "=by"]
    search_help_text = "A row's number, or an account's name"
    show_full_result_count = False

    @admin.display(description="What was changed")
    def changed(self, entry: AuditEntry) -> str:
        """Name the fields; the entry's own page has what they were and are."""
        if entry.before is None:
            return "Made"
        return "Removed" if entry.after is None else ", ".join(sorted(entry.after))
