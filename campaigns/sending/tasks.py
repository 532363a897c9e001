"""What workers do for campaigns that are sent: enrol who joins, and send what is due."""

import logging

from celery import shared_task
from django.utils import timezone

from campaigns.sending.enrolling import enrol_due
from campaigns.sending.worker import Worker
from wire.wakeups import wake

ENROL_TASK = "campaigns.enrol_due"
SEND_TASK = "campaigns.send_due"
# A worker has other work as well; what is left is gone on with right after it.
SLICE_SECONDS = 8.0

logger = logging.getLogger(__name__)


@shared_task(name=ENROL_TASK)
def enrol_all() -> int:
    """Put down who is to get a campaign; return how many."""
    joined = enrol_due(now=timezone.now())
    if joined:
        logger.info("%d customers joined campaigns", joined)
        wake(SEND_TASK)
    return joined


@shared_task(name=SEND_TASK)
def send_due() -> int:
    """Send for a while; return how many messages left."""
    with Worker() as worker:
        done = worker.send_due(seconds=SLICE_SECONDS)
    if done:
        logger.info("Messages: %s", dict(done))
        wake(SEND_TASK)
    return done["sent"]
