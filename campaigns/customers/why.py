"""Answers "why did she (not) get this?" from the decisions that were logged, and what holds now."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from audience.audiences.saving import find_holding, find_rule
from audience.models import Customer
from campaigns.customers.explaining import (
    CampaignState,
    PastDraw,
    say_draw,
    say_offer_state,
    say_state,
)
from campaigns.deciding.eligibility import (
    Budget,
    Caps,
    OfferRules,
    Window,
    limit_reached,
    reason_against,
)
from campaigns.deciding.tally import Tally
from campaigns.models import Campaign, Counter, Offer, Status, Uncounted
from campaigns.results.epochs import find_holdout_of
from experiments.assigning.assignment import assign
from experiments.models import Arm, Exposure
from recommender.decision_ids import first_id_at
from recommender.models import Decision
from recommender.ranking.looking import find_products

# The last few say it; the timeline has the others.
SHOWN = 3


def explain_campaign(
    campaign: Campaign, person: Customer, customer_ids: Sequence[int], *, now: datetime
) -> list[str]:
    """Say why a person got what a campaign gave, or nothing.

    Args:
        campaign: With its experiment and its placement.
        person: Who.
        customer_ids: Of all names of the person.
        now: The time for which it is said what would happen.
    """
    said = _say_last(
        Decision.objects.filter(campaign=campaign.key, customer_id__in=customer_ids), about=None
    )
    if not said:
        said = [f"“{campaign.name}” never decided for this customer."]
        said += _say_others(campaign, customer_ids)
    state = _state_of(campaign, person, customer_ids, now=now)
    return [*said, *_say_audience(campaign, person, now=now), *say_state(state, now=now)]


def explain_offer(offer: Offer, customer_ids: Sequence[int], *, now: datetime) -> list[str]:
    """Say why a person got an offer, or not.

    Args:
        offer: Which.
        customer_ids: Of all names of the person.
        now: The time for which it is said what would happen.
    """
    campaigns = list(Campaign.objects.filter(Q(offers=offer) | Q(fallback=offer)).distinct())
    keys = {campaign.key for campaign in campaigns}
    decisions = Decision.objects.filter(customer_id__in=customer_ids)
    said = _say_last(decisions.filter(Q(offer=offer.key) | Q(campaign__in=keys)), about=offer.key)
    if not said:
        said = ["No campaign that has this offer ever decided for this customer."]
    against = reason_against(_rules_of(offer), now=now) or _limit_of(offer, customer_ids, now=now)
    if against is not None:
        against = against.replace(offer.key, "it", 1)
    running = [one.name for one in campaigns if one.status == Status.RUNNING]
    return [*said, *say_offer_state(against, campaigns=running, name=offer.name)]


def _say_audience(campaign: Campaign, person: Customer, *, now: datetime) -> list[str]:
    """Say that a person is not among those whom a campaign is for."""
    audience = campaign.audience
    if audience is None or find_holding(find_rule(audience), [person.pk], now=now):
        return []
    return [f"It is for {audience} alone, and the customer is not in that audience now."]


def _say_last(decisions: Any, *, about: str | None) -> list[str]:
    """Say the last decisions, each with the arm that it was made in."""
    last = list(decisions.order_by("-decided_at", "-id")[:SHOWN])
    if not last:
        return []
    campaigns = {
        one.key: one
        for one in Campaign.objects.filter(key__in={d.campaign for d in last}).only(
            "key", "experiment_id"
        )
    }
    experiments = {one.experiment_id for one in campaigns.values()}
    arms = {
        (arm.experiment_id, arm.key): arm for arm in Arm.objects.filter(experiment__in=experiments)
    }
    named = {key for d in last for key in [*d.eligible, d.offer, about] if key}
    named |= {str(reason).partition(" ")[0] for d in last for reason in d.reasons}
    shows_products = any(decision.ranker_version is not None for decision in last)
    products = find_products(named) if shows_products else {}
    names = {key: product.name or key for key, product in products.items()}
    names |= dict(Offer.objects.filter(key__in=named).values_list("key", "name"))
    said: list[str] = []
    for decision in last:
        campaign = campaigns.get(decision.campaign)
        arm = None if campaign is None else arms.get((campaign.experiment_id, decision.arm))
        said += say_draw(_to_draw(decision, arm), names, about=about)
    return said


def _to_draw(decision: Decision, arm: Arm | None) -> PastDraw:
    reasons = [str(reason) for reason in decision.reasons]
    return PastDraw(
        decided_at=decision.decided_at,
        offer=decision.offer,
        propensity=decision.propensity,
        arm_name=decision.arm if arm is None else arm.name,
        # As it was then: an arm may serve something else since.
        is_hold_out=any(reason.startswith("hold-out") for reason in reasons),
        eligible=decision.eligible,
        weights=decision.weights,
        reasons=reasons,
    )


def _say_others(campaign: Campaign, customer_ids: Sequence[int]) -> list[str]:
    """Say who decided in the placement instead."""
    other = (
        Decision.objects.filter(customer_id__in=customer_ids, placement=campaign.placement.key)
        .exclude(campaign=campaign.key)
        .order_by("-decided_at")
        .first()
    )
    if other is None:
        return [f"The customer was never seen in “{campaign.placement.name}”."]
    name = Campaign.objects.filter(key=other.campaign).values_list("name", flat=True).first()
    return [
        f"In “{campaign.placement.name}” it was “{name or other.campaign}” that decided last for "
        "this customer."
    ]


def _state_of(
    campaign: Campaign, person: Customer, customer_ids: Sequence[int], *, now: datetime
) -> CampaignState:
    rivals = Campaign.objects.filter(
        placement_id=campaign.placement_id, status=Status.RUNNING
    ).exclude(pk=campaign.pk)
    rank = (campaign.priority, campaign.pk)
    earlier = [
        one.name
        for one in rivals.order_by("priority", "id")
        if (one.priority, one.pk) < rank and Window(one.starts_at, one.ends_at).holds(now)
    ]
    arm, has_met = _arm_of(campaign, person, customer_ids)
    return CampaignState(
        name=campaign.name,
        status=str(campaign.get_status_display()),
        is_running=campaign.status == Status.RUNNING,
        starts_at=campaign.starts_at,
        ends_at=campaign.ends_at,
        earlier=earlier,
        arm_name=None if arm is None else arm.name,
        serves="" if arm is None else _serves_now(arm, campaign),
        has_met=has_met,
        held_out_by=find_holdout_of(person, customer_ids),
    )


def _arm_of(
    campaign: Campaign, person: Customer, customer_ids: Sequence[int]
) -> tuple[Arm | None, bool]:
    """Return the arm that a person met first, or the one that the draw would give."""
    met = (
        Exposure.objects.filter(experiment=campaign.experiment_id, customer_id__in=customer_ids)
        .select_related("arm")
        .order_by("exposed_at")
        .first()
    )
    if met is not None:
        return met.arm, True
    arms = list(campaign.experiment.arms.order_by("position", "id"))
    index = assign(campaign.experiment.seed, person.external_key, [arm.weight for arm in arms])
    return (None if index is None else arms[index]), False


def _serves_now(arm: Arm, campaign: Campaign) -> str:
    """Return what an arm gives: a halted one gives what the control gives."""
    if arm.halted_at is not None:
        control = campaign.experiment.arms.filter(is_control=True).first()
        arm = control or arm
    return str(arm.named_values.get("serves", ""))


def _rules_of(offer: Offer) -> OfferRules:
    return OfferRules(
        key=offer.key,
        is_active=offer.is_active,
        window=Window(offer.starts_at, offer.ends_at),
        caps=Caps(
            total=offer.cap_total,
            per_customer=offer.cap_per_customer,
            days=offer.cap_days,
            is_shown_uncounted=offer.uncounted == Uncounted.SHOW,
        ),
    )


def _limit_of(offer: Offer, customer_ids: Sequence[int], *, now: datetime) -> str | None:
    """Return which limit of the offer is reached, of all customers' or of this one's."""
    rules = _rules_of(offer)
    used = dict(Counter.objects.filter(name=rules.counter).values_list("name", "used"))
    given: Mapping[str, int] = {}
    if offer.cap_per_customer is not None:
        since = first_id_at(now - timedelta(days=offer.cap_days))
        given = {
            offer.key: Decision.objects.filter(
                customer_id__in=customer_ids, id__gte=since, offer=offer.key
            ).count()
        }
    return limit_reached(rules, Budget(""), Tally(used), given, now=now)
