"""The report page of an experiment, and the button that asks for a fresh analysis."""

from dataclasses import replace
from datetime import datetime

from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from experiments.lifecycle import request_analysis
from experiments.models import Analysis, Experiment
from experiments.reports import to_page

VIEW = "experiments.view_experiment"
PEEK = "experiments.peek_at_results"
# Findings that say which way the effect goes: they are results too.
TELLING = ("effect_grows", "effect_fades", "interaction")


@require_safe
@staff_member_required
@permission_required(VIEW, raise_exception=True)
def report(request: HttpRequest, key: str) -> HttpResponse:
    """Show the newest analysis."""
    experiment = get_object_or_404(Experiment, key=key)
    context = report_context(experiment, user=request.user, now=timezone.now())
    return render(request, "experiments/report.html", context)


@require_POST
@staff_member_required
@permission_required(VIEW, raise_exception=True)
def refresh(request: HttpRequest, key: str) -> HttpResponse:
    """Ask a worker for a fresh analysis and go back to the page."""
    experiment = get_object_or_404(Experiment, key=key)
    request_analysis(experiment, now=timezone.now())
    return redirect("experiment-report", key=key)


def report_context(
    experiment: Experiment, *, user: User | AnonymousUser, now: datetime
) -> dict[str, object]:
    """Return what the report's template needs, also as a part of another page.

    Before the minimum duration results are hidden, but not what makes them untrustworthy or harm:
    early numbers get about, and whoever saw them stops too soon.
    """
    analysis: Analysis | None = (
        experiment.analyses.defer("moments").order_by("-computed_at", "-pk").first()
    )
    hidden_until = experiment.hidden_until(now)
    is_hidden = hidden_until is not None and not user.has_perm(PEEK)
    page = None if analysis is None else to_page(analysis)
    if page is not None and is_hidden:
        page = replace(page, findings=[f for f in page.findings if f["code"] not in TELLING])
    return {
        "experiment": experiment,
        "analysis": analysis,
        "page": page,
        "plan": experiment.plans.last(),
        "hidden_until": hidden_until,
        "is_hidden": is_hidden,
        "is_waiting": experiment.analysis_requested_at is not None,
        "changes": experiment.changes.select_related("by")[:20],
    }
