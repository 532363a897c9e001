"""A broker that is killed and comes back finds the workers and the clock at their work again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from django.conf import settings

from config.embedded.services import EmbeddedServices
from config.worked import DONE_KEY
from recommender.tasks import LEARN_TASK
from tests.asgi import database_url

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

AWAY_SECONDS = 20
PATIENCE_SECONDS = 60


@contextmanager
def celery(*words: str, redis_url: str) -> Iterator[None]:
    """Run one of Celery's programs on the test's database and a broker."""
    environment = {**os.environ, "DATABASE_URL": database_url(), "REDIS_URL": redis_url}
    process = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "config", "--quiet", *words],
        env=environment,
        cwd=settings.BASE_DIR,
    )
    try:
        yield
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def wait_for_learning(broker: "redis.Redis", *, since: float) -> None:
    """Wait until a worker did what the clock told it to."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while float(broker.hget(DONE_KEY, LEARN_TASK) or 0) < since:
        assert time.monotonic() < deadline, f"nothing was done for {PATIENCE_SECONDS} s"
        time.sleep(0.5)


def test_work_goes_on_after_the_broker_was_killed(tmp_path: Path) -> None:
    services = EmbeddedServices(tmp_path, with_postgres=False, report=print)
    with services, redis.Redis.from_url(services.redis_url) as broker:
        url = services.redis_url
        worker = celery("worker", "--pool", "solo", "-Q", "celery", redis_url=url)
        clock = celery("beat", "--scheduler", "celery.beat:Scheduler", redis_url=url)
        with worker, clock:
            wait_for_learning(broker, since=time.time())
            (pid,) = services.pids
            os.kill(pid, signal.SIGKILL)
            time.sleep(AWAY_SECONDS)
            services.revive()
            wait_for_learning(broker, since=time.time())
