"""Wait for the workers to learn from and analyse a campaign, and say how far they are."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db.models import Max
from django.utils import timezone

from campaigns.models import Campaign
from campaigns.tasks import EVALUATE_TASK
from experiments.lifecycle.status import request_analysis
from experiments.models import Experiment
from recommender.evaluating.evaluation import can_be_judged
from recommender.models import Policy, PolicyEvaluation, Reward
from recommender.rewards.settling import GRACE
from recommender.tasks import LEARN_TASK
from wire.wakeups import wake

POLL_SECONDS = 0.5


class NoWorker(RuntimeError):
    """Nothing moves: no worker seems to run."""


def wait_for_learning(
    campaign: Campaign,
    *,
    decided_by: datetime | None = None,
    progress: Callable[[int], object] = lambda count: None,
    patience_seconds: float = 90,
) -> None:
    """Wait until every reward of the campaign's policy is settled.

    Args:
        campaign: The campaign.
        decided_by: Wait for the rewards of the decisions made up to then; None is all of them.
        progress: Told how many more are settled.
        patience_seconds: How long nothing may move.

    Raises:
        NoWorker: No reward was settled for a long time.
    """
    pending = Reward.objects.filter(policy=campaign.policy, settled_at=None)
    if decided_by is not None:
        window = timedelta(seconds=campaign.policy.reward_window_seconds)
        pending = pending.filter(due_at__lte=decided_by + window)
    last_due_at = pending.aggregate(last=Max("due_at"))["last"]
    if last_due_at is not None:
        # A worker woken before that would find nothing to settle.
        seconds = (last_due_at + GRACE - timezone.now()).total_seconds()
        time.sleep(min(max(seconds, 0.0), patience_seconds))
    left = pending.count()
    wake(LEARN_TASK)
    moved_at = time.monotonic()
    while left:
        time.sleep(POLL_SECONDS)
        now_left = pending.count()
        if now_left != left:
            progress(left - now_left)
            moved_at, left = time.monotonic(), now_left
        _check_patience(moved_at, patience_seconds)


def wait_for_report(campaign: Campaign, *, patience_seconds: float = 90) -> None:
    """Ask for a fresh analysis and evaluation, and wait for both.

    Raises:
        NoWorker: They did not come for a long time.
    """
    asked_at = timezone.now()
    request_analysis(campaign.experiment, now=asked_at)
    wake(EVALUATE_TASK)
    started_at = time.monotonic()
    while not (_is_analysed(campaign, asked_at) and _is_evaluated(campaign)):
        time.sleep(POLL_SECONDS)
        _check_patience(started_at, patience_seconds)


def _is_analysed(campaign: Campaign, asked_at: object) -> bool:
    return Experiment.objects.filter(pk=campaign.experiment_id, analysed_at__gte=asked_at).exists()


def _is_evaluated(campaign: Campaign) -> bool:
    """Tell whether the newest version was judged, if it is one that can be."""
    policy = Policy.objects.get(pk=campaign.policy_id)
    version = policy.versions.defer("odds").first()
    if version is None or not can_be_judged(policy, campaign=campaign.key):
        return True
    return PolicyEvaluation.objects.filter(
        campaign=campaign.key, computed_at__gte=version.published_at
    ).exists()


def _check_patience(since: float, patience_seconds: float) -> None:
    if time.monotonic() - since > patience_seconds:
        raise NoWorker(
            f"Nothing moved for {patience_seconds:.0f} s: is a worker running? `make run` starts "
            "one, and what is due is kept until then."
        )
