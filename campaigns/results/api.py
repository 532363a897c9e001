"""`GET /api/v1/campaigns/KEY/results`: what a campaign was worth, every number of it, as JSON."""

from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from audience.refusing import refuse
from campaigns.models import Campaign, CampaignResult
from campaigns.results.maturity import to_json
from experiments.export.api import NO_KEY, may_read
from experiments.views import PEEK
from recommender.rewards.arrivals import find_maturity


@require_safe
def results(request: HttpRequest, key: str) -> JsonResponse:
    """Return the newest result, opened and hidden as that of the campaign's experiment is."""
    if not may_read(request):
        return refuse(401, NO_KEY)
    campaign = Campaign.objects.filter(key=key).select_related("experiment", "policy").first()
    if campaign is None:
        return refuse(404, f"There is no campaign {key}.")
    hidden_until = campaign.experiment.hidden_until(timezone.now())
    if hidden_until is not None and not request.user.has_perm(PEEK):
        return refuse(403, f"Results are hidden until {hidden_until.isoformat()}.")
    result = CampaignResult.objects.filter(campaign=campaign).first()
    if result is None:
        return refuse(404, "There is no result yet.")
    return JsonResponse(
        {
            "campaign": campaign.key,
            "name": campaign.name,
            "status": campaign.status,
            "experiment": campaign.experiment.key,
            "computed_at": result.computed_at.isoformat(),
            "report": result.report,
            "maturity": to_json(find_maturity(campaign.policy, now=timezone.now())),
        }
    )
