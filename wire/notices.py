"""Tell the web processes that what they hold in memory changed."""

import logging

import redis
from django.conf import settings
from django.db import transaction

from wire.current import CHANGES_KEY

logger = logging.getLogger(__name__)


def announce_change() -> None:
    """Count a change once the transaction at hand is committed."""
    transaction.on_commit(_count)


def _count() -> None:
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1)
    try:
        client.incr(CHANGES_KEY)
    except redis.RedisError:
        # The notice only makes the change quicker to be seen; a re-read by time follows.
        logger.warning("Redis does not answer; the change is seen within seconds all the same")
    finally:
        client.close()
