"""Pages on which an audience is decided for beforehand, and which hand out what was decided."""

from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from campaigns.assigning.asking import ask_for_assignment
from campaigns.assigning.files import find_rows, write_csv
from campaigns.models import Assignment, Campaign
from experiments.lifecycle.status import record_change
from wire.downloads import Pieces

SHOWN = 20


@staff_member_required
@permission_required("campaigns.view_campaign", raise_exception=True)
def assignments(request: HttpRequest, key: str) -> HttpResponse:
    """Show how far a campaign's assignments are, and take the wish for another."""
    campaign = get_object_or_404(Campaign.objects.select_related("experiment"), key=key)
    if request.method == "POST":
        return _ask(request, campaign)
    found = list(Assignment.objects.filter(campaign=campaign).order_by("-asked_at")[:SHOWN])
    context = {
        "campaign": campaign,
        "assignments": found,
        "is_moving": any(each.finished_at is None for each in found),
    }
    name = "_assignments.html" if request.headers.get("hx-request") else "assignments.html"
    return render(request, f"campaigns/{name}", context)


@permission_required("campaigns.change_campaign", raise_exception=True)
def _ask(request: HttpRequest, campaign: Campaign) -> HttpResponse:
    assert isinstance(request.user, User), "the page is for people with an account"
    try:
        assignment = ask_for_assignment(campaign, by=request.user, now=timezone.now())
    except ValidationError as error:
        messages.error(request, error.messages[0])
    else:
        messages.success(request, f"{assignment.total:,} customers are being decided for.")
    return redirect("campaign-assignments", key=campaign.key)


@require_safe
@staff_member_required
@permission_required(["campaigns.change_campaign", "audience.view_customer"], raise_exception=True)
def download(request: HttpRequest, key: str, assignment_id: int) -> StreamingHttpResponse:
    """Hand out who was assigned which offer, as CSV, and note who took it."""
    assignment = get_object_or_404(
        Assignment.objects.select_related("campaign__experiment"),
        pk=assignment_id,
        campaign__key=key,
        finished_at__isnull=False,
    )
    assert isinstance(request.user, User), "the page is for people with an account"
    record_change(
        assignment.campaign.experiment,
        f"downloaded who was assigned which offer at {assignment.asked_at:%Y-%m-%d %H:%M} UTC",
        by=request.user,
        now=timezone.now(),
    )
    with_nobodys = request.GET.get("who") == "everybody"
    lines = write_csv(find_rows(assignment, with_nobodys=with_nobodys))
    name = f"{key}-{assignment.asked_at:%Y%m%d-%H%M}.csv"
    return StreamingHttpResponse(
        Pieces(lines),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
