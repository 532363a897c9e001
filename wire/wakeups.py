"""Wake a worker now instead of at its next beat."""

import logging

from celery import current_app
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)


# Celery would try a dead broker again for some seconds, and whoever wakes a worker would wait.
BRIEFLY = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_max": 0.1,
    "connect_retries_timeout": 0.5,
    "socket_connect_timeout": 0.5,
    "socket_timeout": 0.5,
}


def wake(task: str) -> None:
    """Send a task by name, so that the sender need not load what the task needs.

    The work is in PostgreSQL and the beat asks for it every few seconds: a message that cannot
    be sent costs those seconds and nothing else.
    """
    try:
        with current_app.connection_for_write(transport_options=BRIEFLY) as connection:
            current_app.send_task(task, retry=False, expires=60, connection=connection)
    except OperationalError:
        logger.warning("The broker does not answer; %s waits for the next beat", task)
