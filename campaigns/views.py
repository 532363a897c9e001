"""A campaign's report, and the pages that start, pause and finish it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from campaigns.deciding.snapshot import Serves
from campaigns.lifecycle.status import finish_campaign, pause_campaign, start_campaign
from campaigns.models import LIVE, UNSTARTED, Campaign, CampaignResult, Pacing, Status
from campaigns.results.maturity import to_maturity_page
from campaigns.results.page import to_result_page
from campaigns.results.taught import find_taught
from campaigns.results.values import say_integrity, say_prices, to_slate_rows, to_values_of, unit_of
from experiments.assigning.assignment import BUCKETS
from experiments.lifecycle.status import request_analysis
from experiments.views import report_context
from experiments.wording import say_value
from recommender.models import PolicyEvaluation
from recommender.rewards.arrivals import find_maturity


@dataclass(frozen=True, slots=True)
class Step:
    """A change of a campaign's state, as its page explains it, and from which states."""

    verb: str
    explanation: str
    take: Callable[..., None]
    statuses: Collection[Status]


STEPS = {
    "start": Step(
        "Start",
        "Customers who come to the placement from now on are divided between the arms, and every "
        "decision is logged with its probability.",
        start_campaign,
        (*UNSTARTED, Status.PAUSED),
    ),
    "pause": Step(
        "Pause",
        "No more offers are decided, within about a second. The experiment goes on measuring "
        "those who were in it, and the campaign can be started again.",
        pause_campaign,
        (Status.RUNNING,),
    ),
    "finish": Step(
        "Finish",
        "The campaign and its experiment end for good, and the report is brought up to date.",
        finish_campaign,
        LIVE,
    ),
}


SEES = {
    Serves.NOTHING: "no offer",
    Serves.BASELINE: "offers by fixed shares",
    Serves.POLICY: "offers chosen by the learning policy",
}


@require_safe
@staff_member_required
@permission_required("campaigns.view_campaign", raise_exception=True)
def report(request: HttpRequest, key: str) -> HttpResponse:
    """Show what a campaign is worth: its experiment, and its policy against simpler ones."""
    campaign = get_object_or_404(
        Campaign.objects.select_related("experiment", "policy", "placement"), key=key
    )
    evaluation = (
        PolicyEvaluation.objects.filter(campaign=campaign.key).order_by("-computed_at").first()
    )
    version = campaign.policy.versions.defer("odds").first()
    result = CampaignResult.objects.filter(campaign=campaign).first()
    maturity = find_maturity(campaign.policy, now=timezone.now())
    context: dict[str, Any] = {
        **report_context(campaign.experiment, user=request.user, now=timezone.now()),
        "campaign": campaign,
        "steps": [(verb, one) for verb, one in STEPS.items() if campaign.status in one.statuses],
        "is_set_up": campaign.status not in UNSTARTED,
        "version": version,
        "evaluation": evaluation,
        "result": None if result is None else to_result_page(result),
        "maturity": None if maturity is None else to_maturity_page(maturity, campaign.policy),
        "taught": find_taught(campaign.policy, version, unit=unit_of(campaign.policy)),
    }
    if campaign.budget_pacing == Pacing.DUAL:
        prices = campaign.policy.prices.order_by("resource")
        context["prices"] = say_prices(prices, unit=unit_of(campaign.policy))
    if evaluation is not None and campaign.policy.ranking_id is not None:
        # A slate earns the sum of its places, so it is no share.
        context["slates"] = to_slate_rows(evaluation, unit="number")
        context["integrity"] = say_integrity(evaluation.integrity)
    elif evaluation is not None:
        context["values"] = to_values_of(campaign.policy, evaluation)
    return render(request, "campaigns/report.html", context)


@require_POST
@staff_member_required
@permission_required("experiments.analyse_experiment", raise_exception=True)
def refresh(request: HttpRequest, key: str) -> HttpResponse:
    """Ask a worker for a fresh analysis and go back to the page."""
    campaign = get_object_or_404(Campaign.objects.select_related("experiment"), key=key)
    request_analysis(campaign.experiment, now=timezone.now())
    return redirect("campaign-report", key=key)


@staff_member_required
@permission_required("campaigns.change_campaign", raise_exception=True)
def step(request: HttpRequest, key: str, verb: str) -> HttpResponse:
    """Explain a change of state, and make it when it is confirmed."""
    campaign = get_object_or_404(
        Campaign.objects.select_related("experiment", "placement"), key=key
    )
    if verb not in STEPS:
        raise Http404
    chosen = STEPS[verb]
    if request.method == "POST":
        assert isinstance(request.user, User), "the page is for people with an account"
        try:
            chosen.take(
                campaign,
                by=request.user,
                now=timezone.now(),
                reason=request.POST.get("reason", "")[:1000].replace("\0", ""),
            )
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        else:
            messages.success(
                request, f"{campaign.name} is {campaign.get_status_display().lower()}."
            )
        return redirect("admin:campaigns_campaign_change", campaign.pk)
    if campaign.status not in chosen.statuses:
        label = campaign.get_status_display().lower()
        messages.error(request, f"{chosen.verb}: that cannot be done. {campaign} is {label}.")
        return redirect(campaign)
    context = {
        "campaign": campaign,
        "step": chosen,
        "arms": [
            {
                "name": arm.name,
                "sees": SEES.get(arm.payload.get("serves", ""), "what its payload says"),
                "share": say_value(arm.weight / BUCKETS, unit="percent"),
            }
            for arm in campaign.experiment.arms.all()
        ],
        "offers": campaign.choices.select_related("offer"),
    }
    return render(request, "campaigns/step.html", context)
