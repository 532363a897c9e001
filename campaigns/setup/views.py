"""The pages of setting a campaign up: a step at a time, and the review."""

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
from django.views.decorators.http import require_safe

from audience.audiences.counting import count
from audience.audiences.saving import find_rule
from audience.models import Audience
from audience.overwriting import check_shown
from audience.rules.grammar import NoRule
from audience.rules.wording import describe
from campaigns.lifecycle.cloning import clone_campaign
from campaigns.lifecycle.design import compare, describe_campaign, digest_document
from campaigns.lifecycle.drafting import CampaignPlan, draft_campaign, free_campaign_key
from campaigns.lifecycle.preflight import find_issues
from campaigns.lifecycle.reviewing import answer_review, reopen_draft, request_review
from campaigns.lifecycle.status import lock_campaign, schedule_campaign, start_campaign
from campaigns.models import UNSTARTED, Campaign, Status
from campaigns.sending.step_conditions import describe_steps
from campaigns.setup import STEPS
from campaigns.setup.idea import IdeaStep
from experiments.lifecycle.status import record_change

ADD = "campaigns.add_campaign"
CHANGE = "campaigns.change_campaign"
VIEW = "campaigns.view_campaign"
APPROVE = "campaigns.approve_campaign"

# What is done to the campaign exactly as the page shows it.
SETTLING = ("request", "approve", "schedule", "start")

# Until somebody says better.
USUAL_CUSTOMERS = 5_000


@staff_member_required
@permission_required(ADD, raise_exception=True)
def begin(request: HttpRequest) -> HttpResponse:
    """Ask for the idea of a new campaign, and draft it."""
    form = IdeaStep(Campaign(), request.POST or None)
    if request.method == "POST" and form.is_valid():
        user, name = _user(request), form.cleaned_data["name"]
        with transaction.atomic():
            plan = CampaignPlan(
                key=free_campaign_key(name),
                name=name,
                placement=form.cleaned_data["placement"],
                goal=form.cleaned_data["goal"],
                planned_customers=USUAL_CUSTOMERS,
                created_by=user,
            )
            campaign = draft_campaign(plan)
            record_change(campaign.experiment, "drafted", by=user, now=timezone.now())
        return redirect("campaign-setup-step", key=campaign.key, name="audience")
    context = {"form": form, "steps": _steps(None, "idea"), "is_checked": request.method == "POST"}
    return render(request, form.template, context)


@staff_member_required
@permission_required(CHANGE, raise_exception=True)
@transaction.atomic
def step(request: HttpRequest, key: str, name: str) -> HttpResponse:
    """Show one step of a draft, and save it."""
    campaign = _find(key)
    if request.method == "POST":
        # Nobody starts it, asks for its review or saves this step meanwhile.
        campaign = lock_campaign(campaign)
    if name not in STEPS:
        raise Http404
    if campaign.status not in UNSTARTED:
        return _lead_on(request, campaign)
    if campaign.status != Status.DRAFT:
        return redirect("campaign-setup", key=key)
    form = STEPS[name](campaign, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid() and form.is_current():
        try:
            with transaction.atomic():
                form.write()
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return _after(campaign, name)
    context = {
        "campaign": campaign,
        "form": form,
        "name": name,
        "steps": _steps(campaign, name),
        "is_checked": request.method == "POST",
    }
    return render(request, form.template, context)


@require_safe
@staff_member_required
@permission_required(VIEW, raise_exception=True)
def count_live(request: HttpRequest) -> HttpResponse:
    """Count the audience that is chosen on the page, and say who it is."""
    chosen = request.GET.get("audience", "")
    audience = Audience.objects.filter(pk=chosen).first() if chosen.isdecimal() else None
    context: dict[str, Any] = {"audience": audience}
    if audience is not None:
        try:
            rule = find_rule(audience)
            context["count"], context["at"] = count(rule)
            context["says"] = describe(rule, dict(Audience.objects.values_list("key", "name")))
        except NoRule as error:
            context["why"] = str(error)
    return render(request, "campaigns/setup/_count.html", context)


@staff_member_required
@permission_required(VIEW, raise_exception=True)
def review(request: HttpRequest, key: str) -> HttpResponse:
    """Show the whole campaign, what is wrong with it, and what can be done with it."""
    campaign = _find(key)
    if campaign.status not in UNSTARTED:
        return _lead_on(request, campaign)
    if request.method == "POST":
        try:
            with transaction.atomic():
                locked = lock_campaign(campaign)
                check_shown(
                    request.POST,
                    settling=SETTLING,
                    digest=lambda: digest_document(describe_campaign(locked)),
                )
                return _act(request, campaign)
        except ValidationError as error:
            for message in error.messages:
                messages.error(request, message)
            return redirect("campaign-setup", key=key)
    approved = campaign.reviews.filter(is_approved=True).first()
    document = describe_campaign(campaign)
    context = {
        "campaign": campaign,
        "choices": campaign.choices.select_related("offer"),
        "arms": campaign.experiment.arms.all(),
        "sent_steps": describe_steps(campaign),
        "issues": find_issues(campaign, now=timezone.now()),
        "open_review": campaign.reviews.filter(answered_at=None).first(),
        "reviews": campaign.reviews.select_related("requested_by", "answered_by")[:10],
        "approved": approved,
        "digest": digest_document(document),
        "differences": [] if approved is None else compare(approved.document, document),
        "is_ready": campaign.status == Status.APPROVED or not settings.REVIEW_IS_REQUIRED,
        "may_schedule": campaign.starts_at is not None and campaign.starts_at > timezone.now(),
        "steps": _steps(campaign, "review"),
        "changes": campaign.experiment.changes.select_related("by")[:20],
    }
    return render(request, "campaigns/setup/review.html", context)


def _act(request: HttpRequest, campaign: Campaign) -> HttpResponse:
    """Do what a button of the review page asks for."""
    user, now = _user(request), timezone.now()
    note = request.POST.get("note", "")[:1000].replace("\0", "")
    match request.POST.get("do"):
        case "request" if user.has_perm(CHANGE):
            request_review(campaign, by=user, now=now, note=note)
            messages.success(request, "Somebody else can approve it now.")
        case "approve" | "send_back" as answer if user.has_perm(APPROVE):
            answer_review(campaign, by=user, now=now, is_approved=answer == "approve", note=note)
            done = "approved" if answer == "approve" else "sent back"
            messages.success(request, f"{campaign} is {done}.")
        case "reopen" if user.has_perm(CHANGE):
            reopen_draft(campaign, by=user, now=now, reason=note)
            return redirect("campaign-setup-step", key=campaign.key, name="idea")
        case "schedule" if user.has_perm(CHANGE):
            schedule_campaign(campaign, by=user, now=now, reason=note)
            messages.success(request, f"{campaign} starts by itself.")
        case "start" if user.has_perm(CHANGE):
            start_campaign(campaign, by=user, now=now, reason=note)
            messages.success(request, f"{campaign} is running.")
            return redirect(campaign)
        case "clone" if user.has_perm(ADD):
            copy = clone_campaign(campaign, by=user, now=now)
            return redirect("campaign-setup-step", key=copy.key, name="idea")
        case _:
            raise ValidationError("You may not do this.")
    return redirect("campaign-setup", key=campaign.key)


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User), "the page is for people with an account"
    return request.user


def _find(key: str) -> Campaign:
    return get_object_or_404(
        Campaign.objects.select_related(
            "experiment", "policy", "placement", "audience", "fallback"
        ),
        key=key,
    )


def _lead_on(request: HttpRequest, campaign: Campaign) -> HttpResponse:
    """Lead whoever comes late, or clicked twice, from the set-up to what became of it."""
    label = campaign.get_status_display().lower()
    messages.info(request, f"{campaign} is {label}: it is not set up any more.")
    return redirect(campaign)


def _pages(campaign: Campaign | None) -> list[tuple[str, str, str]]:
    """Name, title and address of every page of setting this campaign up."""
    pages = [(name, form.title, "campaign-setup-step") for name, form in STEPS.items()]
    if campaign is not None and campaign.placement.is_sent:
        pages.insert(3, ("messages", "Messages", "messages"))
    return [*pages, ("review", "Review", "campaign-setup")]


def _steps(campaign: Campaign | None, current: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "title": title, "route": route, "is_current": name == current}
        for name, title, route in _pages(campaign)
    ]


def _after(campaign: Campaign, name: str) -> HttpResponse:
    pages = _pages(campaign)
    names = [page[0] for page in pages]
    following, _, route = pages[names.index(name) + 1]
    if route == "campaign-setup-step":
        return redirect(route, key=campaign.key, name=following)
    return redirect(route, key=campaign.key)
