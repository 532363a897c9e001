"""The report page of an experiment, and the button that asks for a fresh analysis."""

from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from experiments.lifecycle import request_analysis
from experiments.models import Analysis, Experiment
from experiments.reports import to_page

VIEW = "experiments.view_experiment"


@require_safe
@staff_member_required
@permission_required(VIEW, raise_exception=True)
def report(request: HttpRequest, key: str) -> HttpResponse:
    """Show the newest analysis."""
    experiment = get_object_or_404(Experiment, key=key)
    return render(request, "experiments/report.html", report_context(experiment))


@require_POST
@staff_member_required
@permission_required(VIEW, raise_exception=True)
def refresh(request: HttpRequest, key: str) -> HttpResponse:
    """Ask a worker for a fresh analysis and go back to the page."""
    experiment = get_object_or_404(Experiment, key=key)
    request_analysis(experiment, now=timezone.now())
    return redirect("experiment-report", key=key)


def report_context(experiment: Experiment) -> dict[str, object]:
    """Return what the report's template needs, also as a part of another page."""
    analysis: Analysis | None = experiment.analyses.order_by("-computed_at").first()
    return {
        "experiment": experiment,
        "analysis": analysis,
        "page": None if analysis is None else to_page(analysis),
        "is_waiting": experiment.analysis_requested_at is not None,
        "changes": experiment.changes.select_related("by")[:20],
    }
