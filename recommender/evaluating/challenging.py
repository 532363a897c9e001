"""Lets another kind, or other settings, learn from a policy's log and be held against it.

A challenger decides nothing. Once a day it learns anew from all that the policy has learned from,
and is judged beside what decides on customers from whom neither learned.
"""

import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Q

from recommender.bandits import RATE_KINDS, SEQUENCE_KINDS, load_bandit
from recommender.bandits.base import Hyperparameters, Representing
from recommender.delays import choose_landmarks
from recommender.evaluating.evaluation import read_log
from recommender.evaluating.sequence_logs import read_sequences
from recommender.learning.learn import read_all
from recommender.learning.lessons import read_log as read_lessons
from recommender.learning.networks import FIRST_LESSONS
from recommender.learning.rebuilding import rebuild_sums
from recommender.models import Challenger, Decision, Policy, PolicyVersion, RewardKind
from recommender.offpolicy.counterfactuals import check_log, to_json
from recommender.offpolicy.duels import Duel, confidence_at, fight, fight_over_time
from recommender.weighing.features import FeatureSpec
from recommender.weighing.odds import Odds
from recommender.weighing.propensities import floor_after

# Each look costs some confidence, and what is looked at is little more than the day before.
ASSESSED_EVERY = timedelta(days=1)
NOTHING_TO_COMPARE = "There is no version, or no log of customers held back, to judge it on yet."


@dataclass(frozen=True, slots=True)
class Fought:
    """A comparison, on whom it was made, and whether their log is true."""

    duel: Duel
    population: str
    integrity: dict[str, Any]


def challenge(
    policy: Policy, *, kind: str, hyperparameters: Any, is_automatic: bool, now: datetime
) -> Challenger:
    """Let a challenger begin to learn.

    Raises:
        ValidationError: As in `check_challenge`.
    """
    check_challenge(policy, kind=kind, hyperparameters=hyperparameters)
    return Challenger.objects.create(
        policy=policy,
        kind=kind,
        hyperparameters=hyperparameters,
        is_automatic=is_automatic,
        began_at=now,
    )


def check_challenge(policy: Policy, *, kind: str, hyperparameters: Any) -> None:
    """Refuse a challenger from which nothing could come.

    Raises:
        ValidationError: It could not learn from this policy's log, nobody is held back to judge it
            on, it is what decides already, or there is one.
    """
    if policy.ranking_id is not None:
        raise ValidationError("A policy that shows products learns nothing by itself.")
    if not policy.held_back_share > 0.0:
        raise ValidationError("Nobody is held back, so that nothing can be judged.")
    if kind in RATE_KINDS and not _has_plain_rates(policy):
        raise ValidationError(
            "This kind learns from goals that are reached or not, at the end of their window."
        )
    try:
        settings = Hyperparameters.from_json(hyperparameters)
        own = Hyperparameters.from_json(policy.hyperparameters)
    except ValueError as error:
        raise ValidationError(str(error)) from error
    if (kind, settings) == (policy.kind, own):
        raise ValidationError("That is what decides already.")
    if policy.challengers.filter(ended_at=None).exists():
        raise ValidationError(f"{policy} has a challenger already: withdraw it first.")


def _has_plain_rates(policy: Policy) -> bool:
    """Tell whether a policy learns from 0 and 1 alone, and nothing stands for what may come."""
    if policy.reward_kind != RewardKind.ANY:
        return False
    window = policy.reward_window_seconds
    return policy.kind in RATE_KINDS or not choose_landmarks(policy.landmarks, window=window)


def withdraw(challenger: Challenger, *, now: datetime) -> None:
    """Let a challenger learn no more.

    Raises:
        ValidationError: It has ended.
    """
    running = Challenger.objects.filter(pk=challenger.pk, ended_at=None)
    if not running.update(ended_at=now, outcome=Challenger.Outcome.WITHDRAWN):
        raise ValidationError(f"{challenger} has ended already.")


def find_due(*, now: datetime) -> list[Challenger]:
    """Find the challengers that were not looked at for a day."""
    waits = Q(assessed_at=None) | Q(assessed_at__lte=now - ASSESSED_EVERY)
    running = Challenger.objects.filter(waits, ended_at=None).select_related("policy")
    return list(running.order_by("pk"))


def assess(challenger: Challenger, *, now: datetime, device: str = "cpu") -> None:
    """Let a challenger learn, hold it against what decides, and store what came of it."""
    policy = challenger.policy
    odds = learn(challenger, now=now, device=device)
    version = find_deciding(policy)
    look = challenger.looks + 1
    fought = None if version is None else _fight(challenger, version, odds, look=look, now=now)
    challenger.odds, challenger.assessed_at = odds.to_bytes(), now
    challenger.assessment = {"problem": NOTHING_TO_COMPARE}
    if fought is not None and version is not None:
        challenger.looks = look
        challenger.assessment = {
            "version": version.number,
            "confidence": confidence_at(look),
            "champion": to_json(fought.duel.champion),
            "challenger": to_json(fought.duel.challenger),
            "advantage": to_json(fought.duel.advantage),
            "is_won": fought.duel.is_won,
            "population": fought.population,
            "integrity": fought.integrity,
        }
    challenger.save(update_fields=["odds", "learned_from", "assessed_at", "assessment", "looks"])


def note_problem(challenger: Challenger, problem: str, *, now: datetime) -> None:
    """Write down why a challenger cannot be judged now."""
    Challenger.objects.filter(pk=challenger.pk).update(
        assessed_at=now, assessment={"problem": problem}
    )


def learn(challenger: Challenger, *, now: datetime, device: str = "cpu") -> Odds:
    """Learn from all that a policy has learned from, as the challenger would."""
    shadow = shadow_of(challenger)
    bandit = load_bandit(shadow.kind)(
        Hyperparameters.from_json(shadow.hyperparameters), device=device
    )
    if isinstance(bandit, Representing):
        lessons = read_lessons(shadow, now=now)
        if lessons.weight.sum() >= FIRST_LESSONS:
            bandit.representation = bandit.train(lessons, n_offers=len(shadow.offers))
    sums = rebuild_sums(shadow, as_of=now, bandit=bandit)
    learned = sum(each.n for each in sums.values())
    read_all(shadow, bandit, now=now)
    challenger.learned_from = round(learned)
    return bandit.publish(
        list(sums.values()),
        offers=tuple(shadow.offers),
        features=FeatureSpec.from_json(shadow.features),
        floor=floor_after(shadow.floor, learned=learned),
        version=0,
    )


def shadow_of(challenger: Challenger) -> Policy:
    """Return the policy as it would be with the challenger's kind and settings; it is not saved."""
    shadow = copy.copy(challenger.policy)
    shadow.kind, shadow.hyperparameters = challenger.kind, challenger.hyperparameters
    return shadow


def find_deciding(policy: Policy) -> PolicyVersion | None:
    """Return the version that decides: the pinned one, or the newest."""
    if policy.pinned_version is not None:
        return policy.versions.filter(number=policy.pinned_version).first()
    return policy.versions.first()


def _fight(
    challenger: Challenger, version: PolicyVersion, odds: Odds, *, look: int, now: datetime
) -> Fought | None:
    """Compare on the newest log of customers held back; None while there is too little."""
    policy = challenger.policy
    champion = Odds.from_bytes(bytes(version.odds))
    campaign = Decision.objects.filter(policy=policy).order_by("-id").values_list("campaign")[:1]
    if not campaign or champion.features != odds.features:
        return None
    log = read_log(policy, campaign=campaign[0][0], offers=champion.offers)
    if log is None:
        return None
    integrity = check_log(log, floor=champion.floor)
    if not {policy.kind, challenger.kind} & SEQUENCE_KINDS:
        words = f"{len(log.reward):,} decisions that neither learned from"
        return Fought(fight(champion, odds, log, look=look), words, integrity)
    rows = read_sequences(policy, campaign=campaign[0][0], size=champion.features.size, now=now)
    if rows is None:
        return None
    words = f"{len(rows.reward):,} customers whom neither learned from"
    return Fought(fight_over_time(champion, odds, rows, look=look), words, integrity)
