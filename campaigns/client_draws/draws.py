"""What clients draw a campaign's offers by: as it is published, and as it is checked afterwards.

A client that evaluates a payload draws by itself, with the one draw of
`experiments/assigning/assignment.py`. It cannot count, so offers with a limit are not for it; and
it knows no decisions, so there is one draw for each customer and version of the policy, not a fresh
one each time.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from audience.incoming import ANONYMOUS_PREFIX
from campaigns.deciding.draw import SHARES, draw_place
from campaigns.deciding.eligibility import reason_against
from campaigns.deciding.snapshot import RunningCampaign, RunningOffer
from experiments.assigning.assignment import BUCKETS, quantise
from recommender.weighing.leaves import Leaves, share_among

# A campaign's key is a slug and holds no colon.
NAME = re.compile(r"([-a-zA-Z0-9_]+):(?:([0-9]{1,9})(:pooled)?|baseline)\Z")
# The last of a decision's reasons, by which those that clients made are told from ours.
BY_CLIENT = "drawn by the client"
_BY_LEAF = "drawn by leaf "


@dataclass(frozen=True, slots=True)
class DrawName:
    """Which draw it is, as exposures name it: by the policy's leaves, pooled, or the baseline's.

    With every version it is another one, for a client tells of each only once.

    Attributes:
        campaign: The campaign's key.
        version: Of the policy; None where the baseline's shares are drawn by.
        is_pooled: Whether all customers have the same weights; it is drawn as by leaves otherwise,
            but what was drawn by which must not be mixed up.
    """

    campaign: str
    version: int | None = None
    is_pooled: bool = False

    @property
    def key(self) -> str:
        """What the client calls the experiment."""
        return f"{self.seed}:pooled" if self.is_pooled else self.seed

    @property
    def seed(self) -> str:
        """What is hashed with the customer's key."""
        return f"{self.campaign}:{'baseline' if self.version is None else self.version}"

    @classmethod
    def parse(cls, key: str) -> "DrawName | None":
        """Read a key; None if it is none of a draw."""
        found = NAME.match(key)
        if found is None:
            return None
        campaign, version, pooled = found.groups()
        return cls(campaign, None if version is None else int(version), pooled is not None)


@dataclass(frozen=True, slots=True)
class ClientDraw:
    """Offers by their keys, each with its buckets of 10,000; 0 for those that may not be shown."""

    offers: tuple[str, ...]
    buckets: tuple[int, ...]

    @property
    def is_possible(self) -> bool:
        """Whether there is an offer to draw."""
        return any(self.buckets)

    @property
    def ends(self) -> tuple[int, ...]:
        """Where each offer's buckets end, laid end to end; the next one's begin there."""
        return tuple(np.cumsum(self.buckets).tolist())

    @property
    def weights(self) -> tuple[float, ...]:
        """Each offer's share, as the number for which SDKs get exactly these buckets.

        They add shares up, and sums of decimals are not exact: 0.1 and 0.2 together lie above 0.3
        and would take bucket 3,000 from the next offer. A sum that is a trifle too small moves
        nobody, for nobody is placed between two buckets.
        """
        weights: list[float] = []
        total = 0.0
        for count, end in zip(self.buckets, self.ends, strict=True):
            weight = end / BUCKETS - total if count else 0.0
            while total + weight > end / BUCKETS:
                weight = math.nextafter(weight, 0.0)
            total += weight
            weights.append(weight)
        return tuple(weights)

    @property
    def shares(self) -> dict[str, float]:
        """The propensity of each offer that can be drawn."""
        pairs = zip(self.offers, self.buckets, strict=True)
        return {offer: SHARES[count] for offer, count in pairs if count}

    def draw(self, *, seed: str, customer_key: str) -> str:
        """Draw for a customer, as the client does; there is an offer to draw."""
        return self.offers[draw_place(self.buckets, seed=seed, customer_key=customer_key)]


def say_draw(version: int | None, leaf: int | None) -> tuple[str, str]:
    """Write the reasons of a decision that a client made, by a version's leaf or pooled weights."""
    if version is None:
        return "drawn by baseline shares", BY_CLIENT
    by_whom = "drawn by pooled weights" if leaf is None else f"{_BY_LEAF}{leaf}"
    return f"{by_whom} of policy version {version}", BY_CLIENT


def leaf_in(reason: str) -> int | None:
    """Return the leaf that a logged reason names; None of any other reason."""
    if not reason.startswith(_BY_LEAF):
        return None
    return int(reason.removeprefix(_BY_LEAF).partition(" ")[0])


def keys_of_visitor(anonymous_id: str) -> list[str]:
    """List what a client may hash of a visitor: the browser's id, or the visitor's key."""
    return [anonymous_id, f"{ANONYMOUS_PREFIX}{anonymous_id}"]


def draw_by_leaves(leaves: Leaves, leaf: int | None, eligible: Sequence[bool]) -> ClientDraw:
    """Draw by the weights of a leaf, or of all pooled, among eligible offers.

    Raises:
        ValueError: There is no such leaf.
    """
    if leaf is not None and not 0 <= leaf < len(leaves.leaves):
        raise ValueError(f"There is no leaf {leaf}.")
    weights = leaves.pooled if leaf is None else leaves.leaves[leaf].weights
    return _draw(leaves.offers, share_among(weights, eligible))


def draw_by_baseline(campaign: RunningCampaign, *, now: datetime) -> ClientDraw:
    """Draw by the shares that offers have of the control arm."""
    eligible = [may_be_drawn(campaign, offer, now=now) for offer in campaign.offers]
    return _draw(campaign.keys, share_among(campaign.shares.tolist(), eligible))


def eligible_in(leaves: Leaves, campaign: RunningCampaign, *, now: datetime) -> list[bool]:
    """Tell which of the leaves' offers a client may draw for this campaign."""
    open_ = {o.rules.key for o in campaign.offers if may_be_drawn(campaign, o, now=now)}
    return [offer in open_ for offer in leaves.offers]


def may_be_drawn(campaign: RunningCampaign, offer: RunningOffer, *, now: datetime) -> bool:
    """Tell whether a client may draw an offer.

    That is, now is its time, no other goes before it, and nothing has to be counted.
    """
    rules = offer.rules
    is_counted = rules.caps.is_limited or bool(rules.limits or campaign.limits)
    if is_counted or not may_be_given(campaign, offer, now=now):
        return False
    return not any(
        other.rules.priority < rules.priority and reason_against(other.rules, now=now) is None
        for other in campaign.offers
    )


def may_be_given(campaign: RunningCampaign, offer: RunningOffer, *, now: datetime) -> bool:
    """Tell whether a client may give an offer to anybody, limits and other offers apart.

    What it costs only a server can count, and who is in an audience is for the server to know.
    """
    rules = offer.rules
    costs = campaign.budget.limit_cents is not None and rules.cost_cents > 0
    is_for_some = campaign.audience is not None or rules.audience is not None
    return not costs and not is_for_some and reason_against(rules, now=now) is None


def _draw(offers: Sequence[str], shares: Sequence[float]) -> ClientDraw:
    buckets = quantise(np.array(shares)).tolist() if any(shares) else [0] * len(shares)
    return ClientDraw(tuple(offers), tuple(buckets))
