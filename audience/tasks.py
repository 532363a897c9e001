"""Keep the lake up to what was received."""

from importlib import import_module

from celery import shared_task
from django.conf import settings

LAKE_TASK = "audience.extend_lake"


@shared_task(name=LAKE_TASK)
def extend_lake() -> int:
    """Write closed stretches of events to the lake, if there is one; return how many files."""
    if settings.LAKE_DIR is None:
        return 0
    # Loaded by name: a worker without a lake needs no DuckDB in its memory.
    written: int = import_module("audience.lake").extend_lake(settings.LAKE_DIR)
    return written
