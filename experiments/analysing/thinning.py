"""Keeps of many analyses those that tell something."""

from datetime import UTC, datetime, timedelta

from django.db.models import Exists, OuterRef
from django.db.models.functions import TruncDay

from experiments.models import Analysis, Experiment

# Every analysis is kept for so long; then one a day, and those at which something was judged.
RECENT = timedelta(days=2)


def thin_analyses(experiment: Experiment, *, now: datetime) -> int:
    """Delete the analyses between looks but for the last of each day (UTC); return how many.

    A running experiment is analysed every few minutes, and one analysis with many segments takes
    half a megabyte. No number is lost that was ever judged: whatever took a look stays.
    """
    by_day = Analysis.objects.filter(experiment=experiment).annotate(
        day=TruncDay("computed_at", tzinfo=UTC)
    )
    later = by_day.filter(day=OuterRef("day"), computed_at__gt=OuterRef("computed_at"))
    between = by_day.filter(look=None, is_decision=False, computed_at__lt=now - RECENT)
    deleted, _ = between.filter(Exists(later)).delete()
    return deleted
