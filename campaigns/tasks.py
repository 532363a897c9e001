"""Keep campaigns to their dates, judge their policies, and erase who asked for it."""

import logging
import time
from datetime import datetime, timedelta

from celery import shared_task
from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from audience.models import Erasure
from audience.privacy.erasing import find_unsearched
from campaigns.assigning.asking import ASSIGN_TASK, find_unfinished, note_problem
from campaigns.assigning.deciding import Assigner
from campaigns.lifecycle.scheduling import finish_due, start_due
from campaigns.models import LIVE, Campaign
from campaigns.pricing import find_priced, price_campaign
from campaigns.privacy import erase_person, finish_erasure
from campaigns.results.computing import compute_result, find_due
from campaigns.results.epochs import end_epoch
from campaigns.retention import forget_old as forget
from recommender.bandits import SEQUENCE_KINDS
from recommender.evaluating.evaluation import evaluate_policy
from recommender.evaluating.sequence_logs import evaluate_sequences
from recommender.evaluating.slate_logs import evaluate_slates
from recommender.models import PolicyEvaluation
from wire.wakeups import wake

logger = logging.getLogger(__name__)

EVALUATE_TASK = "campaigns.evaluate_due"
RESULTS_TASK = "campaigns.compute_results"
PRICE_TASK = "campaigns.price_due"
SCHEDULE_TASK = "campaigns.keep_schedule"
ERASE_TASK = "campaigns.erase_due"
FORGET_TASK = "campaigns.forget_old"
JUDGE_EVERY = timedelta(hours=6)
# A worker has other work as well; what is left is gone on with right after it.
SLICE_SECONDS = 8.0


@shared_task(name=SCHEDULE_TASK)
def keep_schedule() -> tuple[int, int]:
    """Start and finish what is due; return how many were started and finished."""
    now = timezone.now()
    end_epoch(now=now)
    return start_due(now=now), finish_due(now=now)


@shared_task(name=EVALUATE_TASK)
def evaluate_due() -> int:
    """Evaluate every policy that holds customers back and published since it was last judged.

    Policies that show products publish nothing, and are judged from time to time.
    """
    done, now = 0, timezone.now()
    can_be_judged = Q(policy__held_back_share__gt=0) | Q(policy__ranking__isnull=False)
    for campaign in Campaign.objects.filter(can_be_judged).select_related("policy"):
        judged = PolicyEvaluation.objects.filter(campaign=campaign.key).order_by("-computed_at")
        last = judged.values_list("computed_at", flat=True).first()
        since = _find_news(campaign, now=now)
        if since is None or (last is not None and last >= since):
            continue
        try:
            evaluation = evaluate_campaign(campaign)
        except Exception:
            # One damaged policy must not keep the others from being judged.
            logger.exception("The policy of %s could not be judged", campaign)
        else:
            done += 1
            if evaluation is not None:
                logger.info("%s: the policy was judged on %s", campaign, evaluation.population)
    return done


def _find_news(campaign: Campaign, *, now: datetime) -> datetime | None:
    """Return since when there is something new to judge a policy by; None if there is nothing."""
    if campaign.policy.ranking_id is not None:
        return now - JUDGE_EVERY if campaign.status in LIVE else None
    version = campaign.policy.versions.first()
    return None if version is None else version.published_at


@shared_task(name=RESULTS_TASK)
def compute_results() -> int:
    """Compute what campaigns were worth whose experiment was analysed anew; return how many."""
    done = 0
    for campaign in find_due(now=timezone.now()):
        try:
            compute_result(campaign, now=timezone.now())
        except Exception:
            # One damaged campaign must not keep the others from their results.
            logger.exception("What %s was worth could not be computed", campaign)
        else:
            done += 1
    return done


@shared_task(name=PRICE_TASK)
def price_due() -> int:
    """Learn the prices of what is scarce; return how many versions charge others since."""
    done, now = 0, timezone.now()
    for campaign in find_priced(now=now):
        try:
            version = price_campaign(campaign, now=now)
        except Exception:
            # One damaged policy must not keep the others from their prices.
            logger.exception("What is scarce in %s could not be priced", campaign)
        else:
            if version is not None:
                done += 1
                logger.info("%s: version %d charges other prices", campaign, version)
    return done


def evaluate_campaign(campaign: Campaign) -> PolicyEvaluation | None:
    """Judge a campaign's policy now."""
    now = timezone.now()
    if campaign.policy.ranking_id is not None:
        return evaluate_slates(campaign.policy, campaign=campaign.key, now=now)
    if campaign.policy.kind in SEQUENCE_KINDS:
        return evaluate_sequences(campaign.policy, campaign=campaign.key, now=now)
    names = dict(campaign.choices.values_list("offer__key", "offer__name"))
    return evaluate_policy(campaign.policy, campaign=campaign.key, names=names, now=now)


@shared_task(name=ERASE_TASK)
def erase_due() -> int:
    """Erase everybody whose erasure was asked for or not finished; return how many were."""
    done = 0
    wished = Erasure.objects.filter(customer_id__isnull=False).order_by("requested_at")
    for erasure in [*wished, *find_unsearched(now=timezone.now())]:
        try:
            if erasure.erased_at is None:
                erase_person(erasure, now=timezone.now())
            else:
                finish_erasure(erasure)
        except Exception:
            # The wish stays, and the next beat takes it up.
            logger.exception("A customer could not be erased now")
        else:
            done += 1
    return done


@shared_task(name=ASSIGN_TASK)
def assign_audiences() -> int:
    """Decide for audiences for a while; return for how many customers."""
    unfinished = find_unfinished()
    if not unfinished:
        return 0
    done, is_left = 0, False
    ends = time.monotonic() + SLICE_SECONDS
    with Assigner(device=settings.LEARNING_DEVICE) as assigner:
        for assignment in unfinished:
            try:
                while (count := assigner.assign_some(assignment)) is not None:
                    done += count
                    if time.monotonic() >= ends:
                        is_left = True
                        break
            except Exception as error:
                # One campaign with damaged settings must not keep the others' from theirs.
                logger.exception("The audience of %s could not be decided for", assignment)
                note_problem(assignment, error)
    if is_left:
        wake(ASSIGN_TASK)
    return done


@shared_task(name=FORGET_TASK)
def forget_old() -> None:
    """Forget events and decisions that are older than the settings say."""
    forgotten = forget(now=timezone.now())
    if forgotten:
        logger.info("Forgotten, because it was old: %s", forgotten)
