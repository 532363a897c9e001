"""A process that does nothing but send goes on after the database was away."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.conf import settings

from campaigns.models import Campaign, Enrolment
from tests.asgi import database_url
from tests.campaigns.mailed import Sink, make_mailed, make_readers
from tests.racing import end_sessions

pytestmark = pytest.mark.usefixtures("transactional_db")

PATIENCE_SECONDS = 40


@contextmanager
def sender(sink: Sink) -> Iterator["subprocess.Popen[bytes]"]:
    """Run `manage.py send` on the test's database and mail server."""
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(),
        "REDIS_URL": settings.REDIS_URL,
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": str(sink.port),
        "EMAIL_TLS": "no",
    }
    process = subprocess.Popen(
        [sys.executable, "manage.py", "send"], env=environment, cwd=settings.BASE_DIR
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until(is_so: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert process.poll() is None, "it ended"
        assert time.monotonic() < deadline, f"it should be so after {PATIENCE_SECONDS} s"
        time.sleep(0.1)


def test_it_goes_on_after_its_connections_were_ended(sink: Sink) -> None:
    make_readers(3)
    campaign = make_mailed(campaign_values={"enrolment": Enrolment.CONTINUOUS})
    with sender(sink) as process:
        wait_until(lambda: len(sink.mails) > 0, process)
        end_sessions()
        make_readers(5)
        # Who joined is looked for at once, and not half a minute later.
        Campaign.objects.filter(pk=campaign.pk).update(enrolled_at=None)
        wait_until(lambda: campaign.deliveries.filter(state="sent").count() > 3, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0
    assert len(set(sink.receivers)) == len(sink.mails)
