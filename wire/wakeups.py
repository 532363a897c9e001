"""Wake a worker now instead of at its next beat."""

import logging

from celery import current_app
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)


def wake(task: str) -> None:
    """Send a task by name, so that the sender need not load what the task needs.

    The work is in PostgreSQL and the beat asks for it every few seconds: a message that cannot
    be sent costs those seconds and nothing else.
    """
    try:
        current_app.send_task(task, retry=False, expires=60)
    except OperationalError:
        logger.warning("The broker does not answer; %s waits for the next beat", task)
