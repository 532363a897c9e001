"""Learn from settled decisions and publish: one transaction, all of it or nothing."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from recommender.bandits import FACT_KINDS
from recommender.bandits.base import Bandit, FactReader, LogReader, Representing, StepReader
from recommender.learning.charging import read_charges
from recommender.learning.holding import is_held
from recommender.learning.leaf_tables import publish_leaves
from recommender.learning.lessons import read_log
from recommender.learning.networks import is_due, train_network
from recommender.learning.steps import read_steps
from recommender.learning.sums import add_up, correct, make_bandit, read_sums, write_sums
from recommender.learning.versions import store_version
from recommender.models import Policy, PolicyVersion
from recommender.rewards.arrivals import is_stale, refit_delays
from recommender.rewards.settling import Settled, settle_rewards
from recommender.weighing.features import FeatureSpec
from recommender.weighing.offer_facts import encode_facts
from recommender.weighing.propensities import floor_after

logger = logging.getLogger(__name__)

# So many rows fit in memory easily and keep the transaction down to a second or so.
BATCH = 20_000
# A log is read again when so much of it is new, or its version so old.
NEW_SHARE = 0.01
READ_AGAIN_AFTER = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Learned:
    """What one batch did.

    Attributes:
        settled: Rewards whose window has passed.
        learned: Decisions that were new to the policy.
        version: The version published, if any.
        corrected: Decisions that turned out to earn something else than was learned.
    """

    settled: int
    learned: int
    version: int | None
    corrected: int = 0


def learn_batch(policy_id: int, *, now: datetime, device: str = "cpu") -> Learned | None:
    """Settle, learn and publish one batch, unless another worker is at it or nothing is due.

    The rewards, the statistics and the version are committed together. A worker that dies before
    that has done nothing: PostgreSQL drops its transaction with its connection, and the next beat
    starts over. Leaves follow by themselves: they are made from what is learned already.
    """
    learned = _learn(policy_id, now=now, device=device)
    if learned is not None and learned.version is not None:
        try:
            publish_leaves(policy_id, now=now)
        except Exception:
            # Clients go on with the leaves that they have; nothing learned is lost with these.
            logger.exception("Policy %s could not be distilled into leaves", policy_id)
    return learned


def _learn(policy_id: int, *, now: datetime, device: str) -> Learned | None:
    with transaction.atomic():
        # The key stays free: decisions that name this policy are logged meanwhile.
        policy = (
            Policy.objects.select_for_update(skip_locked=True, no_key=True)
            .filter(pk=policy_id)
            .first()
        )
        if policy is None:
            return None
        settled = settle_rewards(policy, now=now, limit=BATCH)
        if not settled:
            return None
        lessons = [row for row in settled if row.is_lesson and row.before is None]
        changed = [row for row in settled if row.before is not None and row.before != row.value]
        has_news = lessons or changed
        version = _publish(policy, lessons, changed, now=now, device=device) if has_news else None
        final = sum(row.is_final for row in settled)
        if final and is_stale(policy, now=now):
            refit_delays(policy, now=now)
        return Learned(final, len(lessons), version, corrected=len(changed))


def _publish(
    policy: Policy,
    lessons: Sequence[Settled],
    changed: Sequence[Settled],
    *,
    now: datetime,
    device: str,
) -> int | None:
    """Add the lessons to the statistics, correct others, and publish what follows from them all.

    A bandit that reads its log waits until it is due, and nothing is published while a policy is
    held (`holding.py`).
    """
    bandit = make_bandit(policy, device=device)
    news = add_up(policy, lessons, bandit=bandit)
    totals = {offer: total + news[offer] for offer, total in read_sums(policy, now=now).items()}
    totals = correct(policy, totals, changed, bandit=bandit, now=now)
    learned = sum(each.n for each in totals.values())
    if isinstance(bandit, Representing) and is_due(policy, learned=learned, now=now):
        totals = train_network(policy, bandit, learned=learned, now=now)
    write_sums(policy, totals, as_of=now)
    if is_held(policy):
        return None
    newest = policy.versions.first()
    last = 0 if newest is None else newest.number
    is_reader = isinstance(bandit, LogReader | StepReader)
    if is_reader and newest and not _is_read_again(newest, learned=learned, now=now):
        return None
    read_all(policy, bandit, now=now)
    odds = bandit.publish(
        list(totals.values()),
        offers=tuple(policy.offers),
        features=FeatureSpec.from_json(policy.features),
        floor=floor_after(policy.floor, learned=learned),
        version=last + 1,
    )
    odds = odds.charge(read_charges(policy), version=last + 1)
    return store_version(policy, odds, learned_from=round(learned), now=now)


def read_all(policy: Policy, bandit: Bandit, *, now: datetime) -> None:
    """Let a bandit read what it learns by besides sums: the log, or what is known of offers."""
    if policy.kind in FACT_KINDS and isinstance(bandit, FactReader):
        bandit.read_facts(encode_facts(policy.known_facts))
    if isinstance(bandit, LogReader):
        bandit.read(read_log(policy, now=now))
    if isinstance(bandit, StepReader):
        bandit.read_steps(read_steps(policy, now=now))


def _is_read_again(newest: PolicyVersion, *, learned: float, now: datetime) -> bool:
    """Tell whether enough was learned since a version to read the whole log again."""
    grown = learned >= (1.0 + NEW_SHARE) * newest.learned_from
    return grown or now >= newest.published_at + READ_AGAIN_AFTER
