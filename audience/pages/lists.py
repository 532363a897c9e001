"""The pages of lists: audiences of customers whom somebody names in a file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from django import forms
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from audience.audiences.guarding import reason_against_change
from audience.audiences.lists import COLUMNS, Filled, fill_list
from audience.importing.csv_lines import Refused, read_column
from audience.incoming import Rejected
from audience.models import Audience, AudienceKind
from audience.pages.views import ADD, CHANGE, VIEW, free_audience_key


class UploadForm(forms.Form):
    """A file of customers."""

    file = forms.FileField(
        label="File",
        help_text="CSV, perhaps packed by gzip: one column of customers' keys or e-mail "
        "addresses, or several, one of which is called customer or email.",
    )
    replace = forms.BooleanField(
        required=False,
        label="Only those of the file stay",
        help_text="Whoever is on the list and not in the file leaves it.",
    )


class NewListForm(UploadForm):
    """A new list and its file."""

    name = forms.CharField(max_length=100, label="Name")
    field_order = ["name", "file"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Ask only what a new list needs."""
        super().__init__(*args, **kwargs)
        del self.fields["replace"]


@staff_member_required
@permission_required(ADD, raise_exception=True)
def begin_list(request: HttpRequest) -> HttpResponse:
    """Make a list from a file."""
    form = NewListForm(*_posted(request))
    if form.is_bound and form.is_valid():
        name = form.cleaned_data["name"]
        made = Audience(key=free_audience_key(name), name=name, kind=AudienceKind.LIST)
        made.save()
        filled = _fill(made, form)
        if filled is not None:
            return _show(request, made, UploadForm(), filled)
        made.delete()
    context = {"form": form, "is_checked": form.is_bound}
    return render(request, "audience/new_list.html", context)


@staff_member_required
@permission_required(VIEW, raise_exception=True)
def one_list(request: HttpRequest, key: str) -> HttpResponse:
    """Show a list, and take files into it."""
    found = get_object_or_404(Audience, key=key)
    if found.kind != AudienceKind.LIST:
        return redirect("audience", key=key)
    form = UploadForm(*_posted(request))
    filled = None
    if form.is_bound:
        if not request.user.has_perm(CHANGE):
            raise PermissionDenied("You may look at lists and not change them.")
        if against := reason_against_change(found, by=request.user):
            form.add_error(None, against)
        if form.is_valid():
            filled = _fill(found, form)
    return _show(request, found, form, filled)


def _show(
    request: HttpRequest, found: Audience, form: UploadForm, filled: Filled | None
) -> HttpResponse:
    found.refresh_from_db()
    context = {
        "audience": found,
        "form": form,
        "filled": filled,
        "is_checked": form.is_bound and filled is None,
        "may_change": request.user.has_perm(CHANGE),
    }
    return render(request, "audience/one_list.html", context)


def _posted(request: HttpRequest) -> tuple[Any, Any]:
    return (request.POST, request.FILES) if request.method == "POST" else (None, None)


def _fill(audience: Audience, form: UploadForm) -> Filled | None:
    """Take a file into a list; of a file that cannot be read the form says why."""
    refused = Refused()
    try:
        with _on_disk(form.cleaned_data["file"]) as path:
            values = read_column(path, names=COLUMNS, refused=refused, progress=lambda size: None)
            filled = fill_list(audience, values, replace=form.cleaned_data.get("replace", False))
    except Rejected as error:
        form.add_error("file", str(error))
        return None
    return filled


@contextmanager
def _on_disk(file: "UploadedFile[bytes]") -> Iterator[Path]:
    with NamedTemporaryFile(suffix=".csv") as copy:
        for chunk in file.chunks():
            copy.write(chunk)
        copy.flush()
        yield Path(copy.name)
