"""What listens to the events that are stored, in the same transaction."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

import msgspec
from psycopg import AsyncConnection

from audience.incoming import Incoming

# Given names of events, says whose are among those that are brought in.
FindImported = Callable[[Collection[str]], Sequence[int]]
# Does something about events that are brought in by COPY, in the same transaction. There may be
# millions, so it asks for what it needs; some of it may have come before.
ImportListener = Callable[[FindImported], None]


class Told(msgspec.Struct, frozen=True):
    """An event that is stored for the first time, about whom, and who sent it."""

    message: Incoming
    customer_id: int
    source_id: int


class Listener(Protocol):
    """Does something about events before they are acknowledged.

    What it writes is committed with them or not at all. It must not raise because of what a sender
    wrote: the whole batch would be taken back, and be sent again for hours. What it cannot use it
    notes by `record_rejections`.
    """

    async def __call__(self, connection: AsyncConnection[Any], stored: Sequence[Told], /) -> None:
        """Hear of events; the connection is in their transaction."""
        ...
