"""Hands out a long answer piece by piece, so that no process holds all of it in memory."""

from collections.abc import AsyncIterator, Iterable
from itertools import islice

from asgiref.sync import sync_to_async

LINES_TOGETHER = 1_000


async def in_pieces(lines: Iterable[str]) -> AsyncIterator[str]:
    """Yield some lines at a time, each time when the client has taken those before.

    An ordinary iterator would be read to its end before the first line left. What makes the lines,
    and its connection to the database, stays in the thread of its request.
    """
    waiting = iter(lines)
    take = sync_to_async(lambda: "".join(islice(waiting, LINES_TOGETHER)))
    while piece := await take():
        yield piece
