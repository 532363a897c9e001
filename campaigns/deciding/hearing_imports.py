"""Counts for limits in total what an import tells of, as `hearing.py` does of what is sent.

What happened before a limit was made does not count, as it did not when it was sent.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from itertools import islice

from django.conf import settings
from django.db import connection
from psycopg.rows import dict_row

from audience.intake.listening import Brought, Changed, Told
from campaigns.deciding.counters import ADD, LOCK, MAKE
from campaigns.deciding.hearing import GIVEN, NAMING, count_heard, find_named, to_given
from campaigns.deciding.limits import Limit
from campaigns.deciding.loading import LIMITS, find_heard

# So many events at a time.
CHUNK = 5_000


def count_imported(brought: Brought) -> Callable[[Changed], None]:
    """Count at once, and move counters when the transaction at hand is about to be committed."""
    limits = _read_limits()
    names = {name for limit in limits for name in limit.events}
    moved: Counter[str] = Counter()
    told = iter(brought.find_events(names, naming=NAMING) if names else ())
    while some := list(islice(told, CHUNK)):
        moved.update(_count(some, limits))

    def finish(changed: Changed) -> None:
        """Move the counters: whoever gives something out waits from here on."""
        for some, step in ((changed.gone, -1), (changed.come, 1)):
            for name, count in _count(some, limits).items():
                moved[name] += step * count
        if moved:
            with connection.cursor() as cursor:
                cursor.execute(MAKE, {"names": sorted(moved)})
                cursor.execute(LOCK, {"names": sorted(moved)})
                cursor.execute(ADD, {"names": list(moved), "amounts": list(moved.values())})

    return finish


def _read_limits() -> Sequence[Limit]:
    with connection.cursor() as django, django.connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(LIMITS)
        return find_heard(cursor.fetchall())


def _count(told: Sequence[Told], limits: Collection[Limit]) -> dict[str, int]:
    if not told or not limits:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(GIVEN, [find_named(told)])
        given = to_given(cursor.fetchall())
    moved: dict[str, int] = {}
    for limit in limits:
        since = [
            each
            for each in told
            if limit.made_at is None or each.message.occurred_at >= limit.made_at
        ]
        moved |= count_heard(since, [limit], given=given, zone=settings.SITE_ZONE)
    return moved
