"""The pages of A/A replays: ask for one, watch it, read what came out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from audience.customers.sampling import sample_event_names
from experiments.charts.histogram import histogram
from experiments.models import Metric, Replay
from experiments.replays.runs import request_replay
from experiments.views import VIEW
from experiments.wording import say_value

ADD = "experiments.add_replay"
MOST_LISTED = 50


class ReplayForm(forms.Form):
    """Which metrics, over whom, and how often."""

    metrics = forms.ModelMultipleChoiceField(
        Metric.objects.order_by("name"), widget=forms.CheckboxSelectMultiple
    )
    entry = forms.CharField(
        max_length=255,
        label="Customers enter by the event",
        widget=forms.TextInput(attrs={"list": "events", "autocomplete": "off"}),
    )
    splits = forms.IntegerField(
        min_value=100,
        max_value=10_000,
        initial=1000,
        label="Random splits",
        help_text="More of them make the band narrower.",
    )


@dataclass(frozen=True, slots=True)
class Line:
    """One metric of a finished replay, in words and as a picture."""

    name: str
    sentence: str
    is_sound: bool
    numbers: Sequence[tuple[str, str]]
    picture: str


@require_http_methods(["GET", "HEAD", "POST"])
@staff_member_required
@permission_required(VIEW, raise_exception=True)
def replays(request: HttpRequest) -> HttpResponse:
    """List all replays, and ask for another one."""
    form = ReplayForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        if not request.user.has_perm(ADD):
            raise PermissionDenied
        if form.is_valid():
            assert isinstance(request.user, User), "the page is for people with an account"
            replay = request_replay(
                list(form.cleaned_data["metrics"]),
                entry=form.cleaned_data["entry"],
                splits=form.cleaned_data["splits"],
                by=request.user,
                now=timezone.now(),
            )
            return redirect("replay", pk=replay.pk)
    context = {
        "form": form,
        "events": sample_event_names(),
        "replays": Replay.objects.order_by("-pk").prefetch_related("metrics")[:MOST_LISTED],
    }
    return render(request, "experiments/replays.html", context)


@require_safe
@staff_member_required
@permission_required(VIEW, raise_exception=True)
def replay(request: HttpRequest, pk: int) -> HttpResponse:
    """Show how far a replay is, or what came out; the live part asks for the inner part alone."""
    found = get_object_or_404(Replay, pk=pk)
    context: dict[str, Any] = {
        "replay": found,
        "customers": found.result.get("customers"),
        "entered": found.result.get("entered"),
        "error": found.result.get("error"),
        "lines": [_say(found, metric) for metric in found.result.get("metrics", [])],
    }
    is_live = request.headers.get("HX-Request") == "true"
    name = "experiments/_replay.html" if is_live else "experiments/replay.html"
    return render(request, name, context)


def _say(replay: Replay, metric: dict[str, Any]) -> Line:
    without = f"{metric['without']:,}"
    if metric["found"] is None:
        sentence = "In no split was there enough to compare."
        return Line(metric["name"], sentence, False, [("Splits without an estimate", without)], "")
    found, low, high = (
        say_value(metric[name], unit="percent", digits=2) for name in ("found", "low", "high")
    )
    sentence = (
        f"Of {metric['known']:,} random splits of {replay.result['customers']:,} customers {found} "
        f"found an effect where there was none; chance alone gives {low} to {high}.{_judge(metric)}"
    )
    numbers = [
        ("Splits that found an effect", found),
        ("Chance alone gives, in 99 of 100 replays", f"{low} to {high}"),
        ("Within that band", "yes" if metric["is_sound"] else "no"),
        ("Splits without an estimate", without),
        (
            "Largest distance of p-values from even (Kolmogorov-Smirnov)",
            f"{metric['distance']:.3f}",
        ),
        ("Even p-values would be that far off with", f"p = {metric['p_value']:.2g}"),
    ]
    picture = histogram(
        metric["histogram"],
        low="p = 0",
        high="p = 1",
        title=f"p-values of {metric['name']}",
        text=f"In twentieths from 0 to 1: {', '.join(map(str, metric['histogram']))}.",
    )
    return Line(metric["name"], sentence, metric["is_sound"], numbers, picture)


def _judge(metric: dict[str, Any]) -> str:
    """Say what a share outside its band means; nothing of one inside."""
    if metric["is_sound"]:
        return ""
    if metric["found"] > metric["high"]:
        return " That is too many: an experiment on this metric would often win by chance."
    return (
        " That is too few: an experiment on this metric would miss effects that are there, as a "
        "few customers outweigh all others, or too few do anything. A cap may help."
    )
