"""Hands out a long answer piece by piece, so that no process holds all of it in memory."""

from collections.abc import AsyncIterator, Generator
from itertools import islice

from asgiref.sync import sync_to_async

LINES_TOGETHER = 1_000


class Pieces:
    """Some lines of an answer at a time, each time when the client has taken those before.

    An ordinary iterator would be read to its end before the first line left. What makes the lines,
    and its connection to the database, stays in the thread of its request. There it is also ended:
    Django closes whatever it answers with, and no later than when the client has left.
    """

    def __init__(self, lines: Generator[str, None, None]) -> None:
        self._lines = lines

    async def __aiter__(self) -> AsyncIterator[str]:
        """Yield the pieces."""
        take = sync_to_async(lambda: "".join(islice(self._lines, LINES_TOGETHER)))
        while piece := await take():
            yield piece

    def close(self) -> None:
        """End what makes the lines, and its transaction if it has one."""
        self._lines.close()
