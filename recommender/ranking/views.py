"""The page of a ranking: its versions and what they are worth, examples, and what can be done."""

import json
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from recommender.models.rankings import RankerCheck, RankerVersion, Ranking, Status
from recommender.rankers import ranker_choices
from recommender.ranking.examples import find_examples
from recommender.ranking.lifecycle import CAN_BE_SERVED, request_version, serve_version
from recommender.ranking.wording import say_rules
from wire.wakeups import wake

VIEW, CHANGE = "recommender.view_ranking", "recommender.change_ranking"
TASK = "recommender.train_rankers"
SHOWN = 20
# What the table has a column for, in the words of its heading.
MEASURES = {
    "ndcg@10": "NDCG@10",
    "recall@10": "Recall@10",
    "mrr@10": "MRR@10",
    "coverage": "Coverage",
    "novelty": "Novelty, bits",
    "diversity": "Diversity",
    "miscalibration": "Miscalibration",
    "popularity lift": "Popularity lift",
}


class TrainForm(forms.Form):
    """Which ranker is to be trained, and how."""

    kind = forms.ChoiceField(label="Ranker", choices=ranker_choices, initial="blend")
    settings = forms.JSONField(
        required=False,
        initial=dict,
        widget=forms.TextInput,
        help_text='Only what differs from its own, such as {"lags": 10}.',
    )


@require_safe
@staff_member_required
@permission_required(VIEW, raise_exception=True)
def ranking(request: HttpRequest, key: str) -> HttpResponse:
    """Show what was trained, how good it is, and what some customers would see."""
    found = get_object_or_404(Ranking, key=key)
    return _show(request, found, TrainForm())


@require_POST
@staff_member_required
@permission_required(CHANGE, raise_exception=True)
def train(request: HttpRequest, key: str) -> HttpResponse:
    """Ask for a ranker to be trained."""
    found = get_object_or_404(Ranking, key=key)
    form = TrainForm(request.POST)
    if form.is_valid():
        try:
            kind = form.cleaned_data["kind"]
            version = request_version(
                found,
                kind=kind,
                hyperparameters=found.settings_of(kind, form.cleaned_data["settings"] or {}),
                by=request.user if isinstance(request.user, User) else None,
                now=timezone.now(),
            )
        except ValidationError as error:
            form.add_error("settings", error)
        else:
            wake(TASK)
            messages.success(request, f"Version {version.number} waits for a worker.")
            return redirect(found)
    return _show(request, found, form)


@require_POST
@staff_member_required
@permission_required(CHANGE, raise_exception=True)
def serve(request: HttpRequest, key: str, number: int) -> HttpResponse:
    """Serve a version from now on."""
    version = get_object_or_404(RankerVersion, ranking__key=key, number=number)
    try:
        serve_version(version, now=timezone.now())
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, f"Version {number} is served from now on.")
    return redirect(version.ranking)


def _show(request: HttpRequest, found: Ranking, form: TrainForm) -> HttpResponse:
    versions = found.versions.select_related("requested_by").defer("followers")[:SHOWN]
    context = {
        "ranking": found,
        "versions": [_describe(version) for version in versions],
        "measures": MEASURES.values(),
        "rules": say_rules(found.rules),
        "tuned": [(kind, json.dumps(each)) for kind, each in sorted(found.tuned.items()) if each],
        "check": RankerCheck.objects.filter(
            version__ranking=found, version__status=Status.SERVED
        ).first(),
        "examples": find_examples(found, now=timezone.now()),
        "form": form,
    }
    return render(request, "recommender/ranking.html", context)


def _describe(version: RankerVersion) -> dict[str, Any]:
    """Put a version's numbers in the order of the columns, its rivals' in lines of their own."""
    lines = [
        (name, [(label, means.get(measure)) for measure, label in MEASURES.items()])
        for name, means in version.metrics.items()
    ]
    return {
        "version": version,
        "settings": json.dumps(version.hyperparameters) if version.hyperparameters else "",
        "lines": lines,
        "percent": round(100 * version.progress),
        "can_be_served": version.status in CAN_BE_SERVED and version.state is not None,
    }
