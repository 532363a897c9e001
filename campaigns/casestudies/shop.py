"""The simulated shop as a campaign: three kinds of shoppers, four offers, and a hold-out.

Nobody knows in advance that each kind has an offer of its own; the policy has to find out.
"""

from datetime import datetime
from typing import Any

from django.db import transaction

from campaigns.lifecycle.drafting import CampaignPlan, Split, add_offers, draft_campaign
from campaigns.lifecycle.status import start_campaign
from campaigns.models import Campaign, Offer, Placement
from experiments.models import Exposure, Metric
from recommender.models import PolicyEvaluation
from recommender.simulators.shop import Shop
from recommender.weighing.profiling import fit_features

KEY = "simulated-shop"
NAME = "Simulated shop"
PLACEMENT = "shop-front"
ORDER = "Order Completed"
ATTRIBUTES = ["segment", "age", "device"]
# Decides the shoppers, what each would do about any offer, and who falls into which arm. Of the
# seeds 1 to 40 it gives the most ordinary crowd; with others, an interval in twenty misses.
SEED = 12
SPLIT = Split(holdout_percent=15, control_percent=30)
# Shoppers act at once, so what an offer earned is known within seconds.
REWARD_WINDOW_SECONDS = 3
# A client that asks again because it heard nothing gets the same offer.
HOLD_MINUTES = 1
# Enough decisions to judge the policy on, none of them so rare that it outweighs the others.
HELD_BACK_SHARE = 0.3
FLOOR = 0.05
SAMPLE = 1_000

# Names, headlines and texts by the simulator's names of the offers.
OFFERS = {
    "ten_percent_off": ("10% off", "10% off today", "On everything, until midnight."),
    "free_gift_wrap": ("Free gift wrap", "We wrap it for you", "Gift wrap is on us today."),
    "double_points": ("Double points", "Double points", "Every order counts twice today."),
    "free_shipping": ("Free shipping", "Free shipping", "No minimum order today."),
    "bundle": ("Bundle price", "Better together", "Two items for the price of one and a half."),
}


def open_shop(shop: Shop, *, shoppers: int, now: datetime) -> Campaign:
    """Draft the campaign for so many shoppers and start it."""
    with transaction.atomic():
        conversion, spend = (
            Metric.objects.get_or_create(key=key, defaults=defaults)[0]
            for key, defaults in _metrics().items()
        )
        placement, _ = Placement.objects.get_or_create(
            key=PLACEMENT, defaults={"name": "Shop front"}
        )
        sample = [shopper.attributes for shopper in shop.shoppers(SAMPLE)]
        plan = CampaignPlan(
            key=KEY,
            name=NAME,
            placement=placement,
            goal=conversion,
            others=[spend],
            planned_customers=shoppers,
            minimum_days=0,
            split=SPLIT,
            features=fit_features(sample, ATTRIBUTES),
            reward_window_seconds=REWARD_WINDOW_SECONDS,
            held_back_share=HELD_BACK_SHARE,
            floor=FLOOR,
            hold_minutes=HOLD_MINUTES,
            seed=f"{KEY}:{shop.seed}",
        )
        campaign = draft_campaign(plan)
        add_offers(campaign, [_offer(key) for key in shop.offers])
        start_campaign(campaign, by=None, now=now, reason="simulated shoppers are on their way")
    return campaign


def find_missing_shoppers(campaign: Campaign, shop: Shop) -> list[int]:
    """Return the numbers of the planned shoppers who have not come yet."""
    planned = campaign.experiment.planned_customers
    came = set(
        Exposure.objects.filter(experiment=campaign.experiment).values_list(
            "customer__external_key", flat=True
        )
    )
    return [number for number in range(planned) if shop.shopper(number).key not in came]


def is_reported(campaign: Campaign) -> bool:
    """Tell whether an analysis of all planned shoppers and an evaluation are there."""
    analysis = campaign.experiment.analyses.order_by("-computed_at").first()
    if analysis is None or analysis.report["customers"] < campaign.experiment.planned_customers:
        return False
    return PolicyEvaluation.objects.filter(campaign=campaign.key).exists()


def _offer(key: str) -> Offer:
    name, headline, text = OFFERS[key]
    defaults = {"name": name, "headline": headline, "text": text}
    return Offer.objects.get_or_create(key=key, defaults=defaults)[0]


def _metrics() -> dict[str, dict[str, Any]]:
    params = {"event": ORDER, "window_days": 1}
    return {
        "shop-conversion": {"name": "Conversion", "kind": "conversion", "params": params},
        "shop-spend": {"name": "Spend", "kind": "mean", "params": params},
    }
