"""Runs the replays that were asked for, one worker at a time, and tells how far each is."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from experiments.measuring.layout import Layout
from experiments.measuring.queries import count_by_day, find_layout, run_statement
from experiments.models import Metric, Replay
from experiments.plan import Adjustment, PlannedMetric
from experiments.planning.planner import ENTRY_DAYS, LEAST_CUSTOMERS, WATCHED_DAYS
from experiments.replays.splitting import FloatArray, run
from experiments.sql.columns import Entry, Scope
from experiments.sql.statements import values_statement
from experiments.wording import tell_apart
from wire.wakeups import wake

REPLAY_TASK = "experiments.replay_due"
# A sample of so many says as much, and takes minutes at most.
MOST_CUSTOMERS = 200_000
# So many times the page hears of progress.
STEPS = 50
# Any number: it tells these locks from others.
CLAIM = 0x0FFE21AD

logger = logging.getLogger(__name__)


def request_replay(
    metrics: list[Metric], *, entry: str, splits: int, by: User | None, now: datetime
) -> Replay:
    """Ask a worker to replay metrics over random splits of those who entered by an event."""
    with transaction.atomic():
        replay = Replay.objects.create(
            entry=entry, splits=splits, requested_by=by, requested_at=now
        )
        replay.metrics.set(metrics)
        transaction.on_commit(partial(wake, REPLAY_TASK))
    return replay


def run_due() -> int:
    """Run what was asked for and is not finished; return how many were.

    A lock of the session keeps other workers off. It goes with a worker that dies, and the next one
    begins anew: with the same seed, it comes to the same.
    """
    done = 0
    for replay in Replay.objects.filter(finished_at=None).order_by("pk"):
        with claimed(replay) as is_ours:
            if is_ours and Replay.objects.filter(pk=replay.pk, finished_at=None).exists():
                _finish(replay)
                done += 1
    return done


@contextmanager
def claimed(replay: Replay) -> Iterator[bool]:
    """Hold a replay for this session, unless another one does."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [CLAIM, replay.pk])
        (is_ours,) = cursor.fetchone()
        try:
            yield bool(is_ours)
        finally:
            if is_ours:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [CLAIM, replay.pk])


def _finish(replay: Replay) -> None:
    try:
        result = _replay(replay, progress=report_progress(replay))
    except Exception:
        # A replay that cannot be done must neither keep others waiting nor be tried for ever.
        logger.exception("Replay %s failed", replay.pk)
        result = {"error": "It failed. The worker\u2019s log says why."}
    done = {} if "error" in result else {"done": replay.splits}
    Replay.objects.filter(pk=replay.pk).update(result=result, finished_at=timezone.now(), **done)


def report_progress(replay: Replay) -> Callable[[int], None]:
    """Return what writes down, now and then, how many splits are done."""
    step = max(replay.splits // STEPS, 1)

    def tell(done: int) -> None:
        if done % step == 0:
            Replay.objects.filter(pk=replay.pk).update(done=done)

    return tell


def _replay(replay: Replay, *, progress: Callable[[int], None]) -> dict[str, Any]:
    metrics = list(replay.metrics.order_by("pk"))
    if not metrics:
        return {"error": "Its metrics were deleted meanwhile."}
    now = replay.requested_at
    until = now - timedelta(days=WATCHED_DAYS)
    scope = Scope(0, until - timedelta(days=ENTRY_DAYS), now, Entry(replay.entry, until))
    entered = sum(count_by_day(scope).values())
    if entered < LEAST_CUSTOMERS:
        return {
            "error": f"Only {entered} customers had the event \u201c{replay.entry}\u201d in "
            f"four weeks; at least {LEAST_CUSTOMERS} are needed."
        }
    layout = find_layout(scope, _plan(metrics), Adjustment())
    values = _read(scope, layout)
    names = tell_apart({metric.key: metric.name for metric in metrics})
    found = run(layout, values, splits=replay.splits, seed=replay.pk, progress=progress)
    return {
        "customers": len(values),
        "entered": entered,
        "metrics": [
            {"name": names[metric.key], **replayed.to_json()}
            for metric, replayed in zip(metrics, found, strict=True)
        ],
    }


def _plan(metrics: list[Metric]) -> list[PlannedMetric]:
    """Plan metrics as an experiment would whose goal is the first of them."""
    return [
        PlannedMetric(
            metric.key,
            metric.name,
            metric.kind,
            metric.params,
            metric.higher_is_better,
            "goal" if place == 0 else "secondary",
        )
        for place, metric in enumerate(metrics)
    ]


def _read(scope: Scope, layout: Layout) -> FloatArray:
    """Return the columns of every customer, or of a sample, always in the same order."""
    statement = values_statement(scope, layout.columns, most=MOST_CUSTOMERS)
    values = np.array(run_statement(statement, scope), dtype=np.float64)
    # Rows come in any order, but the seed's splits go by their places.
    return values[np.lexsort(values.T)]
