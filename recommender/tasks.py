"""Learn what is due to be learned."""

import logging

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from recommender.learning import learn_batch
from recommender.models import Reward
from recommender.rewards import GRACE

logger = logging.getLogger(__name__)

LEARN_TASK = "recommender.learn_due"


@shared_task(name=LEARN_TASK)
def learn_due() -> int:
    """Settle and learn until nothing is due; return the number of rewards settled."""
    settled = 0
    due = Reward.objects.filter(settled_at=None, due_at__lte=timezone.now() - GRACE)
    for policy_id in sorted(set(due.values_list("policy_id", flat=True))):
        try:
            while batch := learn_batch(
                policy_id, now=timezone.now(), device=settings.LEARNING_DEVICE
            ):
                settled += batch.settled
        except Exception:
            # One policy with damaged settings must not keep the others from learning.
            logger.exception("Policy %s could not learn", policy_id)
    return settled
