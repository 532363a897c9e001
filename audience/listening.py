"""What listens to the events that are stored, in the same transaction."""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from psycopg import AsyncConnection

from audience.incoming import Incoming


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
