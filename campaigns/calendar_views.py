"""Pages over all campaigns: when each runs, and what waits for somebody's approval."""

from datetime import date, datetime, timedelta

from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from campaigns.models import Campaign, CampaignReview, Status
from experiments.charts import Bar, calendar_chart

# So far back and ahead the calendar looks.
AROUND = timedelta(days=92)
MOST = 200


@require_safe
@staff_member_required
@permission_required("campaigns.view_campaign", raise_exception=True)
def calendar(request: HttpRequest) -> HttpResponse:
    """Show from when to when campaigns run, those to come too."""
    now = timezone.now()
    found = _find_around(now)
    bars = [_bar(campaign, begins, ends) for campaign, begins, ends in found]
    chart = calendar_chart(bars, today=now.date(), title="When campaigns run") if bars else ""
    return render(request, "campaigns/calendar.html", {"lines": found, "chart": chart})


@require_safe
@staff_member_required
@permission_required("campaigns.view_campaign", raise_exception=True)
def approvals(request: HttpRequest) -> HttpResponse:
    """List what waits for an answer, the oldest first."""
    waiting = (
        CampaignReview.objects.filter(answered_at=None, campaign__status=Status.IN_REVIEW)
        .select_related("campaign__placement", "requested_by")
        .order_by("requested_at")
    )
    return render(request, "campaigns/approvals.html", {"waiting": waiting[:MOST]})


def _find_around(now: datetime) -> list[tuple[Campaign, date, date | None]]:
    """Find the campaigns of these months, each with its first and last day as far as known."""
    campaigns = (
        Campaign.objects.select_related("experiment", "placement")
        .exclude(ends_at__lt=now - AROUND)
        .exclude(experiment__stopped_at__lt=now - AROUND)
        .order_by(F("starts_at").asc(nulls_last=True), "pk")
    )
    found: list[tuple[Campaign, date, date | None]] = []
    for campaign in campaigns[:MOST]:
        begins = campaign.experiment.started_at or campaign.starts_at
        ends = campaign.experiment.stopped_at or campaign.ends_at
        if begins is not None:
            found.append((campaign, begins.date(), None if ends is None else ends.date()))
    return sorted(found, key=lambda line: line[1])


def _bar(campaign: Campaign, begins: date, ends: date | None) -> Bar:
    until = f"to {ends:%-d %b %Y}" if ends else "until somebody finishes it"
    return Bar(
        campaign.name,
        begins,
        ends or begins + AROUND,
        f"{begins:%-d %b} {until}",
        is_over=campaign.status == Status.FINISHED,
    )
