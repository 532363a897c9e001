"""Send messages of campaigns, and do nothing else, until told to stop."""

import gc
import logging
import signal
import threading
import time
from argparse import ArgumentParser
from collections import Counter
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand
from django.db import InterfaceError, InternalError, OperationalError, connection
from django.utils import timezone

from campaigns.sending.enrolling import enrol_due
from campaigns.sending.worker import Worker
from wire.pools import UNFIT

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 0.5
REST_SECONDS = 2.0
ENROL_SECONDS = 5.0
# Nobody answers, or a server that takes nothing: to Django, or to our own connection.
AWAY = (OperationalError, InterfaceError, InternalError, *UNFIT)


class Command(BaseCommand):
    """Send what is due, over and over; as many of these as you like can run beside the workers."""

    _enrolled_at = float("-inf")

    help = "Send messages of campaigns until told to stop (Ctrl-C, SIGTERM)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Offer to stop when nothing is left."""
        parser.add_argument(
            "--until-done", action="store_true", help="Stop once nothing is due any more."
        )

    def handle(self, *args: Any, until_done: bool, **options: Any) -> None:
        """Send."""
        stopping = threading.Event()

        def stop(number: int, frame: FrameType | None) -> None:
            stopping.set()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        # What is loaded by now stays; to look through it again and again would take a tenth.
        gc.collect()
        gc.freeze()
        with Worker(is_over=stopping.is_set) as worker:
            while not stopping.is_set():
                try:
                    done = self._send(worker)
                except AWAY as error:
                    logger.error("Sending waits for the database: %s", error)
                    # Another one may come to a server that takes something.
                    connection.close()
                    stopping.wait(REST_SECONDS)
                    continue
                if done:
                    self.stdout.write(str(dict(done)))
                elif until_done:
                    return
                else:
                    stopping.wait(PAUSE_SECONDS)

    def _send(self, worker: Worker) -> Counter[str]:
        """Send for some seconds, and first put down now and then who joined."""
        if time.monotonic() - self._enrolled_at >= ENROL_SECONDS:
            enrol_due(now=timezone.now())
            self._enrolled_at = time.monotonic()
        return worker.send_due(seconds=ENROL_SECONDS)
