"""The page of one customer: what is known, what happened, and why this offer and not that one."""

from typing import Any

from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from audience.customers.people import find_names
from audience.models import Consent, Customer, Identity, Membership
from campaigns.customers.timeline import Place, read_timeline
from campaigns.customers.why import explain_campaign, explain_offer
from campaigns.models import Campaign, Offer

SEE = "audience.view_customer"
# Longer lists than this are searched in the admin.
MOST_CHOICES = 200
MOST_AUDIENCES = 50


@require_safe
@never_cache
@staff_member_required
@permission_required(SEE, raise_exception=True)
def customer(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a customer under the name that all their other names lead to."""
    found = find_customer(pk)
    if found.merged_into_id is not None:
        return redirect("customer", found.merged_into_id)
    person, ids = find_names(found)
    audiences = Membership.objects.filter(customer_id__in=ids).select_related("audience")
    context: dict[str, Any] = {
        "customer": person,
        "names": Identity.objects.filter(customer_id__in=ids).order_by("kind", "value"),
        "visitors": Customer.objects.filter(pk__in=ids[1 : MOST_AUDIENCES + 1]).order_by("pk"),
        "consents": Consent.objects.filter(customer_id__in=ids).order_by(
            "channel", "purpose", "-changed_at"
        ),
        "audiences": audiences.order_by("audience__name")[:MOST_AUDIENCES],
        "timeline": read_timeline(ids),
        "campaigns": Campaign.objects.order_by("name").only("key", "name")[:MOST_CHOICES],
        "offers": Offer.objects.order_by("name").only("key", "name")[:MOST_CHOICES],
        "asked": request.GET.get("about", ""),
        "answer": _answer(request.GET.get("about", ""), person, ids),
    }
    return render(request, "campaigns/customer.html", context)


@require_safe
@never_cache
@staff_member_required
@permission_required(SEE, raise_exception=True)
def more(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the next entries of a timeline: as a page, or to the script that adds them."""
    person, ids = find_names(find_customer(pk))
    try:
        after = Place.read(request.GET.get("after", ""))
    except (ValueError, ValidationError) as error:
        raise Http404 from error
    context = {"customer": person, "timeline": read_timeline(ids, after=after)}
    is_added = request.headers.get("HX-Request") == "true"
    name = "campaigns/_timeline.html" if is_added else "campaigns/customer_timeline.html"
    return render(request, name, context)


@require_safe
@never_cache
@staff_member_required
@permission_required(SEE, raise_exception=True)
def search(request: HttpRequest) -> HttpResponse:
    """Find a customer by a whole key, e-mail address or other name."""
    asked = request.GET.get("q", "").strip()[:255].replace("\0", "")
    named = Identity.objects.filter(value=asked).values("customer")
    known = Customer.objects.filter(Q(external_key=asked) | Q(pk__in=named)).order_by("pk")
    found = list(known[:MOST_AUDIENCES]) if asked else []
    if len(found) == 1:
        return redirect("customer", found[0].pk)
    return render(request, "campaigns/customer_search.html", {"asked": asked, "found": found})


def find_customer(pk: int) -> Customer:
    """Return a customer with the person whom it turned out to be, or answer that there is none."""
    return get_object_or_404(Customer.objects.select_related("merged_into"), pk=pk)


def _answer(about: str, person: Customer, ids: list[int]) -> list[str]:
    """Answer what was asked about: `campaign:<key>` or `offer:<key>`; nothing for nothing."""
    kind, _, key = about.replace("\0", "").partition(":")
    now = timezone.now()
    if kind == "campaign":
        campaigns = Campaign.objects.select_related("experiment", "placement", "audience")
        return explain_campaign(get_object_or_404(campaigns, key=key), person, ids, now=now)
    if kind == "offer":
        return explain_offer(get_object_or_404(Offer, key=key), ids, now=now)
    return []
