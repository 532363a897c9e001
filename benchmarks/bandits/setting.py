"""Sets the campaign up, in a process that has Django."""

from django.utils import timezone

from audience.models import Scope
from audience.sources.keys import create_source
from benchmarks.bandits.world import (
    CAMPAIGN,
    OFFERS,
    SPEC,
    WINDOW_SECONDS,
    draw_customers,
    make_odds,
)
from campaigns.lifecycle.drafting import CampaignPlan, add_offers, draft_campaign
from campaigns.lifecycle.status import start_campaign
from campaigns.models import Offer, Placement
from experiments.models import Metric
from recommender.distilling.trees import distil
from recommender.models import PolicyLeaves, PolicyVersion


def set_up() -> tuple[str, str]:
    """Start the campaign with a policy and its leaves; return keys to read and to send events."""
    now = timezone.now()
    goal = Metric.objects.create(
        key="orders", name="Orders", kind="conversion", params={"event": "Order Completed"}
    )
    campaign = draft_campaign(
        CampaignPlan(
            key=CAMPAIGN,
            name="Summer",
            placement=Placement.objects.create(key="home", name="Home"),
            goal=goal,
            planned_customers=1000,
            features=SPEC,
            reward_window_seconds=WINDOW_SECONDS,
            seed="summer:bandits",
        )
    )
    add_offers(campaign, [Offer.objects.create(key=key, name=key) for key in OFFERS])
    start_campaign(campaign, by=None, now=now)
    odds = make_odds()
    PolicyVersion.objects.create(
        policy=campaign.policy, number=1, odds=odds.to_bytes(), learned_from=0, published_at=now
    )
    sample = SPEC.encode_many(customer.attributes for customer in draw_customers(4000, "sample"))
    PolicyLeaves.objects.create(
        policy=campaign.policy, version=1, table=distil(odds, sample).to_json(), published_at=now
    )
    _, reading = create_source("flags", scopes=[Scope.FLAGS])
    _, writing = create_source("events", scopes=[Scope.EVENTS])
    return reading, writing
