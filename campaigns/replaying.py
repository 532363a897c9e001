"""Makes a past decision again from the log, and says whether it comes out the same."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from audience.customers.people import find_names
from audience.incoming import ANONYMOUS_PREFIX
from audience.models import Customer, Identity, IdentityKind
from campaigns.client_draws.draws import (
    BY_CLIENT,
    DrawName,
    draw_by_leaves,
    keys_of_visitor,
    leaf_in,
)
from campaigns.deciding.draw import Draw, draw_offer, draw_seed
from campaigns.deciding.sieve import BY_PLAN
from campaigns.models import AssignmentPlan, Campaign
from recommender.models import Decision, PolicyLeaves, PolicyVersion
from recommender.scarcity.allocating import PlannedOdds
from recommender.weighing.leaves import Leaves
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
            logged ones at most; None where no policy chose, or its version is gone. Of a draw that
            a client made they are those of the version's leaves.
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
    is_of_client = BY_CLIENT in decision.reasons
    draw = _draw_as_client(decision) if is_of_client else _draw(decision)
    offer = decision.eligible[draw.index]
    return Replay(
        decision,
        offer,
        is_same=(offer, draw.propensity) == (decision.offer, decision.propensity),
        furthest_weight=_compare_leaf(decision) if is_of_client else _compare_weights(decision),
    )


def _draw(decision: Decision) -> Draw:
    seed = draw_seed(
        decision.campaign, version=decision.policy_version or 0, decision_id=decision.pk
    )
    return draw_offer(decision.weights, seed=seed, customer_key=decision.customer.external_key)


def _draw_as_client(decision: Decision) -> Draw:
    """Draw by the name of the person that gives what was logged, or by the first one.

    A client knows no decisions, and may have hashed any name of the person.
    """
    seed = DrawName(decision.campaign, decision.policy_version).seed
    keys = _hashed_keys(decision.customer)
    draws = [draw_offer(decision.weights, seed=seed, customer_key=key) for key in keys]
    same = (draw for draw in draws if decision.eligible[draw.index] == decision.offer)
    return next(same, draws[0])


def _hashed_keys(customer: Customer) -> Iterator[str]:
    """Yield what a client may have hashed of a person, the customer's own key first."""
    yield customer.external_key
    ids = find_names(customer)[1]
    keys = Customer.objects.filter(pk__in=ids).values_list("external_key", flat=True)
    browsers = {
        key.removeprefix(ANONYMOUS_PREFIX) for key in keys if key.startswith(ANONYMOUS_PREFIX)
    }
    identities = Identity.objects.filter(customer__in=ids, kind=IdentityKind.ANONYMOUS)
    browsers.update(identities.values_list("value", flat=True))
    for browser in sorted(browsers):
        yield from keys_of_visitor(browser)


def _compare_leaf(decision: Decision) -> float | None:
    if decision.policy_version is None:
        return None
    leaves_of = PolicyLeaves.objects.filter(policy=decision.policy_id)
    stored = leaves_of.filter(version=decision.policy_version).first()
    if stored is None:
        return None
    leaves = Leaves.from_json(stored.table)
    leaf = next((n for why in decision.reasons if (n := leaf_in(why)) is not None), None)
    draw = draw_by_leaves(leaves, leaf, [key in decision.eligible for key in leaves.offers])
    logged = dict(zip(decision.eligible, decision.weights, strict=True))
    return max(abs(draw.shares.get(key, 0.0) - weight) for key, weight in logged.items())


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
