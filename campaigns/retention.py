"""Forgets old events and decisions as settings say, but nothing that a live experiment needs."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, Min
from psycopg import sql

from audience.keeping.forgetting import days_before, find_old_partitions, forget_events
from experiments.models import LIVE, Experiment
from recommender.decision_ids import DECISIONS, first_id_at

# What customers did before they met an experiment makes its numbers sharper.
BEFORE_THE_START = timedelta(days=366)


def forget_old(*, now: datetime) -> Mapping[str, int]:
    """Forget what is too old; return how many months of what."""
    forgotten: dict[str, int] = {}
    events = _unless_needed(days_before(now, settings.KEEP_EVENTS_DAYS))
    if events is not None:
        forgotten["months of events"] = forget_events(before=events)
    decisions = _unless_needed(days_before(now, settings.KEEP_DECISIONS_DAYS))
    if decisions is not None:
        forgotten["months of decisions"] = forget_decisions(before=decisions)
    return {name: count for name, count in forgotten.items() if count}


def forget_decisions(*, before: datetime) -> int:
    """Drop the months of decisions that ended before a moment, with their rewards."""
    months = find_old_partitions(DECISIONS, before=before)
    for name, end in months:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '5s'")
            cursor.execute(
                "DELETE FROM recommender_reward WHERE decision_id < %s", [first_id_at(end)]
            )
            # The check of a foreign key that waits for the commit would forbid what follows.
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            for statement in ("ALTER TABLE {parent} DETACH PARTITION {name}", "DROP TABLE {name}"):
                composed = sql.SQL(statement).format(
                    parent=sql.Identifier(DECISIONS), name=sql.Identifier(name)
                )
                cursor.execute(composed.as_string())
    return len(months)


def _unless_needed(before: datetime | None) -> datetime | None:
    """Return a moment not later than what the experiments that are measured on begin with."""
    if before is None:
        return None
    live = Experiment.objects.filter(status__in=LIVE)
    found = live.aggregate(first=Min("started_at"), history=Max("history_days"))
    first: datetime | None = found["first"]
    if first is None:
        return before
    history = max(BEFORE_THE_START, timedelta(days=found["history"] or 0))
    return min(before, first - history)
