"""A worker that is killed while it learns has done nothing; the next one does everything once."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
import redis
from django.conf import settings
from django.utils import timezone

from recommender.delays import DelayCurve
from recommender.learning.learn import learn_batch
from recommender.learning.rebuilding import check_sums
from recommender.models import OfferStatistics, Policy, PolicyVersion, Reward
from recommender.tasks import LEARN_TASK
from tests.asgi import database_url
from tests.makers import make_policy
from tests.racing import locked_table, wait_for_blocked
from tests.recommender.learned import OFFERS, assert_learned_the_log, happen
from wire.wakeups import wake

pytestmark = pytest.mark.django_db(transaction=True)

DECISIONS = 40
PATIENCE_SECONDS = 30
BEAT_SECONDS = 1.0


@contextmanager
def worker() -> Iterator["subprocess.Popen[bytes]"]:
    """Run a real Celery worker on the test's database and broker."""
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(),
        "REDIS_URL": settings.REDIS_URL,
        "LOG_LEVEL": "WARNING",
    }
    options = ["--pool", "solo", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    process = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "config", "--quiet", "worker", *options],
        env=environment,
        cwd=settings.BASE_DIR,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def beat_until(is_done: Callable[[], bool]) -> None:
    """Send the task again and again, as the beat does, until something is so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_done():
        assert time.monotonic() < deadline, f"it should be done after {PATIENCE_SECONDS} s"
        wake(LEARN_TASK)
        time.sleep(BEAT_SECONDS)


def is_all_settled() -> bool:
    return not Reward.objects.filter(settled_at=None).exists()


@pytest.fixture
def policy() -> Policy:
    """A policy with rewards to settle that were due yesterday."""
    policy = make_policy(offers=OFFERS)
    happen(policy, DECISIONS, at=timezone.now() - timedelta(days=1))
    return policy


@pytest.fixture(autouse=True)
def broker() -> Iterator["redis.Redis"]:
    """An empty broker, which is left empty."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.flushdb()
        yield client
        client.flushdb()


def test_a_killed_worker_loses_and_doubles_nothing(policy: Policy, broker: "redis.Redis") -> None:
    with locked_table("recommender_policyversion"):
        with worker() as process:
            wake(LEARN_TASK)
            # It has settled the rewards and added up the statistics, and stands before the last
            # statement of its transaction.
            wait_for_blocked(patience_seconds=PATIENCE_SECONDS)
            process.send_signal(signal.SIGKILL)
            assert process.wait(timeout=5) == -signal.SIGKILL
        assert Reward.objects.filter(settled_at=None).count() == DECISIONS
        assert not OfferStatistics.objects.exists()
        assert not PolicyVersion.objects.exists()

    # The message died with its worker, and the broker forgets what it knew.
    broker.flushdb()
    with worker():
        beat_until(is_all_settled)
        assert policy.versions.get().learned_from == DECISIONS
        assert_learned_the_log(policy)

        # A broker that forgets everything under a running worker costs a beat, no more.
        broker.flushdb()
        happen(policy, DECISIONS, seed=2, at=timezone.now() - timedelta(hours=12))
        beat_until(is_all_settled)
    assert [v.learned_from for v in policy.versions.order_by("number")] == [
        DECISIONS,
        2 * DECISIONS,
    ]
    assert_learned_the_log(policy)


def test_a_worker_killed_at_a_landmark_teaches_it_once(
    policy: Policy, broker: "redis.Redis"
) -> None:
    curve = DelayCurve(ages=[3_600, 172_800], arrived=[0.5, 1.0], earned=50)
    Policy.objects.update(reward_window_seconds=172_800, delays=curve.to_json())
    Reward.objects.update(due_at=timezone.now() + timedelta(days=1))
    with locked_table("recommender_policyversion"):
        with worker() as process:
            wake(LEARN_TASK)
            wait_for_blocked(patience_seconds=PATIENCE_SECONDS)
            process.send_signal(signal.SIGKILL)
            assert process.wait(timeout=5) == -signal.SIGKILL
        assert Reward.objects.filter(stage=0, value=None).count() == DECISIONS

    broker.flushdb()
    with worker():
        beat_until(lambda: not Reward.objects.filter(stage=0).exists())
    assert not Reward.objects.exclude(stage=2, is_lesson=True, settled_at=None).exists()
    assert policy.versions.get().learned_from == DECISIONS
    assert check_sums(policy, now=timezone.now()).problem == ""
    learned = learn_batch(policy.pk, now=timezone.now() + timedelta(days=2))
    assert learned is not None
    assert (learned.settled, learned.learned) == (DECISIONS, 0)
    assert_learned_the_log(policy)
