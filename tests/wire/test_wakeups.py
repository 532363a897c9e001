import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery, current_app
from django.conf import settings

from config.environment import broker
from wire.wakeups import wake


@pytest.fixture
def broken_broker(tmp_path: Path) -> Iterator[None]:
    usual = current_app._get_current_object()
    with Celery("lonely", broker=broker(f"unix://{tmp_path}/nobody.sock")) as lonely:
        lonely.set_current()
        yield
        usual.set_current()


def test_a_task_is_sent_by_name() -> None:
    with redis.Redis.from_url(settings.REDIS_URL) as queue:
        queue.delete("celery")
        wake("recommender.learn_due")
        assert queue.llen("celery") == 1
        queue.delete("celery")


@pytest.mark.usefixtures("broken_broker")
def test_a_dead_broker_costs_a_warning_and_no_time(caplog: pytest.LogCaptureFixture) -> None:
    started = time.monotonic()
    wake("recommender.learn_due")
    assert time.monotonic() - started < 1
    assert "does not answer" in caplog.text
