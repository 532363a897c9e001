"""Learn what is due to be learned, and train rankers."""

import logging
from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils import timezone

from recommender.evaluating.challenging import assess, find_due, note_problem
from recommender.evaluating.promoting import CHALLENGE_TASK, find_wanted, promote
from recommender.learning.learn import learn_batch
from recommender.learning.rebuilding import check_sums, find_unchecked
from recommender.ranking.catalogue import update_products
from recommender.ranking.learning import train_next
from recommender.ranking.lifecycle import request_refreshes
from recommender.ranking.monitoring import check_due as check_due_rankings
from recommender.rewards.settling import find_due_policies

logger = logging.getLogger(__name__)

LEARN_TASK = "recommender.learn_due"
CHECK_TASK = "recommender.check_sums"
CHECK_EVERY = timedelta(hours=20)
RANK_TASK = "recommender.train_rankers"
CHECK_RANKINGS_TASK = "recommender.check_rankings"
PRODUCTS_TASK = "recommender.update_products"


@shared_task(name=RANK_TASK)
def train_rankers() -> int:
    """Ask for trainings that are due again, and train what waits; return how many were trained."""
    trained = 0
    request_refreshes(now=timezone.now())
    while version := train_next(now=timezone.now()):
        trained += 1
        logger.info("%s: %s. %s", version, version.get_status_display(), " ".join(version.reasons))
    return trained


@shared_task(name=CHECK_RANKINGS_TASK)
def check_rankings() -> int:
    """Look after each served ranker once a day; return how many raise an alarm."""
    return check_due_rankings(now=timezone.now())


@shared_task(name=PRODUCTS_TASK)
def read_products() -> int:
    """Take in what new events say of products; return of how many they do."""
    return update_products(now=timezone.now())


@shared_task(name=LEARN_TASK)
def learn_due() -> int:
    """Settle and learn what is due by now; return the number of rewards settled."""
    settled, now = 0, timezone.now()
    for policy in find_due_policies(now=now):
        try:
            # With one `now` for all batches: what falls due meanwhile would else make a version
            # of a few decisions each, over and over.
            while batch := learn_batch(policy.pk, now=now, device=settings.LEARNING_DEVICE):
                settled += batch.settled
                if batch.version is not None:
                    words = "%s: learned from %d decisions, version %d"
                    logger.info(words, policy, batch.learned, batch.version)
        except Exception:
            # One policy with damaged settings must not keep the others from learning.
            logger.exception("%s could not learn", policy)
    return settled


@shared_task(name=CHECK_TASK)
def check_due() -> int:
    """Hold each policy's sums against its log once a day; return how many are wrong."""
    wrong, now = 0, timezone.now()
    for policy in find_unchecked(before=now - CHECK_EVERY):
        wrong += check_sums(policy, now=now).is_wrong
    return wrong


@shared_task(name=CHALLENGE_TASK)
def assess_challengers() -> int:
    """Hold each challenger against what decides once a day; return how many took over."""
    promoted, now = 0, timezone.now()
    for challenger in find_due(now=now):
        try:
            assess(challenger, now=now, device=settings.LEARNING_DEVICE)
        except Exception as error:
            # One that cannot learn must not keep the others from it; it is tried again tomorrow.
            logger.exception("%s could not be judged", challenger)
            note_problem(challenger, f"It could not be judged: {error}", now=now)
    for challenger in find_wanted():
        try:
            version = promote(challenger, now=now)
        except ValidationError as error:
            logger.info("%s does not take over: %s", challenger, " ".join(error.messages))
        else:
            logger.warning("%s has taken over, as version %d", challenger, version.number)
            promoted += 1
    return promoted
