"""Keep the lake up to what came, audiences up to who is in them, and nothing for too long."""

import logging
import time
from datetime import timedelta
from importlib import import_module

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from audience.audiences.saving import REFRESH_TASK, find_due, refresh_members
from audience.keeping.retention import delete_expired

LAKE_TASK = "audience.extend_lake"
# Of every 30 seconds, so that a worker has time for other things: what is left waits for its turn.
BUDGET_SECONDS = 10.0

logger = logging.getLogger(__name__)


@shared_task(name=LAKE_TASK)
def extend_lake() -> int:
    """Write closed stretches of events to the lake, if there is one; return how many files."""
    if settings.LAKE_DIR is None:
        return 0
    # Loaded by name: a worker without a lake needs no DuckDB in its memory.
    written: int = import_module("audience.keeping.lake").extend_lake(settings.LAKE_DIR)
    return written


@shared_task(name=REFRESH_TASK)
def refresh_audiences() -> int:
    """Look up again who belongs to audiences, the longest untouched first; return how many."""
    older_than = timedelta(seconds=settings.AUDIENCE_REFRESH_SECONDS)
    until = time.monotonic() + BUDGET_SECONDS
    done = 0
    for audience in find_due(older_than=older_than):
        try:
            found = refresh_members(audience.pk, older_than=older_than)
        except Exception:
            # One rule that cannot be read any more must not keep the others from their members.
            logger.exception("The members of %s could not be looked up", audience.key)
            continue
        if found is not None:
            done += 1
            logger.info(
                "%s: %d members, %d came, %d went",
                audience.key,
                found.size,
                found.added,
                found.removed,
            )
        if time.monotonic() > until:
            break
    return done


@shared_task(name="audience.delete_expired")
def delete_what_expired() -> int:
    """Delete what is older than it may be kept; return how many rows."""
    return sum(delete_expired(now=timezone.now()).values())
