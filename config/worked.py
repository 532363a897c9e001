"""Notes in Redis when each task was last done and how often it failed, for whoever watches."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import redis
import redis.asyncio
from celery import Task
from celery.signals import task_failure, task_success
from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from django.utils.timesince import timesince
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

logger = logging.getLogger(__name__)

# Hashes: by a task's name, when it was last done, and how often it failed.
DONE_KEY = "offerlab:tasks:done"
FAILED_KEY = "offerlab:tasks:failed"
# Something is done every few seconds, but a worker does one thing at a time, and some take long.
SILENCE = timedelta(minutes=10)


def note_done(sender: Task, **told: Any) -> None:
    """Write down that a task was done."""
    _tell(lambda client: client.hset(DONE_KEY, str(sender.name), time.time()))


def note_failed(sender: Task, **told: Any) -> None:
    """Count that a task failed; its traceback is in the worker's log."""
    _tell(lambda client: client.hincrby(FAILED_KEY, str(sender.name), 1))


def _tell(write: Callable[["redis.Redis"], object]) -> None:
    try:
        write(_client())
    except redis.RedisError as error:
        # What is watched here does not depend on it.
        logger.warning("Nobody can be told what was done: %s", error)


@cache
def _client() -> "redis.Redis":
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1)


task_success.connect(note_done)
task_failure.connect(note_failed)


def find_silence(request: HttpRequest) -> dict[str, Any]:
    """Give pages `silence`: since when no worker has done anything, where that is for long.

    It is looked for only where a page shows it.
    """
    return {"silence": SimpleLazyObject(_find_silence)}


def _find_silence() -> str:
    """Say it in words; nothing where all is well, or Redis does not answer."""
    try:
        done = _named(_client().hgetall(DONE_KEY))
    except redis.RedisError:
        return ""
    if not done:
        return "No worker has done anything yet"
    last = datetime.fromtimestamp(max(done.values()), UTC)
    if timezone.now() - last < SILENCE:
        return ""
    return f"No worker has finished anything for {timesince(last, depth=1)}"


async def read_task_gauges(client: "redis.asyncio.Redis") -> Sequence[Metric]:
    """Read how tasks do; nothing while Redis does not answer."""
    try:
        done = _named(await client.hgetall(DONE_KEY))
        failed = _named(await client.hgetall(FAILED_KEY))
    except redis.RedisError as error:
        logger.warning("How tasks do cannot be read: %s", error)
        return []
    ages = GaugeMetricFamily(
        "offerlab_task_done_seconds",
        "How long ago a worker last did it without an error.",
        labels=["task"],
    )
    failures = CounterMetricFamily(
        "offerlab_task_failures", "How often it failed.", labels=["task"]
    )
    for name, at in done.items():
        ages.add_metric([name], time.time() - at)
    for name, count in failed.items():
        failures.add_metric([name], count)
    return [ages, failures]


def _named(found: Mapping[Any, Any]) -> dict[str, float]:
    return {name.decode(): float(value) for name, value in found.items()}
