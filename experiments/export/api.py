"""`GET /api/v1/experiments/KEY/results`: the stored report, every number of it, as JSON."""

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from audience.models import Scope
from audience.refusing import refuse
from audience.sources.keys import find_source
from experiments.models import Analysis, Experiment
from experiments.views import PEEK, VIEW

NO_KEY = "Send a source's key with the scope `read` as a Bearer token."


@require_safe
def results(request: HttpRequest, key: str) -> JsonResponse:
    """Return the newest analysis, or the one named by `analysis`; with `moments`, those too.

    A source's key with the scope `read` opens it, and so does being logged in. What is hidden from
    people before the minimum duration is hidden from keys.
    """
    if not may_read(request):
        return refuse(401, NO_KEY)
    experiment = Experiment.objects.filter(key=key).first()
    if experiment is None:
        return refuse(404, f"There is no experiment {key}.")
    hidden_until = experiment.hidden_until(timezone.now())
    if hidden_until is not None and not request.user.has_perm(PEEK):
        return refuse(403, f"Results are hidden until {hidden_until.isoformat()}.")
    analyses = experiment.analyses.order_by("-computed_at", "-pk")
    if (wanted := request.GET.get("analysis")) is not None:
        analyses = analyses.filter(pk=int(wanted) if wanted.isdecimal() else -1)
    analysis: Analysis | None = analyses.select_related("plan_version").first()
    if analysis is None:
        return refuse(404, "There is no such analysis.")
    return JsonResponse(to_document(experiment, analysis, with_moments="moments" in request.GET))


def to_document(
    experiment: Experiment, analysis: Analysis, *, with_moments: bool
) -> dict[str, Any]:
    """Write an analysis as a document of its own."""
    version = analysis.plan_version
    document: dict[str, Any] = {
        "experiment": experiment.key,
        "name": experiment.name,
        "status": experiment.status,
        "outcome": experiment.outcome,
        "analysis": analysis.pk,
        "computed_at": analysis.computed_at.isoformat(),
        "plan": version and {"number": version.number, "sha256": version.digest},
        "report": analysis.report,
    }
    return document | ({"moments": analysis.moments} if with_moments else {})


def may_read(request: HttpRequest) -> bool:
    """Tell whether a request has a key that may read, or is by somebody who may see reports."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        source = find_source(token.strip())
        return source is not None and Scope.READ in source.scopes
    return request.user.is_active and request.user.is_staff and request.user.has_perm(VIEW)
