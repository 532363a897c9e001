"""A change is told after it is committed, and only then; a silent Redis stops nothing."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import transaction

from wire.current import CHANGES_KEY
from wire.notices import announce_change

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def notices() -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.delete(CHANGES_KEY)
        yield client
        client.delete(CHANGES_KEY)


def count(notices: "redis.Redis") -> int:
    value: Any = notices.get(CHANGES_KEY)
    return int(value or 0)


def test_a_change_is_counted_when_it_is_committed(notices: "redis.Redis") -> None:
    with transaction.atomic():
        announce_change()
        assert count(notices) == 0
    assert count(notices) == 1


def test_what_is_rolled_back_is_not_told(notices: "redis.Redis") -> None:
    with transaction.atomic():
        announce_change()
        transaction.set_rollback(True)
    assert count(notices) == 0


def test_a_silent_redis_is_noted_and_nothing_else(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    with caplog.at_level(logging.WARNING):
        announce_change()
    assert "Redis does not answer" in caplog.text
