"""The pages of audiences that a rule makes, and what they have in common with lists."""

from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import ProtectedError
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from audience.audiences.counting import find_overlaps, find_sample, look_at, paths_in
from audience.audiences.guarding import reason_against_change
from audience.audiences.lists import write_members
from audience.audiences.saving import REFRESH_TASK, delete_audience, save_rule, take_turns
from audience.conditions.meaning import find
from audience.models import Audience, AudienceKind
from audience.naming import free_key, to_stem
from audience.pages.builder import AboutForm, Builder, Offered
from audience.pages.rows import ROWS
from audience.rules.draft import Draft, to_draft
from audience.rules.grammar import NoRule, parse_rule, to_json
from audience.rules.wording import describe
from wire.downloads import Pieces
from wire.wakeups import wake

VIEW = "audience.view_audience"
ADD = "audience.add_audience"
CHANGE = "audience.change_audience"
DELETE = "audience.delete_audience"

PAGE = 50


@require_safe
@staff_member_required
@permission_required(VIEW, raise_exception=True)
def audiences(request: HttpRequest) -> HttpResponse:
    """List all audiences."""
    page = Paginator(Audience.objects.all(), PAGE).get_page(request.GET.get("page"))
    names = _names()
    lines = [{"audience": each, "says": say(each, names)} for each in page]
    return render(request, "audience/list.html", {"page": page, "lines": lines})


@staff_member_required
@permission_required(ADD, raise_exception=True)
def begin(request: HttpRequest) -> HttpResponse:
    """Build a new audience."""
    return _build(request, Audience())


@staff_member_required
@permission_required(VIEW, raise_exception=True)
def audience(request: HttpRequest, key: str) -> HttpResponse:
    """Show one audience, and change its rule."""
    found = get_object_or_404(Audience, key=key)
    if found.kind == AudienceKind.LIST:
        return redirect("audience-list", key=key)
    if request.method != "POST":
        return _build(request, found)
    if not request.user.has_perm(CHANGE):
        raise PermissionDenied("You may look at audiences and not change them.")
    if request.POST.get("do", "save") != "save":
        return _build(request, found)
    with transaction.atomic():
        # Nobody saves or deletes it meanwhile.
        take_turns()
        return _build(request, get_object_or_404(Audience, key=key))


@require_POST
@staff_member_required
@permission_required(VIEW, raise_exception=True)
def count_live(request: HttpRequest) -> HttpResponse:
    """Count whom the rows on the page mean."""
    key = request.POST.get("key", "")
    builder = Builder.typed(request.POST.dict(), Offered(besides=key))
    return render(request, "audience/_look.html", _look(request, builder, key))


@require_POST
@staff_member_required
@permission_required(VIEW, raise_exception=True)
def compare_live(request: HttpRequest) -> HttpResponse:
    """Count whom the rows on the page share with other audiences."""
    key = request.POST.get("key", "")
    builder = Builder.typed(request.POST.dict(), Offered(besides=key))
    return render(request, "audience/_overlaps.html", _compare(builder.draft, key))


@require_safe
@staff_member_required
@permission_required(("audience.view_customer", VIEW), raise_exception=True)
def members(request: HttpRequest, key: str) -> StreamingHttpResponse:
    """Hand out the stored members as CSV."""
    found = get_object_or_404(Audience, key=key)
    return StreamingHttpResponse(
        Pieces(write_members(found)),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{key}.csv"'},
    )


@staff_member_required
@permission_required(DELETE, raise_exception=True)
def delete(request: HttpRequest, key: str) -> HttpResponse:
    """Delete an audience that nothing uses, once somebody said so twice."""
    found = get_object_or_404(Audience, key=key)
    if request.method != "POST":
        return render(request, "audience/delete.html", {"audience": found})
    try:
        with transaction.atomic():
            delete_audience(found)
    except ValidationError as error:
        messages.error(request, error.messages[0])
    except ProtectedError as error:
        user = next(iter(error.protected_objects))
        messages.error(request, f"{found} cannot be deleted: {user} uses it.")
    else:
        messages.success(request, f"{found} is deleted.")
        return redirect("audiences")
    return redirect("audience", key=key)


def say(found: Audience, names: dict[str, str]) -> str:
    """Say whom an audience means."""
    if found.kind == AudienceKind.LIST:
        return "those of a list"
    try:
        return describe(parse_rule(found.rule), names)
    except NoRule:
        return "a rule that cannot be read any more"


def _names() -> dict[str, str]:
    return dict(Audience.objects.values_list("key", "name"))


def free_audience_key(name: str) -> str:
    """Return a key for a new audience that no other has."""
    return free_key(to_stem(name, otherwise="audience"), Audience)


def _build(request: HttpRequest, found: Audience) -> HttpResponse:
    """Show the builder of an audience that is new or not, and do what its buttons ask for."""
    offered = Offered(besides=found.key)
    is_asked = request.method == "POST"
    wanted = request.POST.get("do", "save") if is_asked else ""
    about = AboutForm(request.POST if is_asked else None, instance=found)
    if is_asked:
        builder: Builder | None = Builder.typed(request.POST.dict(), offered)
    else:
        draft = _stored_draft(found)
        builder = None if draft is None else Builder.of(draft, offered)
    context: dict[str, Any] = {
        "audience": found,
        "about": about,
        "builder": builder,
        "offered": offered,
        # Templates would call the classes themselves.
        "kinds": [{"kind": row.kind, "title": row.title} for row in ROWS.values()],
        "says": say(found, dict(offered.audiences)),
        "may_change": request.user.has_perm(CHANGE if found.pk else ADD),
    }
    if builder is not None and wanted == "save" and is_asked:
        context["is_checked"] = True
        if about.is_valid() and builder.is_valid and _save(request, found, about, builder):
            return redirect("audience", key=found.key)
    elif builder is not None and wanted == "look":
        context |= _look(request, builder, found.key) | _compare(builder.draft, found.key)
    elif builder is not None and wanted:
        builder.change(wanted)
    return render(request, "audience/builder.html", context)


def _stored_draft(found: Audience) -> Draft | None:
    try:
        return to_draft(parse_rule(found.rule))
    except NoRule:
        return None


def _save(request: HttpRequest, found: Audience, about: AboutForm, builder: Builder) -> bool:
    """Save what the page says, unless the rule is refused."""
    before = found.version
    rule = to_json(builder.draft.rule)
    if found.pk is None:
        found.key = free_audience_key(about.cleaned_data["name"])
    elif not about.is_current(rule=rule):
        if "rule" in about.overtaken:
            about.add_error(None, f"By now it means: {say(found, _names())}.")
        return False
    elif rule != found.rule and (against := reason_against_change(found, by=request.user)):
        about.add_error(None, against)
        return False
    about.save(commit=False)
    try:
        save_rule(found, rule)
    except ValidationError as error:
        about.add_error(None, error)
        return False
    transaction.on_commit(partial(wake, REFRESH_TASK))
    changed = f", as version {found.version}" if found.version != before else ""
    messages.success(request, f"{found.name} is saved{changed}.")
    return True


def _look(request: HttpRequest, builder: Builder, key: str) -> dict[str, Any]:
    draft = builder.draft
    try:
        look = look_at(draft, own_key=key or None, numbers=builder.complete)
    except NoRule as error:
        return {"why": str(error)}
    found = {"look": look, "incomplete": builder.incomplete}
    if not request.user.has_perm("audience.view_customer"):
        return found
    paths = paths_in(draft)
    sample = [
        {"customer": customer, "values": [find(customer.attributes, path) for path in paths]}
        for customer in find_sample(look)
    ]
    return found | {"paths": paths, "sample": sample}


def _compare(draft: Draft, key: str) -> dict[str, Any]:
    try:
        return {"overlaps": find_overlaps(draft, own_key=key or None)}
    except NoRule as error:
        return {"why": str(error)}
