"""Notes in Redis when each task was last done and how often it failed, for whoever watches."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import redis
import redis.asyncio
from celery import Task
from celery.signals import task_failure, task_success
from django.conf import settings
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

logger = logging.getLogger(__name__)

# Hashes: by a task's name, when it was last done, and how often it failed.
DONE_KEY = "offerlab:tasks:done"
FAILED_KEY = "offerlab:tasks:failed"


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
