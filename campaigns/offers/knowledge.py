"""Tells policies what is known of their offers before anybody sees these."""

from collections.abc import Iterable

from django.db import transaction

from campaigns.models import Offer
from recommender.models import Policy
from recommender.weighing.offer_facts import Fact, check_facts

CENTS = 100


def facts_of(offer: Offer) -> dict[str, Fact]:
    """Return what somebody wrote of an offer, and what its record says: cost and value.

    These bear their currency, because numbers of two are not to be compared. Of nothing there is
    nothing to know.
    """
    if offer.is_nothing:
        return {}
    recorded: dict[str, Fact] = {
        f"cost in {offer.currency}": offer.cost_cents / CENTS,
        f"value in {offer.currency}": offer.value_cents / CENTS,
    }
    return recorded | check_facts(offer.facts)


def know_offers(policy: Policy, offers: Iterable[Offer]) -> None:
    """Set what a policy, which the caller saves, knows of some offers; of others it keeps that."""
    policy.offer_facts = policy.offer_facts | {offer.key: facts_of(offer) for offer in offers}


def tell_policies(offer: Offer) -> None:
    """Let all policies that choose an offer know what is known of it by now.

    What they learned stays; their next versions see it in the light of that.
    """
    with transaction.atomic():
        policies = Policy.objects.select_for_update(no_key=True).filter(
            offers__contains=[offer.key]
        )
        for policy in policies.order_by("pk"):
            know_offers(policy, [offer])
            policy.save(update_fields=["offer_facts"])
