"""Writes running campaigns as features of the payload that GrowthBook's SDKs evaluate themselves.

Each campaign is a feature of its key, whose value is the content of the customer's offer, or null.
The first rule draws the arm as `decide.py` does, tells of it and passes on, as GrowthBook's
hold-outs do. The rules after it are each for the customers of some arms, whom filters find by the
same hash. They draw the offer:

- by the policy: a contextual rule, which draws by the weights of the customer's leaf, and after it
  the same draw by everybody's pooled weights, for SDKs that know no contextual bandits and pass
  over a rule without `variations`;
- by the baseline's shares: a plain rule. So it is too where the policy has no leaves yet or they
  have expired.

Whom the epoch's hold-out keeps from all campaigns every rule leaves aside.

What only a server can count is left out: offers with limits, and those that cost something where
the campaign has a budget.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from campaigns.client_draws.draws import (
    ClientDraw,
    DrawName,
    draw_by_baseline,
    draw_by_leaves,
    eligible_in,
    may_be_given,
)
from campaigns.deciding.holdout import RunningHoldout
from campaigns.deciding.snapshot import RunningCampaign, Serves, Snapshot
from experiments.assigning.assignment import BUCKETS, ranges
from experiments.growthbook.context import DEFAULT_ATTRIBUTE
from experiments.growthbook.payload import HASH_VERSION, Document, Extras
from recommender.weighing.leaves import Leaves

# The SDKs run no experiment of a single variation: beside an only one stands this, which nobody
# gets.
NONE = "none"


def to_extras(snapshot: Snapshot, *, now: datetime) -> Extras:
    """Write every campaign whose time it is; what is written holds until `next_change`."""
    features: Document = {}
    bandits: Document = {}
    for campaign in snapshot.all_campaigns:
        # Who is in an audience is for the server to know.
        if not campaign.window.holds(now) or campaign.audience is not None:
            continue
        if campaign.policy.slate is not None:
            # Of everybody's products no client knows.
            continue
        rules = [_to_arms(campaign), *_to_rules(campaign, now=now)]
        if snapshot.holdout is not None:
            rules = [_without(snapshot.holdout, rule) for rule in rules]
        features[campaign.key] = {"defaultValue": None, "rules": rules}
        leaves = find_leaves(campaign, now=now)
        if leaves is not None:
            bandits[campaign.key] = _to_bandit(campaign, leaves, now=now)
    return Extras(features, bandits)


def next_change(snapshot: Snapshot, *, now: datetime) -> datetime | None:
    """Find when something begins, ends or expires by itself; None if nothing will."""
    moments: list[datetime | None] = []
    for campaign in snapshot.all_campaigns:
        offers = [*campaign.offers, *([campaign.fallback] if campaign.fallback else [])]
        for window in (campaign.window, *(offer.rules.window for offer in offers)):
            moments += [window.starts_at, window.ends_at]
        moments.append(campaign.policy.leaves_expire_at)
    return min((each for each in moments if each is not None and each > now), default=None)


def find_leaves(campaign: RunningCampaign, *, now: datetime) -> Leaves | None:
    """Find the leaves that clients draw by now; None where they draw as the control does."""
    policy = campaign.policy
    has_expired = policy.leaves_expire_at is not None and policy.leaves_expire_at <= now
    return None if has_expired else policy.leaves


def _drawn(seed: str) -> Document:
    return {"seed": seed, "hashAttribute": DEFAULT_ATTRIBUTE, "hashVersion": HASH_VERSION}


def _to_arms(campaign: RunningCampaign) -> Document:
    """Draw the arm and tell of it, whatever is shown then; nobody meets an arm that is halted."""
    varied = _vary(
        [arm.serves.value for arm in campaign.arms],
        [arm.key for arm in campaign.arms],
        [
            (start, start if arm.is_halted else end)
            for arm, (start, end) in zip(campaign.arms, _arm_ranges(campaign), strict=True)
        ],
    )
    return {
        # The campaign's experiment has its key, and `Experiment Viewed` its arms.
        "key": campaign.key,
        **_drawn(campaign.seed),
        **varied,
        "meta": [{**meta, "passthrough": True} for meta in varied["meta"]],
    }


def _arm_ranges(campaign: RunningCampaign) -> Sequence[tuple[int, int]]:
    return ranges([arm.weight for arm in campaign.arms])


def _to_rules(campaign: RunningCampaign, *, now: datetime) -> list[Document]:
    leaves = find_leaves(campaign, now=now)
    by_baseline = draw_by_baseline(campaign, now=now)
    name = DrawName(campaign.key)
    if leaves is None:
        who = _serving(campaign, Serves.BASELINE, Serves.POLICY)
        return _to_plain(campaign, by_baseline, name, who, now=now)
    who = _serving(campaign, Serves.POLICY)
    pooled = draw_by_leaves(leaves, None, eligible_in(leaves, campaign, now=now))
    contextual = DrawName(campaign.key, leaves.version)
    rules = [_to_contextual(campaign, pooled, contextual, who)] if pooled.is_possible else []
    name_of_pooled = DrawName(campaign.key, leaves.version, is_pooled=True)
    rules += _to_plain(campaign, pooled, name_of_pooled, who, now=now)
    who = _serving(campaign, Serves.BASELINE)
    return rules + _to_plain(campaign, by_baseline, name, who, now=now)


def _to_contextual(
    campaign: RunningCampaign, pooled: ClientDraw, name: DrawName, who: Document
) -> Document:
    """Draw by the customer's leaf. There are no ranges: they would go before a leaf's weights."""
    varied = _vary_offers(campaign, pooled)
    del varied["ranges"]
    varied["contextualVariations"] = varied.pop("variations")
    return {
        "key": name.key,
        "contextualBanditRef": campaign.key,
        "weights": _weights(pooled),
        # A variation that is kept from a version before was not drawn by this one's weights.
        "disableStickyBucketing": True,
        **_drawn(name.seed),
        **varied,
        **who,
    }


def _to_plain(
    campaign: RunningCampaign, draw: ClientDraw, name: DrawName, who: Document, *, now: datetime
) -> list[Document]:
    """Draw by the same shares for everybody; where there is nothing to draw, give the fallback."""
    if draw.is_possible:
        varied = _vary_offers(campaign, draw)
        drawn = _drawn(name.seed)
        return [{"key": name.key, "disableStickyBucketing": True, **drawn, **varied, **who}]
    fallback = campaign.fallback
    if fallback is None or not may_be_given(campaign, fallback, now=now):
        return []
    return [{"force": fallback.content, **who}]


def _to_bandit(campaign: RunningCampaign, leaves: Leaves, *, now: datetime) -> Document:
    eligible = eligible_in(leaves, campaign, now=now)
    return {
        "banditVersion": leaves.version,
        "contexts": [
            {
                "leafId": leaf.id,
                "condition": leaf.condition,
                "weights": _weights(draw_by_leaves(leaves, leaf.id, eligible)),
            }
            for leaf in leaves.leaves
        ],
    }


def _serving(campaign: RunningCampaign, *serves: Serves) -> Document:
    """Say of whom a rule is: customers of the arms that serve this, halted ones among them."""
    laid = zip(campaign.arms, _arm_ranges(campaign), strict=True)
    share = {
        "seed": campaign.seed,
        "ranges": [_share(*each) for arm, each in laid if arm.serves in serves],
        "attribute": DEFAULT_ATTRIBUTE,
        "hashVersion": HASH_VERSION,
    }
    return {"filters": [share]}


def _without(holdout: RunningHoldout, rule: Document) -> Document:
    """Keep a rule from those who are held out from all campaigns."""
    start, end = holdout.held_range
    others = {
        "seed": holdout.seed,
        "ranges": [_share(0, start), _share(end, BUCKETS)],
        "attribute": DEFAULT_ATTRIBUTE,
        "hashVersion": HASH_VERSION,
    }
    return {**rule, "filters": [*rule.get("filters", ()), others]}


def _vary_offers(campaign: RunningCampaign, draw: ClientDraw) -> Document:
    contents = {offer.rules.key: offer.content for offer in campaign.offers}
    # What is not the campaign's any more, or may not be shown, keeps its place and no bucket.
    pairs = zip(draw.offers, draw.buckets, strict=True)
    values = [contents[offer] if count else None for offer, count in pairs]
    starts = (0, *draw.ends)
    return _vary(values, draw.offers, list(zip(starts, draw.ends, strict=False)))


def _vary(values: Sequence[Any], keys: Sequence[str], laid: Sequence[tuple[int, int]]) -> Document:
    if len(values) == 1:
        values, keys, laid = [*values, None], [*keys, NONE], [*laid, (BUCKETS, BUCKETS)]
    return {
        "variations": list(values),
        "meta": [{"key": key} for key in keys],
        "ranges": [_share(*each) for each in laid],
    }


def _weights(draw: ClientDraw) -> list[float]:
    return [*draw.weights, *([0.0] if len(draw.offers) == 1 else [])]


def _share(start: int, end: int) -> list[float]:
    # The SDKs divide a bucket by the same number, so nothing is lost between the two.
    return [start / BUCKETS, end / BUCKETS]
