"""How far a campaign's sending is, and what somebody has to say about what is in doubt."""

from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.defaultfilters import pluralize
from django.utils import timezone
from django.views.decorators.http import require_safe

from campaigns.models import Campaign
from campaigns.sending.progress import find_doubtful, find_progress, resolve_doubt

# So many are shown on a page, and decided about at once.
MOST = 200


@require_safe
@staff_member_required
@permission_required("campaigns.view_campaign", raise_exception=True)
def progress(request: HttpRequest, key: str) -> HttpResponse:
    """Answer with the part of a page that says how far the sending is."""
    campaign = get_object_or_404(Campaign.objects.select_related("placement"), key=key)
    context = {"campaign": campaign, "progress": find_progress(campaign, now=timezone.now())}
    name = "_progress.html" if request.headers.get("hx-request") else "progress.html"
    return render(request, f"campaigns/{name}", context)


@staff_member_required
@permission_required("campaigns.change_campaign", raise_exception=True)
def doubt(request: HttpRequest, key: str) -> HttpResponse:
    """Show of which messages nobody knows whether they went, and take what somebody decides."""
    campaign = get_object_or_404(Campaign.objects.select_related("experiment"), key=key)
    if request.method == "POST":
        assert isinstance(request.user, User), "the page is for people with an account"
        ids = _chosen(request)
        again = request.POST.get("deed") == "again"
        if not ids:
            messages.error(request, "Tick at least one message.")
            return redirect("campaign-doubt", key=key)
        # What leaves cannot be called back, so it is asked for twice.
        if again and "sure" not in request.POST:
            chosen = find_doubtful(campaign, among=ids, most=MOST)
            context = {"campaign": campaign, "deliveries": chosen}
            return render(request, "campaigns/doubt_again.html", context)
        count = resolve_doubt(campaign, ids, again=again, by=request.user, now=timezone.now())
        verb = pluralize(count, "is,are") if again else pluralize(count, "counts,count")
        deed = f"{verb} sent again" if again else f"{verb} as sent"
        messages.success(request, f"{count:,} message{pluralize(count)} {deed}.")
        return redirect("campaign-doubt", key=key)
    context = {
        "campaign": campaign,
        "deliveries": find_doubtful(campaign, most=MOST),
        "in_doubt": find_progress(campaign, now=timezone.now()).in_doubt,
    }
    return render(request, "campaigns/doubt.html", context)


def _chosen(request: HttpRequest) -> list[int]:
    """Read which deliveries are ticked: each by itself, or all that the page showed."""
    name = "shown" if "all" in request.POST else "delivery"
    found = [int(id_) for id_ in request.POST.getlist(name) if id_.isdecimal()]
    return found[:MOST]
