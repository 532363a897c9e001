"""Writes down all that people settle about a campaign: what a reviewer approves, and its hash."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from audience.audiences.saving import say_version
from campaigns.models import Campaign, CampaignOffer, Cap, Offer
from experiments.lifecycle.design import describe_design
from recommender.models import Policy

# What is not settled by anybody, or not part of what a campaign does.
OFFER_FIELDS = (
    "name",
    "headline",
    "text",
    "link",
    "value_cents",
    "cost_cents",
    "currency",
    "is_active",
    "priority",
    "starts_at",
    "ends_at",
    "cap_total",
    "cap_per_customer",
    "cap_days",
    "uncounted",
)
CONTENT_FIELDS = ("headline", "text", "link", "image")
CAMPAIGN_FIELDS = (
    "name",
    "priority",
    "starts_at",
    "ends_at",
    "hold_minutes",
    "budget_cents",
    "budget_pacing",
)
# What only a campaign that is sent has.
SENT_FIELDS = (
    "purpose",
    "enrolment",
    "again_after_days",
    "send_time",
    "quiet_from",
    "quiet_until",
    "stops_on_goal",
)
MESSAGE_FIELDS = ("subject", "preheader", "body", "text")


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that two descriptions say differently; None is what one of them lacks."""

    path: str
    before: Any
    after: Any


def describe_campaign(campaign: Campaign) -> dict[str, Any]:
    """Read a campaign as plain JSON values, by names that a reviewer understands."""
    policy, audience = campaign.policy, campaign.audience
    described = {
        "placement": campaign.placement.name,
        "audience": "everybody" if audience is None else say_version(audience),
        "fallback": None if campaign.fallback is None else _offer(campaign.fallback),
        **_values(campaign, CAMPAIGN_FIELDS),
        "offers": {choice.offer.key: _choice(choice) for choice in _choices(campaign)},
        "limits": [_cap(cap) for cap in campaign.caps.order_by("pk")],
        "chooses by": _chooses_by(policy),
        "learns from": [one["attribute"] for one in policy.features["features"]],
        "reward": [policy.reward_event, policy.reward_kind, policy.reward_window_seconds],
        # Only where it is set, so that what was approved before there was any stays approved.
        **({} if policy.margin is None else {"margin": policy.margin}),
        "proof": describe_design(campaign.experiment),
    }
    if campaign.placement.is_sent:
        described |= {**_values(campaign, SENT_FIELDS), "steps": _steps(campaign)}
    # As JSON says it, so that it equals what is read back.
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(described))
    return plain


def digest_document(document: Mapping[str, Any]) -> str:
    """Return a description's SHA-256: the same campaign, the same digest."""
    return hashlib.sha256(msgspec.json.encode(document, order="sorted")).hexdigest()


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Sequence[Difference]:
    """Return what differs between two descriptions, in the order of the later one."""
    old, new = dict(_flatten(before)), dict(_flatten(after))
    paths = [*new, *(path for path in old if path not in new)]
    return [
        Difference(path, old.get(path), new.get(path))
        for path in paths
        if old.get(path) != new.get(path)
    ]


def _flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, part in value.items():
            yield from _flatten(part, f"{path}: {name}" if path else str(name))
    elif isinstance(value, list) and any(isinstance(part, Mapping) for part in value):
        for number, part in enumerate(value, start=1):
            yield from _flatten(part, f"{path} {number}")
    else:
        yield path, value


def _chooses_by(policy: Policy) -> str:
    if policy.ranking is None:
        return str(policy.get_kind_display())
    return (
        f"{policy.places} products of {policy.ranking}, drawn with temperature "
        f"{policy.temperature:g}"
    )


def _choices(campaign: Campaign) -> Iterator[CampaignOffer]:
    yield from campaign.choices.select_related(
        "offer__audience", "offer__ranking"
    ).prefetch_related("offer__contents__placement", "offer__caps")


def _choice(choice: CampaignOffer) -> dict[str, Any]:
    return {**_offer(choice.offer), "share of control": choice.baseline_weight}


def _offer(offer: Offer) -> dict[str, Any]:
    return {
        **_values(offer, OFFER_FIELDS),
        # Only where there are any, as with a margin.
        **({"facts": offer.facts} if offer.facts else {}),
        "only for": offer.audience and say_version(offer.audience),
        "products of": offer.ranking and offer.ranking.name,
        "contents": {
            f"{content.placement} {content.language or 'any language'}": _values(
                content, CONTENT_FIELDS
            )
            for content in offer.contents.all()
        },
        "limits": [_cap(cap) for cap in offer.caps.all()],
    }


def _cap(cap: Cap) -> str:
    return str(cap)


def _steps(campaign: Campaign) -> list[dict[str, Any]]:
    return [
        {
            **_values(step, ("name", "wait_minutes", "only_if")),
            "messages": {
                message.language or "any language": _values(message, MESSAGE_FIELDS)
                for message in step.messages.order_by("language")
            },
        }
        for step in campaign.steps.prefetch_related("messages")
    ]


def _values(row: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name.replace("_", " "): getattr(row, name) for name in names}
