"""The Open Bandit Dataset's sample: a week of recommendations on a fashion site, by two policies.

ZOZO, Inc. let a uniform policy and a Bernoulli Thompson sampler recommend items on ZOZOTOWN in
November 2019 and published what was shown, with which probability, and what was clicked: Saito,
Aihara, Matsutani and Narita (2021), "Open Bandit Dataset and Pipeline", https://arxiv.org/abs/
2008.07146, licence CC BY 4.0, https://research.zozo.com/data.html. The campaign "men" of the small
sample, 10,000 impressions of each policy, comes inside the `obp` package and is read from there.

Each impression counts as a customer of its own: the data name no visitors, only coarse groups of
them, and the policies were drawn anew for each impression. Impressions of one visitor are thus
taken for independent, and an interval may be a little too narrow. The sample has exactly 10,000
rows of each policy by construction, so that its arms are as large as planned proves nothing. When
a click came is not told: it is dated like its impression.
"""

import csv
import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import transaction

from audience.importing.copying import CustomerRow, EventRow, import_customers, import_events
from audience.models import Source
from campaigns.casestudies.wheel import Wheel
from campaigns.history import PastDecision, import_decisions
from campaigns.lifecycle.drafting import CampaignPlan, add_offers, draft_campaign
from campaigns.lifecycle.status import finish_campaign, start_campaign
from campaigns.models import Campaign, Offer, Placement
from experiments.assigning.assignment import BUCKETS
from experiments.lifecycle.drafting import ArmPlan
from experiments.models import Metric

KEY = "open-bandit"
NAME = "Open Bandit: men's fashion"
CREDIT = "Open Bandit Dataset, ZOZO, Inc. (Saito et al. 2021), licence CC BY 4.0"
WHEEL = Wheel(
    "obp==0.4.1",
    "obp-0.4.1-py3-none-any.whl",
    "87dec9caf4283c25ab13036532e0a24566f1c7bdcad1653a8ded43b2f5ef8208",
)
MEMBER = "obp/dataset/obd/{}/men/men.csv"
# Our arms, and the dataset's names of their policies.
POLICIES = {"random": "random", "thompson": "bts"}
ITEMS = 34
CLICK = "Product Clicked"
WINDOW = timedelta(days=1)
USER_FEATURES = [f"user_feature_{number}" for number in range(4)]


@dataclass(frozen=True, slots=True)
class Impression:
    """One item, shown in one of three places of the page."""

    key: str
    arm: str
    item: int
    shown_at: datetime
    propensity: float
    is_clicked: bool
    attributes: dict[str, Any]


def read_wheel(path: Path) -> list[Impression]:
    """Read both policies' impressions from the package.

    Raises:
        ValueError: It is no such package, or a row cannot be what it should be.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return [
                impression
                for arm, policy in POLICIES.items()
                for impression in _read_member(archive, MEMBER.format(policy), arm=arm)
            ]
    except (zipfile.BadZipFile, KeyError) as error:
        raise ValueError(f"{path} does not hold the dataset: {error}") from error


def _read_member(archive: zipfile.ZipFile, member: str, *, arm: str) -> Iterator[Impression]:
    with archive.open(member) as binary, io.TextIOWrapper(binary, "utf-8", newline="") as text:
        for number, row in enumerate(csv.DictReader(text), start=1):
            try:
                yield _to_impression(row, key=f"{KEY}-{arm}-{number:05d}", arm=arm)
            except ValueError as error:
                raise ValueError(f"{member}, line {number + 1}: {error}") from error


def _to_impression(row: dict[str, str], *, key: str, arm: str) -> Impression:
    item, propensity, click = int(row["item_id"]), float(row["propensity_score"]), row["click"]
    if not 0 <= item < ITEMS:
        raise ValueError(f"the item must lie in 0 … {ITEMS - 1}, not {item}")
    if not 0 < propensity <= 1:
        raise ValueError(f"the propensity must lie in (0, 1], not {propensity}")
    if click not in {"0", "1"}:
        raise ValueError(f"a click is 0 or 1, not {click!r}")
    return Impression(
        key=key,
        arm=arm,
        item=item,
        shown_at=datetime.fromisoformat(row["timestamp"]),
        propensity=propensity,
        is_clicked=click == "1",
        attributes={
            **{name: row[name] for name in USER_FEATURES},
            "position": int(row["position"]),
        },
    )


def import_open_bandit(
    impressions: Sequence[Impression], *, progress: Callable[[int], object] = lambda count: None
) -> Campaign:
    """Bring in the campaign with customers, decisions and clicks, all or nothing."""
    began_at = min(impression.shown_at for impression in impressions)
    ended_at = max(impression.shown_at for impression in impressions) + WINDOW
    with transaction.atomic():
        import_customers(CustomerRow(each.key, each.attributes) for each in impressions)
        source, _ = Source.objects.get_or_create(name="Open Bandit Dataset")
        import_events(
            (
                EventRow(each.key, CLICK, each.shown_at, f"{each.key}-click")
                for each in impressions
                if each.is_clicked
            ),
            source=source,
        )
        campaign = _draft(customers=len(impressions), began_at=began_at, ended_at=ended_at)
        start_campaign(campaign, by=None, now=began_at, reason=f"imported: {CREDIT}")
        import_decisions(campaign, map(_to_decision, impressions), progress=progress)
        finish_campaign(campaign, by=None, now=ended_at, reason="imported")
        # The items had their week: they are not to be shown by anyone else.
        campaign.offers.update(is_active=False)
    return campaign


def _to_decision(impression: Impression) -> PastDecision:
    """Tell the whole draw where it was uniform; of Thompson's, one probability is known."""
    offer = _offer_key(impression.item)
    if impression.arm == "random":
        eligible = [_offer_key(item) for item in range(ITEMS)]
    else:
        eligible = [offer]
    return PastDecision(
        customer_key=impression.key,
        arm=impression.arm,
        offer=offer,
        decided_at=impression.shown_at,
        eligible=eligible,
        weights=[impression.propensity] * len(eligible),
        attributes=impression.attributes,
    )


def _draft(*, customers: int, began_at: datetime, ended_at: datetime) -> Campaign:
    clicks, _ = Metric.objects.get_or_create(
        key="click-rate",
        defaults={
            "name": "Click rate",
            "kind": "conversion",
            "params": {"event": CLICK, "window_days": WINDOW.days},
        },
    )
    placement, _ = Placement.objects.get_or_create(
        key="zozotown", defaults={"name": "ZOZOTOWN's front page"}
    )
    # No features: some hundred clicks say which items are liked, and nothing about groups.
    plan = CampaignPlan(
        key=KEY,
        name=NAME,
        placement=placement,
        goal=clicks,
        planned_customers=customers,
        minimum_days=0,
        reward_window_seconds=int(WINDOW.total_seconds()),
        starts_at=began_at,
        ends_at=ended_at,
    )
    half = BUCKETS // 2
    arms = [
        ArmPlan("random", "Random", half, is_control=True, payload={"serves": "baseline"}),
        ArmPlan("thompson", "Thompson sampling", half, payload={"serves": "policy"}),
    ]
    campaign = draft_campaign(plan, arms=arms)
    offers = [
        Offer.objects.get_or_create(key=_offer_key(item), defaults={"name": f"Men's item {item}"})[
            0
        ]
        for item in range(ITEMS)
    ]
    add_offers(campaign, offers)
    return campaign


def _offer_key(item: int) -> str:
    return f"zozotown-men-{item:02d}"
