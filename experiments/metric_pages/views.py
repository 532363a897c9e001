"""The pages on which a metric is defined: its type first, then what that type needs."""

from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_safe

from audience.customers.sampling import sample_event_names
from experiments.metric_pages.forms import METRIC_FORMS
from experiments.metrics import METRICS

ADD = "experiments.add_metric"


@require_safe
@staff_member_required
@permission_required(ADD, raise_exception=True)
def choose_type(request: HttpRequest) -> HttpResponse:
    """Ask which type of metric is wanted."""
    types = [
        {"kind": kind, "label": METRICS[kind].label, "explanation": form.explanation}
        for kind, form in METRIC_FORMS.items()
    ]
    return render(
        request, "experiments/metric_types.html", {"types": types, "next": _next(request)}
    )


@staff_member_required
@permission_required(ADD, raise_exception=True)
def define(request: HttpRequest, kind: str) -> HttpResponse:
    """Ask what the metric needs, and make it."""
    if kind not in METRIC_FORMS:
        raise Http404
    form = METRIC_FORMS[kind](request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        metric = form.save()
        messages.success(request, f"{metric.name} can be measured now.")
        return redirect(_next(request) or "metrics")
    context = {
        "form": form,
        "label": METRICS[kind].label,
        "events": sample_event_names(),
        "next": _next(request),
    }
    return render(request, "experiments/metric_new.html", context)


def _next(request: HttpRequest) -> str:
    """Return where to go afterwards, if that is a page of ours."""
    target = request.GET.get("next", "")
    hosts = {request.get_host()}
    return target if url_has_allowed_host_and_scheme(target, hosts, request.is_secure()) else ""
