"""Makes a past decision again from the log, and says whether it comes out the same."""

import uuid
from dataclasses import dataclass

import numpy as np

from campaigns.deciding.choice import BY_PLAN
from campaigns.deciding.draw import draw_offer, draw_seed
from campaigns.models import AssignmentPlan, Campaign
from recommender.models import Decision, PolicyVersion
from recommender.scarcity.allocating import PlannedOdds
from recommender.weighing.odds import Odds

# What is left of the logged weights' rounding to whole buckets, and of arithmetic on another
# machine: a share that lies on the edge between two buckets may fall to either.
ONE_BUCKET = 1.0001e-4


@dataclass(frozen=True, slots=True)
class Replay:
    """A decision and what making it again gave.

    Attributes:
        decision: As it was logged.
        offer: What the logged weights draw; None where nothing was drawn.
        is_same: Whether that, and its probability, is what was logged.
        furthest_weight: How far the weights that the policy's version gives today lie from the
            logged ones at most; None where no policy chose, or its version is gone.
    """

    decision: Decision
    offer: str | None
    is_same: bool
    furthest_weight: float | None

    @property
    def is_confirmed(self) -> bool:
        """Whether all that could be made again came out the same."""
        return self.is_same and (self.furthest_weight or 0.0) <= ONE_BUCKET


def replay(decision_id: uuid.UUID) -> Replay:
    """Draw again from the logged weights, and weigh again by the policy's version of then.

    Raises:
        Decision.DoesNotExist: There is no such decision.
    """
    decision = Decision.objects.select_related("customer", "policy").get(pk=decision_id)
    if not decision.eligible:
        # Nothing was drawn: a hold-out, a fallback, or a decision made elsewhere.
        return Replay(decision, decision.offer, is_same=True, furthest_weight=None)
    seed = draw_seed(
        decision.campaign, version=decision.policy_version or 0, decision_id=decision.pk
    )
    draw = draw_offer(decision.weights, seed=seed, customer_key=decision.customer.external_key)
    offer = decision.eligible[draw.index]
    return Replay(
        decision,
        offer,
        is_same=(offer, draw.propensity) == (decision.offer, decision.propensity),
        furthest_weight=_compare_weights(decision),
    )


def _compare_weights(decision: Decision) -> float | None:
    if decision.policy_version is None:
        return None
    # Places further down name no policy, because none learns from them.
    policies = Campaign.objects.filter(key=decision.campaign).values("policy")
    versions = PolicyVersion.objects.select_related("policy")
    version = versions.filter(policy__in=policies, number=decision.policy_version).first()
    if version is None:
        return None
    odds = _plan(decision, Odds.from_bytes(bytes(version.odds)))
    places = [odds.places[key] for key in decision.eligible]
    eligible = np.zeros(len(odds.offers), dtype=bool)
    eligible[places] = True
    # For who is held back, the floor stays as it was set.
    floor = version.policy.floor if decision.held_back else None
    weights = odds.weights(np.array(decision.features), eligible, floor=floor)[places]
    return float(np.abs(weights - np.array(decision.weights)).max())


def _plan(decision: Decision, odds: Odds) -> Odds:
    """Return the odds that followed a plan for the whole audience, where the decision did."""
    named = next((why for why in decision.reasons if why.startswith(BY_PLAN)), None)
    if named is None:
        return odds
    plan = AssignmentPlan.objects.get(pk=int(named.removeprefix(BY_PLAN)))
    assert plan.temperature is not None, "decisions name plans that were followed"
    return PlannedOdds.of(odds, plan.asked, temperature=plan.temperature)
