"""Finds what is scarce in campaigns that spend where it earns most, and has its prices learned."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q, QuerySet

from campaigns.deciding.eligibility import Budget, OfferRules
from campaigns.models import Campaign, Counter, Offer, Pacing, Status
from recommender.bandits import LOG_ODDS_KINDS
from recommender.learning.charging import Scarce, learn_prices


def find_priced(*, now: datetime) -> QuerySet[Campaign]:
    """Find the running campaigns whose policies pay for what is scarce, or did until lately."""
    return (
        Campaign.objects.filter(
            Q(budget_pacing=Pacing.DUAL) | Q(policy__prices__isnull=False),
            Q(starts_at=None) | Q(starts_at__lte=now),
            status=Status.RUNNING,
        )
        .exclude(policy__kind__in=LOG_ODDS_KINDS)
        .select_related("experiment", "policy")
        .distinct()
        .order_by("pk")
    )


def price_campaign(campaign: Campaign, *, now: datetime) -> int | None:
    """Learn a campaign's prices; return the number of the version that charges others, if any."""
    return learn_prices(campaign.policy_id, find_scarce(campaign), now=now)


def find_scarce(campaign: Campaign) -> list[Scarce]:
    """Return the budget, and the offers that are limited in total, of a campaign that prices them.

    They last from the campaign's start to its end.
    """
    begins = [at for at in (campaign.starts_at, campaign.experiment.started_at) if at is not None]
    ends_at = campaign.ends_at
    if campaign.budget_pacing != Pacing.DUAL or ends_at is None or not begins:
        return []
    offers = list(Offer.objects.filter(campaigns=campaign).order_by("pk"))
    found = _find_totals(campaign, offers)
    used = dict(
        Counter.objects.filter(name__in=[name for name, _, _ in found]).values_list("name", "used")
    )
    return [
        Scarce(name, total, used.get(name, 0), uses, max(begins), ends_at)
        for name, total, uses in found
    ]


def _find_totals(
    campaign: Campaign, offers: Sequence[Offer]
) -> list[tuple[str, int, dict[str, int]]]:
    """Return by which counters something is limited, by how much, and what offers use of it."""
    found = []
    costs = {offer.key: offer.cost_cents for offer in offers if offer.cost_cents}
    if campaign.budget_cents is not None and costs:
        found.append((Budget(campaign.key).counter, campaign.budget_cents, costs))
    for offer in offers:
        if offer.cap_total is not None:
            counter = OfferRules.counter_of(offer.key)
            found.append((counter, offer.cap_total, {offer.key: 1}))
    return found
