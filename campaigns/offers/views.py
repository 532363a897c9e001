"""The page that shows what an offer says in each placement, as one customer would read it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from campaigns.languages import choose_language, lay_over
from campaigns.models import ONSITE, Offer, Placement
from campaigns.sending.showing import find_reader, preview_products

WORDS = ("headline", "text", "link", "image")


@dataclass(frozen=True, slots=True)
class Card:
    """What a customer reads in a placement, and in which language it was written."""

    placement: Placement
    language: str
    words: Mapping[str, str]


@require_safe
@staff_member_required
@permission_required(("campaigns.view_offer", "audience.view_customer"), raise_exception=True)
def preview(request: HttpRequest, key: str) -> HttpResponse:
    """Show the offer as saved, for a customer or for somebody of whom nothing is known."""
    offer = get_object_or_404(Offer, key=key)
    asked = request.GET.get("as_customer", "").strip()
    reader = find_reader(asked)
    attributes = {} if reader is None else reader[1]
    content = {} if offer.ranking is None else {"ranking": offer.ranking.key}
    context = {
        "offer": offer,
        "asked": asked,
        "is_unknown": reader is None,
        "products": preview_products(
            content, "" if reader is None else asked, now=timezone.now()
        ).get("products"),
        "cards": [
            make_card(offer, placement, attributes)
            for placement in Placement.objects.filter(channel=ONSITE).order_by("name")
        ],
    }
    return render(request, "campaigns/offer.html", context)


def make_card(offer: Offer, placement: Placement, attributes: Mapping[str, Any]) -> Card:
    """Say what `RunningOffer.content_for` answers: what is left empty, the offer itself says."""
    own = {"headline": offer.headline, "text": offer.text, "link": offer.link}
    said = {
        each.language: {name: words for name in WORDS if (words := getattr(each, name))}
        for each in offer.contents.filter(placement=placement)
    }
    anywhere, others = lay_over(own, said)
    language = choose_language(["", *others], attributes)
    return Card(placement, language, others.get(language, anywhere))
