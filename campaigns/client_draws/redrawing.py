"""Draws again what a client says it drew, and makes of it the decision that it was.

Nothing is taken on trust but the leaf: weights are worked out again from the stored leaves, the
draw is repeated from the customer's key, and what does not agree is refused.
"""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from audience.intake.listening import Told
from campaigns.client_draws.draws import (
    ClientDraw,
    DrawName,
    draw_by_baseline,
    draw_by_leaves,
    eligible_in,
    keys_of_visitor,
    say_draw,
)
from campaigns.deciding.draw import is_held_back
from campaigns.deciding.snapshot import RunningArm, RunningCampaign, Serves
from experiments.assigning.assignment import BUCKETS, assign
from experiments.assigning.exposed import ARM, EXPERIMENT, NAMES
from experiments.assigning.exposures import Met
from experiments.growthbook.bandits import NO_LEAF
from recommender.decision_ids import RANDOM_BITS, decision_id
from recommender.decisions import Logged
from recommender.weighing.leaves import Leaves

LEAF = ("leafId", "leaf_id")
VERSION = ("banditVersion", "bandit_version")
WEIGHTS = ("variationWeights", "variation_weights")
# Weights are whole buckets; what comes back as JSON differs by the last digits at most.
TOLERANCE = 1e-6


class Refused(ValueError):
    """A draw that cannot be logged, and why, in words for the client's developer."""


@dataclass(frozen=True, slots=True)
class Customer:
    """Whom an offer was drawn for, as far as we know."""

    id: int
    external_key: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """An offer that a client says a customer was shown."""

    told: Told
    name: DrawName

    @property
    def at(self) -> datetime:
        """When it was shown."""
        return self.told.message.occurred_at

    @property
    def properties(self) -> Mapping[str, Any]:
        """What the client says of it."""
        return self.told.message.properties

    def say(self, names: Sequence[str]) -> Any:
        """Return the first of some properties that is there."""
        return next((v for name in names if (v := self.properties.get(name)) is not None), None)

    def customer_keys(self) -> list[str]:
        """List what the client may have hashed: by which name the customer is known to it."""
        key, anonymous = self.told.message.customer_key, self.told.message.anonymous_id
        visitor = [] if anonymous is None else keys_of_visitor(anonymous)
        return [*([] if key is None else [key]), *visitor]


@dataclass(frozen=True, slots=True)
class Facts:
    """What views are checked against."""

    campaigns: Mapping[str, RunningCampaign]
    started: Mapping[int, datetime]
    customers: Mapping[int, Customer]
    leaves: Mapping[tuple[int, int], Leaves]


def name_of(told: Told) -> DrawName | None:
    """Return which draw an event is a view of; None if it is another event."""
    if told.message.name not in NAMES:
        return None
    said = (told.message.properties.get(name) for name in EXPERIMENT)
    key = next((value for value in said if isinstance(value, str)), None)
    return None if key is None else DrawName.parse(key)


def check_view(view: View, facts: Facts) -> tuple[Logged, Met | None]:
    """Draw again what a client drew; return the decision, and the arm that was met by it.

    Raises:
        Refused: It was not drawn so, or nobody can tell.
    """
    name = view.name
    campaign = facts.campaigns.get(name.campaign)
    if campaign is None:
        raise Refused(f"No campaign {name.campaign!r} runs.")
    started_at = facts.started.get(campaign.experiment_id)
    if started_at is None or view.at < started_at:
        raise Refused(f"The campaign {name.campaign!r} had not started then.")
    leaves, leaf = None, None
    if name.version is None:
        draw = draw_by_baseline(campaign, now=view.at)
    else:
        leaves = facts.leaves.get((campaign.policy.id, name.version))
        if leaves is None:
            raise Refused(f"There are no leaves of version {name.version} of the policy any more.")
        if name.is_pooled:
            eligible = eligible_in(leaves, campaign, now=view.at)
            draw = draw_by_leaves(leaves, None, eligible)
        else:
            leaf, draw = _by_leaf(view, leaves)
    offer = _offer_of(view, draw)
    arm = _repeat(view, campaign, draw, offer)
    customer = facts.customers[view.told.customer_id]
    shares = draw.shares
    costs = {each.rules.key: each.rules.cost_cents for each in campaign.offers}
    decision = Logged(
        id=_id_of(view),
        decided_at=view.at,
        customer_key=customer.external_key,
        campaign=campaign.key,
        placement=campaign.placement,
        arm=arm.key,
        policy_id=campaign.policy.id,
        policy_version=name.version,
        offer=offer,
        propensity=shares[offer],
        due_at=view.at + timedelta(seconds=campaign.policy.reward_window_seconds),
        eligible=tuple(shares),
        weights=tuple(shares.values()),
        features=_features_of(customer, campaign, leaves, leaf),
        reasons=say_draw(name.version, leaf),
        held_back=is_held_back(
            campaign.policy.key,
            customer_key=customer.external_key,
            share=campaign.policy.held_back_share,
        ),
        cost_cents=costs.get(offer, 0),
    )
    # Nobody is newly exposed to an arm that is halted.
    met = None if arm.is_halted else Met(campaign.experiment_id, customer.id, arm.id, view.at)
    return decision, met


def _by_leaf(view: View, leaves: Leaves) -> tuple[int | None, ClientDraw]:
    """Work out the weights of the leaf that a client names; they must be those that it tells.

    The offers that had a weight are those that were eligible for the client.

    Raises:
        Refused: It does not tell enough, or something else.
    """
    leaf, version, told = view.say(LEAF), view.say(VERSION), view.say(WEIGHTS)
    if not isinstance(leaf, int) or isinstance(leaf, bool) or not _are_numbers(told):
        raise Refused(
            "The view of a bandit needs leafId and variationWeights, as the SDK has them."
        )
    if version is not None and version != leaves.version:
        raise Refused(f"The bandit's version is {leaves.version}, not {version}.")
    beyond = told[len(leaves.offers) :]
    if len(told) < len(leaves.offers) or any(beyond):
        raise Refused(f"There are {len(leaves.offers)} offers, not {len(told)}.")
    eligible = [weight > 0 for weight in told[: len(leaves.offers)]]
    number = None if leaf == NO_LEAF else leaf
    try:
        draw = draw_by_leaves(leaves, number, eligible)
    except ValueError as error:
        raise Refused(f"Version {leaves.version} of the policy: {error}") from error
    pairs = zip(draw.buckets, told, strict=False)
    if any(abs(count / BUCKETS - weight) > TOLERANCE for count, weight in pairs):
        weights = [count / BUCKETS for count in draw.buckets]
        raise Refused(f"Leaf {leaf} of version {leaves.version} weighs {weights}, not {told}.")
    return number, draw


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, int | float) and not isinstance(each, bool) for each in value
    )


def _offer_of(view: View, draw: ClientDraw) -> str:
    """Return the offer, named by its key or by its place from 0 on.

    Raises:
        Refused: It is not named, or none that can be drawn.
    """
    said = view.say(ARM)
    place = str(said)
    offer = said
    if said not in draw.offers and place.isdecimal() and int(place) < len(draw.offers):
        offer = draw.offers[int(place)]
    if not isinstance(offer, str) or offer not in draw.shares:
        raise Refused(f"No offer {said!r} is drawn by {view.name.key!r}.")
    return offer


def _repeat(view: View, campaign: RunningCampaign, draw: ClientDraw, offer: str) -> RunningArm:
    """Return the customer's arm, by the key for which the draw gives this offer.

    Raises:
        Refused: No key of the customer gives it.
    """
    # Where there are no leaves, or have been none, the policy's arm is served by the baseline.
    served = {Serves.POLICY} if view.name.version is not None else {Serves.BASELINE, Serves.POLICY}
    for key in view.customer_keys():
        if draw.draw(seed=view.name.seed, customer_key=key) != offer:
            continue
        index = assign(campaign.seed, key, [arm.weight for arm in campaign.arms])
        if index is not None and campaign.arms[index].serves in served:
            return campaign.arms[index]
    raise Refused(
        f"The customer is not given {offer!r} by {view.name.key!r}; `id`, by which the SDK draws, "
        "must be the customer's key or anonymous id."
    )


def _features_of(
    customer: Customer, campaign: RunningCampaign, leaves: Leaves | None, leaf: int | None
) -> list[float]:
    """Return the customer as the policy sees one.

    What a client knows of a customer may be more than what we do. Where what we know does not lead
    to the leaf, the middle of the leaf says more of the customer, and keeps what is learned of an
    offer from being mixed up with whom it was given to.
    """
    spec = campaign.policy.odds.features
    if leaves is not None and leaf is not None:
        centre = leaves.leaves[leaf].centre
        if len(centre) == spec.size and leaves.find(customer.attributes).id != leaf:
            return list(centre)
    encoded: list[float] = spec.encode(customer.attributes).tolist()
    return encoded


def _id_of(view: View) -> uuid.UUID:
    """Make the id of the message's decision: the same one each time."""
    told = view.told
    digest = hashlib.sha256(f"{told.source_id}:{told.message.message_id}".encode()).digest()
    return decision_id(view.at, entropy=int.from_bytes(digest) % (1 << RANDOM_BITS))
