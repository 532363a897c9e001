"""Pages over all experiments: the list, the calendar, the programme, and each metric's."""

from collections.abc import Sequence
from datetime import date

from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from experiments.charts import Bar, Chart, TimePoint, calendar_chart, lift_timeline
from experiments.metrics import METRICS
from experiments.metrics.base import read_params
from experiments.models import Metric, Status
from experiments.overview.listing import SORTS, Span, list_experiments, list_moved, list_spans
from experiments.overview.programme import Impact, find_impact
from experiments.views import PEEK, VIEW
from experiments.wording import say_lift


@require_safe
@staff_member_required
@permission_required(VIEW, raise_exception=True)
def experiments(request: HttpRequest) -> HttpResponse:
    """List all experiments, sorted and filtered as asked."""
    sort, status = request.GET.get("sort", "newest"), request.GET.get("status", "")
    context = {
        "lines": list_experiments(
            sort=sort,
            status=status if status in Status.values else "",
            may_peek=request.user.has_perm(PEEK),
            now=timezone.now(),
        ),
        "sorts": SORTS,
        "sort": sort,
        "statuses": Status.choices,
        "status": status,
    }
    return render(request, "experiments/list.html", context)


@require_safe
@staff_member_required
@permission_required(VIEW, raise_exception=True)
def calendar(request: HttpRequest) -> HttpResponse:
    """Show from when to when experiments run."""
    now = timezone.now()
    spans = list_spans(now=now)
    context = {"spans": spans, "today": now.date(), "chart": _draw(spans, today=now.date())}
    return render(request, "experiments/calendar.html", context)


@require_safe
@staff_member_required
@permission_required(VIEW, raise_exception=True)
def programme(request: HttpRequest) -> HttpResponse:
    """Show what all shipped experiments come to, and what hold-outs say of it."""
    impacts, prior = find_impact()
    context = {"impacts": [(impact, _add_up(impact)) for impact in impacts], "prior": prior}
    return render(request, "experiments/programme.html", context)


@require_safe
@staff_member_required
@permission_required("experiments.view_metric", raise_exception=True)
def metrics(request: HttpRequest) -> HttpResponse:
    """List all metrics."""
    found = [(metric, _describe(metric)) for metric in Metric.objects.order_by("name")]
    return render(request, "experiments/metrics.html", {"metrics": found})


@require_safe
@staff_member_required
@permission_required("experiments.view_metric", raise_exception=True)
def metric(request: HttpRequest, key: str) -> HttpResponse:
    """Show what a metric measures, and every experiment that moved it."""
    found = get_object_or_404(Metric, key=key)
    moved = list_moved(found, may_peek=request.user.has_perm(PEEK), now=timezone.now())
    context = {"metric": found, "describes": _describe(found), "moved": moved}
    return render(request, "experiments/metric.html", context)


def _add_up(impact: Impact) -> Chart:
    """Draw what the shipped experiments come to, after each of them."""
    points = [
        TimePoint(one.at, total.lift, total.interval.low, total.interval.high)
        for one, total in zip(impact.shipped, impact.totals, strict=True)
    ]
    return lift_timeline(
        points, unit="percent", title=f"Lift of {impact.name}, added up", say=say_lift
    )


def _draw(spans: Sequence[Span], *, today: date) -> str:
    bars = [
        Bar(
            span.experiment.name,
            span.begins,
            span.ends,
            f"{span.begins:%-d %b} to {'about ' if span.is_estimated else ''}{span.ends:%-d %b %Y}",
            is_over=span.experiment.stopped_at is not None,
        )
        for span in spans
    ]
    return calendar_chart(bars, today=today, title="When experiments run") if bars else ""


def _describe(metric: Metric) -> str:
    kind = METRICS[metric.kind]
    return kind.describe(read_params(kind, metric.params))
