"""The pages of setting up: a step at a time, the planner beside it, and the review."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from audience.conditions import describe
from audience.matching import NotInSql, count_customers
from audience.naming import free_key, to_stem
from audience.overwriting import check_shown
from experiments.assigning.assignment import BUCKETS
from experiments.lifecycle.design import digest_design
from experiments.lifecycle.drafting import ArmPlan, plan_experiment
from experiments.lifecycle.preflight import find_issues
from experiments.lifecycle.reviewing import answer_review, reopen_draft, request_review
from experiments.lifecycle.status import APPROVE, lock, record_change
from experiments.models import UNSTARTED, Experiment, Status
from experiments.setup import STEPS
from experiments.setup.audience import AudienceStep, keep_to_holdouts
from experiments.setup.idea import IdeaStep
from experiments.setup.planner import PlannerForm, seek_advice

ADD = "experiments.add_experiment"
CHANGE = "experiments.change_experiment"
VIEW = "experiments.view_experiment"
# What is done to the experiment exactly as the page shows it.
SETTLING = ("request", "approve")

# Until the planner says better.
USUAL_CUSTOMERS = 10_000
HOLDOUT_ARMS = (
    ArmPlan("held-out", "Held out", BUCKETS // 20, is_control=True),
    ArmPlan("open", "Open", BUCKETS - BUCKETS // 20),
)
USUAL_ARMS = (
    ArmPlan("control", "Control", BUCKETS // 2, is_control=True),
    ArmPlan("treatment", "Treatment", BUCKETS // 2),
)


@staff_member_required
@permission_required(ADD, raise_exception=True)
def begin(request: HttpRequest) -> HttpResponse:
    """Ask for the idea of a new experiment, and draft it."""
    is_holdout, is_global = "holdout" in request.GET, request.GET.get("holdout") == "all"
    form = IdeaStep(Experiment(), request.POST or None)
    if request.method == "POST" and form.is_valid():
        user = _user(request)
        with transaction.atomic():
            key = free_key(to_stem(form.cleaned_data["name"], otherwise="experiment"), Experiment)
            experiment = plan_experiment(
                key=key,
                name=form.cleaned_data["name"],
                arms=HOLDOUT_ARMS if is_holdout else USUAL_ARMS,
                hypothesis=form.cleaned_data["hypothesis"],
                planned_customers=USUAL_CUSTOMERS,
                minimum_days=28 if is_holdout else 14,
                is_standalone=True,
                is_holdout=is_holdout,
                is_global=is_global,
                created_by=user,
            )
            if not is_holdout:
                keep_to_holdouts(experiment)
            record_change(experiment, "drafted", by=user, now=timezone.now())
        return redirect("setup-step", key=experiment.key, name="arms")
    context = {
        "form": form,
        "is_holdout": is_holdout,
        "is_global": is_global,
        "steps": _steps("idea"),
    }
    return render(request, "experiments/setup/begin.html", context)


@staff_member_required
@permission_required(CHANGE, raise_exception=True)
@transaction.atomic
def step(request: HttpRequest, key: str, name: str) -> HttpResponse:
    """Show one step of a draft, and save it."""
    experiment = _find(key)
    if request.method == "POST":
        # Nobody starts it, asks for its review or saves this step meanwhile.
        experiment = lock(experiment)
    if name not in STEPS:
        raise Http404
    if experiment.status not in UNSTARTED:
        return _lead_on(request, experiment)
    if experiment.status != Status.DRAFT:
        return redirect("setup-review", key=key)
    form = STEPS[name](experiment, request.POST if request.method == "POST" else None)
    # What a link of the planner proposes.
    form.initial.update({f: request.GET[f] for f in form.fields if f in request.GET})
    is_saved = request.method == "POST" and "add" not in request.POST
    if is_saved and form.is_valid() and form.is_current():
        try:
            with transaction.atomic():
                form.write()
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return redirect(_after(name, key))
    context = {
        "experiment": experiment,
        "form": form,
        "name": name,
        "steps": _steps(name),
        # A row that was only added is no mistake yet.
        "is_checked": is_saved,
        "planner": PlannerForm(experiment),
    }
    return render(request, form.template, context)


@require_safe
@staff_member_required
@permission_required(CHANGE, raise_exception=True)
def plan_live(request: HttpRequest, key: str) -> HttpResponse:
    """Say how long it takes to find an effect, from the site's own history."""
    experiment = _draft(key)
    form = PlannerForm(experiment, request.GET)
    context: dict[str, Any] = {"experiment": experiment, "planner": form}
    if form.is_valid():
        context |= seek_advice(experiment, form, now=timezone.now())
    return render(request, "experiments/setup/_advice.html", context)


@require_POST
@staff_member_required
@permission_required(CHANGE, raise_exception=True)
def count_live(request: HttpRequest, key: str) -> HttpResponse:
    """Count the customers whom the conditions on the page describe."""
    form = AudienceStep(_draft(key), request.POST)
    form.is_valid()
    condition = form.condition
    try:
        count, why = count_customers(condition), ""
    except (NotInSql, ValueError) as error:
        count, why = None, str(error)
    context = {"count": count, "why": why, "says": describe(condition) if condition else ""}
    return render(request, "experiments/setup/_count.html", context)


@staff_member_required
@permission_required(VIEW, raise_exception=True)
def review(request: HttpRequest, key: str) -> HttpResponse:
    """Show the whole design, what is wrong with it, and what can be done with it."""
    experiment = _find(key)
    if experiment.status not in UNSTARTED:
        return _lead_on(request, experiment)
    now = timezone.now()
    if request.method == "POST":
        try:
            with transaction.atomic():
                locked = lock(experiment)
                check_shown(request.POST, settling=SETTLING, digest=lambda: digest_design(locked))
                return _act(request, experiment)
        except ValidationError as error:
            for message in error.messages:
                messages.error(request, message)
            return redirect("setup-review", key=key)
    context = {
        "experiment": experiment,
        "arms": experiment.arms.all(),
        "measured": experiment.measured.select_related("metric"),
        "required": experiment.prerequisites.select_related("arm__experiment"),
        "audience": describe(experiment.audience) if experiment.audience else "",
        "issues": find_issues(experiment, now=now),
        "digest": digest_design(experiment),
        "open_review": experiment.reviews.filter(answered_at=None).first(),
        "reviews": experiment.reviews.select_related("requested_by", "answered_by")[:10],
        "is_startable": not settings.REVIEW_IS_REQUIRED or experiment.status == Status.APPROVED,
        "steps": _steps("review"),
        "changes": experiment.changes.select_related("by")[:20],
    }
    return render(request, "experiments/setup/review.html", context)


def _act(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Do what a button of the review page asks for."""
    user, now = _user(request), timezone.now()
    note = request.POST.get("note", "")[:1000].replace("\0", "")
    match request.POST.get("do"):
        case "request" if user.has_perm(CHANGE):
            request_review(experiment, by=user, now=now, note=note)
            messages.success(request, "Somebody else can approve it now.")
        case "approve" | "send_back" as answer if user.has_perm(APPROVE):
            answer_review(experiment, by=user, now=now, is_approved=answer == "approve", note=note)
            done = "approved" if answer == "approve" else "sent back"
            messages.success(request, f"{experiment} is {done}.")
        case "reopen" if user.has_perm(CHANGE):
            reopen_draft(experiment, by=user, now=now)
            return redirect("setup-step", key=experiment.key, name="idea")
        case _:
            raise ValidationError("You may not do this.")
    return redirect("setup-review", key=experiment.key)


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User), "the page is for people with an account"
    return request.user


def _find(key: str) -> Experiment:
    return get_object_or_404(
        Experiment.objects.select_related("group"), key=key, is_standalone=True
    )


def _draft(key: str) -> Experiment:
    experiment = _find(key)
    if experiment.status not in UNSTARTED:
        raise Http404
    return experiment


def _lead_on(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Lead whoever comes late from the set-up to what became of it."""
    label = experiment.get_status_display().lower()
    messages.info(request, f"{experiment} is {label}: it is not set up any more.")
    return redirect(experiment)


def _steps(current: str) -> list[dict[str, Any]]:
    titles = {name: step.title for name, step in STEPS.items()} | {"review": "Review"}
    return [
        {"name": name, "title": title, "is_current": name == current}
        for name, title in titles.items()
    ]


def _after(name: str, key: str) -> str:
    names = list(STEPS)
    position = names.index(name) + 1
    if position == len(names):
        return f"/setup/{key}/"
    return f"/setup/{key}/{names[position]}/"
