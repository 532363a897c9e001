"""Sends messages on a few connections at once, for a moment at a time."""

import logging
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

from campaigns.channels.base import Channel, Line, Outgoing, Refused, Unsure

logger = logging.getLogger(__name__)

# In between it is looked again whether they may still go: within a second of a pause or of a
# customer's no, nothing more leaves.
MOMENT_SECONDS = 0.4
# A receiver that answers sooner is not waited for: a second line would only be in the way of the
# first. One that takes longer is talked to on twice as many.
QUICK_SECONDS = 0.001
SLOW_SECONDS = 0.003


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that was taken."""

    outgoing: Outgoing
    provider_id: str


@dataclass(frozen=True, slots=True)
class Unsent:
    """A message that was not taken, or of which nobody knows."""

    outgoing: Outgoing
    error: Refused | Unsure


@dataclass(frozen=True, slots=True)
class Round:
    """What became of messages, and those whose turn did not come."""

    outcomes: Sequence[Sent | Unsent]
    left: Sequence[Outgoing]


class Lines:
    """The ways out of one channel, opened when they are first needed."""

    def __init__(self, channel: Channel, *, count: int) -> None:
        """Use up to so many at once."""
        self._used = 1
        self._channel = channel
        self._count = count
        self._stack = ExitStack()
        self._lines: dict[int, Line] = {}
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="sending")

    def __enter__(self) -> Self:
        """Keep the lines until the block ends."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the lines."""
        self._threads.shutdown()
        self._stack.close()

    def send(
        self, outgoing: Sequence[Outgoing], *, now: datetime, seconds: float = MOMENT_SECONDS
    ) -> Round:
        """Send messages until all went or the moment is over."""
        waiting = deque(outgoing)
        outcomes: list[Sent | Unsent] = []
        ends = time.monotonic() + seconds

        def work(number: int) -> None:
            while time.monotonic() < ends:
                try:
                    each = waiting.popleft()
                except IndexError:
                    return
                outcomes.append(self._send(number, each, now))

        count = min(self._used, len(outgoing))
        begun = time.monotonic()
        if count == 1:
            work(0)
        else:
            for done in [self._threads.submit(work, number) for number in range(count)]:
                done.result()
        if outcomes:
            self._adapt((time.monotonic() - begun) * count / len(outcomes))
        return Round(outcomes, list(waiting))

    def _adapt(self, seconds_each: float) -> None:
        """Use more lines next time, or fewer, by how long one message took on its line."""
        if seconds_each > SLOW_SECONDS:
            self._used = min(2 * self._used, self._count)
        elif seconds_each < QUICK_SECONDS:
            self._used = max(self._used // 2, 1)

    def _send(self, number: int, outgoing: Outgoing, now: datetime) -> Sent | Unsent:
        try:
            line = self._lines.get(number)
            if line is None:
                line = self._lines[number] = self._stack.enter_context(self._channel.open())
            return Sent(outgoing, line.send(outgoing, now=now))
        except (Refused, Unsure) as error:
            return Unsent(outgoing, error)
        except Exception as error:
            # A channel is a plug-in: whatever went wrong in it, the message may have left.
            logger.exception("%s could not be sent", outgoing.message_id)
            return Unsent(outgoing, Unsure(f"{type(error).__name__}: {error}"[:180]))
