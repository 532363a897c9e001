"""Choose an offer the way an arm does: nothing, the baseline's shares or the policy's weights."""

import uuid
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from campaigns.draw import draw_offer, draw_seed
from campaigns.eligibility import reason_against
from campaigns.snapshot import RunningArm, RunningCampaign, RunningOffer, Serves
from recommender.odds import Odds

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Choice:
    """An offer, or none, and all that makes the choice replayable.

    `weights` belong to `eligible`, place by place; `policy_version` is None where no policy chose.
    """

    offer: RunningOffer | None
    propensity: float
    reasons: tuple[str, ...]
    eligible: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    policy_version: int | None = None


def choose_offer(
    campaign: RunningCampaign,
    arm: RunningArm,
    *,
    features: FloatArray,
    decision_id: uuid.UUID,
    customer_id: int,
    now: datetime,
) -> Choice:
    """Choose for one customer.

    Args:
        campaign: The running campaign.
        arm: The customer's arm.
        features: The customer as the policy sees one, shape (d,).
        decision_id: Makes the draw a fresh one.
        customer_id: For whom.
        now: The time of the decision.
    """
    if arm.serves is Serves.NOTHING:
        return Choice(None, 1.0, ("hold-out: no offer",))
    against = {o.rules.key: reason_against(o.rules, now=now) for o in campaign.offers}
    reasons = tuple(reason for reason in against.values() if reason is not None)
    offers = [offer for offer in campaign.offers if against[offer.rules.key] is None]
    version = campaign.policy.version if arm.serves is Serves.POLICY else None
    if version is None:
        offers = [offer for offer in offers if offer.baseline_weight > 0]
        weights = _baseline_weights(offers)
    else:
        # An offer added to a running campaign waits for the next version.
        offers = [offer for offer in offers if offer.rules.key in campaign.policy.odds.offers]
        weights = _policy_weights(campaign.policy.odds, offers, features=features)
    if not offers:
        return Choice(None, 1.0, (*reasons, "no offer is eligible"), policy_version=version)
    draw = draw_offer(
        weights,
        seed=draw_seed(campaign.key, version=version or 0, decision_id=decision_id),
        customer_id=customer_id,
    )
    by_whom = "baseline shares" if version is None else f"policy version {version}"
    return Choice(
        offer=offers[draw.index],
        propensity=draw.propensity,
        reasons=(f"drawn by {by_whom}", *reasons),
        eligible=tuple(offer.rules.key for offer in offers),
        weights=draw.weights,
        policy_version=version,
    )


def _baseline_weights(offers: list[RunningOffer]) -> FloatArray:
    shares = np.array([offer.baseline_weight for offer in offers], dtype=np.float64)
    # Without offers there is nothing to divide by, and nothing to divide.
    return shares / max(float(shares.sum()), 1.0)


def _policy_weights(odds: Odds, offers: list[RunningOffer], *, features: FloatArray) -> FloatArray:
    """Return the policy's weights over these offers, in their order."""
    if not offers:
        return np.zeros(0)
    places = [odds.offers.index(offer.rules.key) for offer in offers]
    eligible = np.zeros(len(odds.offers), dtype=bool)
    eligible[places] = True
    weights: FloatArray = odds.weights(features, eligible)[places]
    return weights
