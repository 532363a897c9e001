"""Lets a challenger take the place of what decides, once it is shown to be better.

Who let it, and when, the database records with the policy's row (`audience/audit.py`); what decided
before stays among the versions, and can be pinned again.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q

from recommender.bandits import LOG_ODDS_KINDS
from recommender.evaluating.challenging import find_deciding
from recommender.learning.charging import read_charges
from recommender.learning.holding import is_held
from recommender.learning.rebuilding import rebuild_sums
from recommender.learning.sums import write_sums
from recommender.learning.versions import store_version
from recommender.models import Challenger, Policy, PolicyNetwork, PolicyVersion
from recommender.weighing.odds import Odds
from wire.wakeups import wake

CHALLENGE_TASK = "recommender.assess_challengers"
# Checks of longer ago say nothing of what decides now.
CHECKED_WITHIN = timedelta(days=2)


def find_obstacles(challenger: Challenger, *, now: datetime) -> list[str]:
    """Say what keeps a challenger from taking over, in words for whoever wants it to."""
    return list(_obstacles(challenger, now=now))


def _obstacles(challenger: Challenger, *, now: datetime) -> Iterator[str]:
    policy, found = challenger.policy, challenger.assessment
    if challenger.ended_at is not None:
        yield "It has ended."
    yield from _doubts_about(policy, now=now)
    if challenger.kind in LOG_ODDS_KINDS and policy.prices.exists():
        yield "From the log-odds of its kind no price of what is scarce can be taken off."
    if challenger.odds is None or challenger.assessed_at is None or "advantage" not in found:
        yield found.get("problem", "It has not been judged yet.")
        return
    if challenger.assessed_at < now - CHECKED_WITHIN:
        yield "It was not judged lately."
    version = find_deciding(policy)
    if version is None or version.number < found["version"]:
        yield "It was judged beside a version that no longer decides."
    yield from _doubts(found)


def _doubts_about(policy: Policy, *, now: datetime) -> Iterator[str]:
    """Say which of the policy's own checks do not pass."""
    if is_held(policy):
        yield "Publishing is held."
    if policy.sums_are_wrong:
        yield f"The policy's sums are wrong: {policy.sums_problem}."
    elif policy.sums_checked_at is None or policy.sums_checked_at < now - CHECKED_WITHIN:
        yield "The policy's sums were not held against its log lately."


def _doubts(found: dict[str, Any]) -> Iterator[str]:
    """Say what speaks against an assessment."""
    if found["integrity"]["is_broken"]:
        yield "Offers did not come as often as their logged chances say."
    elif found["integrity"]["worst"] is None:
        yield "There are too few decisions to test the logged chances."
    for name, label in (("champion", "what decides"), ("challenger", "the challenger")):
        if "withheld" in found[name]:
            yield f"What {label} earns is withheld: {found[name]['withheld']}"
    if not found["is_won"]:
        yield "It is not shown to earn more."


def find_wanted() -> list[Challenger]:
    """Find the challengers that somebody wants to take over, or that do it by themselves."""
    wanted = Challenger.objects.filter(Q(is_automatic=True) | Q(wanted_at__isnull=False))
    return list(wanted.filter(ended_at=None).select_related("policy").order_by("pk"))


def want(challenger: Challenger, *, now: datetime) -> None:
    """Have a worker let a challenger decide, within seconds.

    Raises:
        ValidationError: It is not shown to be better, or a check does not pass.
    """
    obstacles = find_obstacles(challenger, now=now)
    if obstacles:
        raise ValidationError(obstacles)
    Challenger.objects.filter(pk=challenger.pk, ended_at=None).update(wanted_at=now)
    wake(CHALLENGE_TASK)


def promote(challenger: Challenger, *, now: datetime) -> PolicyVersion:
    """Let a challenger decide from now on, by the very odds that were judged.

    The policy learns as the challenger did from then on, from sums that the whole log comes to.

    Raises:
        ValidationError: It is not shown to be better, or a check does not pass.
    """
    with transaction.atomic():
        # Learning waits meanwhile, and so does a second promotion.
        policy = Policy.objects.select_for_update(no_key=True).get(pk=challenger.policy_id)
        challenger = Challenger.objects.select_for_update().get(pk=challenger.pk)
        challenger.policy = policy
        obstacles = find_obstacles(challenger, now=now)
        if obstacles:
            raise ValidationError(obstacles)
        policy.kind, policy.hyperparameters = challenger.kind, challenger.hyperparameters
        policy.pinned_version = None
        policy.save(update_fields=["kind", "hyperparameters", "pinned_version"])
        version = _publish(policy, challenger, now=now)
        challenger.ended_at, challenger.outcome = now, Challenger.Outcome.PROMOTED
        challenger.save(update_fields=["ended_at", "outcome"])
    return version


def _publish(policy: Policy, challenger: Challenger, *, now: datetime) -> PolicyVersion:
    """Store what the challenger learned in the place of what the policy did."""
    newest = policy.versions.first()
    number = 1 if newest is None else newest.number + 1
    odds = Odds.from_bytes(bytes(challenger.odds or b"")).charge(
        read_charges(policy), version=number
    )
    PolicyNetwork.objects.filter(policy=policy).delete()
    if odds.representation is not None:
        PolicyNetwork.objects.create(
            policy=policy,
            layers=odds.representation.to_bytes(),
            learned_from=challenger.learned_from,
            trained_at=now,
        )
    write_sums(policy, rebuild_sums(policy, as_of=now), as_of=now)
    store_version(policy, odds, learned_from=challenger.learned_from, now=now)
    return policy.versions.get(number=number)
