"""Lets nobody overwrite in the admin, unseen, what somebody else saved meanwhile."""

from typing import Any

from django import forms
from django.db import connection
from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from audience.overwriting import CarefulForm


class CarefulAdmin(ModelAdmin):
    """An admin whose form, with its rows, is a `CarefulForm`."""

    change_form_before_template = "_seen_in_admin.html"

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Model | None:
        """Find the record; what is about to be saved, locked and as it is then."""
        found: Model | None = super().get_object(request, object_id, from_field)
        if found is None or request.method != "POST" or not connection.in_atomic_block:
            return found
        rows = self.model._default_manager.select_for_update(no_key=True, of=("self",))
        list(rows.filter(pk=found.pk).values_list("pk"))
        again: Model | None = super().get_object(request, object_id, from_field)
        return again

    def get_form(
        self, request: HttpRequest, obj: Model | None = None, **options: Any
    ) -> type[forms.ModelForm]:  # type: ignore[type-arg]  # not generic at run time
        """Make the form careful; of a new record there is nothing to overwrite."""
        made: type[forms.ModelForm] = super().get_form(  # type: ignore[type-arg]
            request, obj, **options
        )
        if obj is None:
            return made
        rows = self._rows(request, obj)

        class Careful(CarefulForm, made):  # type: ignore[misc, valid-type]  # made at run time
            """A form of the admin that knows of the record's rows, too."""

            @property
            def stored(self) -> dict[str, Any]:
                """What is stored now."""
                return {**super().stored, **rows}

            def is_valid(self) -> bool:
                """Refuse what would overwrite somebody else's."""
                return super().is_valid() and self.is_current()

        return Careful

    def _rows(self, request: HttpRequest, obj: Model) -> dict[str, Any]:
        """Read all rows that the page shows under the record, by their kind."""
        found = {}
        for inline in self.get_inline_instances(request, obj):
            key = inline.get_formset(request, obj).fk.name
            rows = inline.model._default_manager.filter(**{key: obj.pk}).order_by("pk")
            found[f"{inline.model._meta.model_name}s"] = list(rows.values())
        return found
