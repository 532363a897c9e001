"""The page of the hold-outs from all campaigns: what campaigns come to together, by epoch."""

from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from campaigns.results.epochs import list_epochs
from experiments.views import PEEK


@require_safe
@staff_member_required
@permission_required("campaigns.view_campaign", raise_exception=True)
def epochs(request: HttpRequest) -> HttpResponse:
    """Show every epoch, the newest first."""
    found = list_epochs(may_peek=request.user.has_perm(PEEK), now=timezone.now())
    return render(request, "campaigns/epochs.html", {"epochs": found})
