"""Send messages of campaigns, and do nothing else, until told to stop."""

import gc
import signal
import threading
import time
from argparse import ArgumentParser
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from campaigns.sending.enrolling import enrol_due
from campaigns.sending.worker import Worker

PAUSE_SECONDS = 0.5
ENROL_SECONDS = 5.0


class Command(BaseCommand):
    """Send what is due, over and over; as many of these as you like can run beside the workers."""

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
        enrolled_at = float("-inf")
        with Worker(is_over=stopping.is_set) as worker:
            while not stopping.is_set():
                if time.monotonic() - enrolled_at >= ENROL_SECONDS:
                    enrol_due(now=timezone.now())
                    enrolled_at = time.monotonic()
                done = worker.send_due(seconds=ENROL_SECONDS)
                if done:
                    self.stdout.write(str(dict(done)))
                elif until_done:
                    return
                else:
                    stopping.wait(PAUSE_SECONDS)
