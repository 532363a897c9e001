"""Keep the lake up to what was received."""

from importlib import import_module

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from audience.retention import delete_expired

LAKE_TASK = "audience.extend_lake"


@shared_task(name=LAKE_TASK)
def extend_lake() -> int:
    """Write closed stretches of events to the lake, if there is one; return how many files."""
    if settings.LAKE_DIR is None:
        return 0
    # Loaded by name: a worker without a lake needs no DuckDB in its memory.
    written: int = import_module("audience.lake").extend_lake(settings.LAKE_DIR)
    return written


@shared_task(name="audience.delete_expired")
def delete_what_expired() -> int:
    """Delete what is older than it may be kept; return how many rows."""
    return sum(delete_expired(now=timezone.now()).values())
