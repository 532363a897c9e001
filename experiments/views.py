"""The report page of an experiment, and the button that asks for a fresh analysis."""

from dataclasses import replace
from datetime import datetime

from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from experiments.lifecycle.acts import ACTS, ActForm, is_possible, possible_acts
from experiments.lifecycle.shipping import find_holdouts
from experiments.lifecycle.status import request_analysis, right_to_run
from experiments.models import Analysis, Experiment
from experiments.reports import to_page
from experiments.reports.differences import find_differences
from experiments.reports.timeline import draw_timelines

VIEW = "experiments.view_experiment"
PEEK = "experiments.peek_at_results"
ANALYSE = "experiments.analyse_experiment"
# What a report can be taken along as.
EXPORTS = {"pdf": "PDF", "csv": "CSV", "ipynb": "Notebook that checks it", "sql": "SQL behind it"}
# Findings that say which way the effect goes: they are results too.
TELLING = ("effect_grows", "effect_fades", "interaction")


@require_safe
@staff_member_required
@permission_required(VIEW, raise_exception=True)
def report(request: HttpRequest, key: str) -> HttpResponse:
    """Show the newest analysis."""
    experiment = get_object_or_404(Experiment, key=key)
    context = report_context(
        experiment, user=request.user, now=timezone.now(), by=request.GET.get("by", "")
    )
    return render(request, "experiments/report.html", context)


@require_POST
@staff_member_required
@permission_required(ANALYSE, raise_exception=True)
def refresh(request: HttpRequest, key: str) -> HttpResponse:
    """Ask a worker for a fresh analysis and go back to the page."""
    experiment = get_object_or_404(Experiment, key=key)
    request_analysis(experiment, now=timezone.now())
    return redirect("experiment-report", key=key)


@staff_member_required
@permission_required(VIEW, raise_exception=True)
def act(request: HttpRequest, key: str, verb: str) -> HttpResponse:
    """Explain what can be done to an experiment, and do it when it is confirmed."""
    experiment = get_object_or_404(Experiment, key=key, is_standalone=True)
    if not request.user.has_perm(right_to_run(experiment)):
        raise PermissionDenied
    if verb not in ACTS:
        raise Http404
    chosen = ACTS[verb]
    if not is_possible(verb, experiment):
        label = experiment.get_status_display().lower()
        messages.error(request, f"{chosen.verb}: that cannot be done. {experiment} is {label}.")
        return redirect(experiment)
    form = ActForm(experiment, verb, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid() and form.is_current():
        assert isinstance(request.user, User), "the page is for people with an account"
        reason = form.cleaned_data["reason"]
        try:
            chosen.take(experiment, form.cleaned_data, request.user, timezone.now(), reason)
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        else:
            messages.success(request, f"{experiment}: done.")
            return redirect(experiment)
    context = {
        "experiment": experiment,
        "act": chosen,
        "explanation": chosen.explain(experiment),
        "form": form,
    }
    return render(request, "experiments/act.html", context)


@require_safe
@staff_member_required
@permission_required(VIEW, raise_exception=True)
def snapshot(request: HttpRequest, key: str, pk: int) -> HttpResponse:
    """Show an earlier analysis as it was, and what has changed since, or up to another one."""
    experiment = get_object_or_404(Experiment, key=key)
    if experiment.hidden_until(timezone.now()) is not None and not request.user.has_perm(PEEK):
        raise PermissionDenied
    analyses = experiment.analyses.select_related("plan_version")
    shown = get_object_or_404(analyses, pk=pk)
    wanted = request.GET.get("to", "")
    other = analyses.filter(pk=int(wanted)).first() if wanted.isdecimal() else None
    other = other or analyses.latest()
    before, after = sorted((shown, other), key=lambda one: (one.computed_at, one.pk))
    context = {
        "experiment": experiment,
        "analysis": shown,
        "page": to_page(shown),
        "before": before,
        "after": after,
        "differences": find_differences(before.report, after.report),
        "history": analyses.filter(look__isnull=False).values("pk", "computed_at", "summary")[:50],
    }
    return render(request, "experiments/snapshot.html", context)


def report_context(
    experiment: Experiment, *, user: User | AnonymousUser, now: datetime, by: str = ""
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
    page = None if analysis is None else to_page(analysis, by=by)
    if page is not None and is_hidden:
        page = replace(page, findings=[f for f in page.findings if f["code"] not in TELLING])
    timelines = []
    if analysis is not None and page is not None and not is_hidden:
        timelines = draw_timelines(experiment, analysis, noun=page.metrics[0].name)
    return {
        "experiment": experiment,
        "analysis": analysis,
        "timelines": timelines,
        "history": experiment.analyses.filter(look__isnull=False).values(
            "pk", "computed_at", "summary"
        )[:50]
        if not is_hidden
        else (),
        "page": page,
        "plans": list(experiment.plans.all()),
        "hidden_until": hidden_until,
        "is_hidden": is_hidden,
        "is_waiting": experiment.analysis_requested_at is not None,
        "holdouts": find_holdouts(experiment),
        "halted": experiment.arms.exclude(halted_at=None) if experiment.is_standalone else (),
        "exports": EXPORTS,
        "acts": possible_acts(experiment) if user.has_perm(right_to_run(experiment)) else {},
        "changes": experiment.changes.select_related("by")[:20],
    }
