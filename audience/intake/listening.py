"""What listens to the events that are stored, in the same transaction."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString, Protocol

import msgspec
from psycopg import AsyncConnection

from audience.incoming import Incoming
from wire.pg_values import read_json


class Told(msgspec.Struct, frozen=True):
    """An event, about whom, and who sent it.

    One that was stored before says when it was received.
    """

    message: Incoming
    customer_id: int
    source_id: int
    received_at: datetime | None = None


# In statements: what `to_told` reads of a relation called `event`.
TOLD_COLUMNS: LiteralString = """
    event.message_id, event.occurred_at, event.name, event.value, event.properties,
    event.customer_id, event.source_id, event.received_at
"""


def to_told(row: Sequence[Any], *, customer_key: str | None = None) -> Told:
    """Read a row of `TOLD_COLUMNS`; on Django's connections, properties come as text."""
    message_id, occurred_at, name, value, properties, *who = row
    if isinstance(properties, str):
        properties = read_json(properties)
    message = Incoming(
        message_id,
        occurred_at,
        customer_key=customer_key,
        name=name,
        value=value,
        properties=properties,
    )
    return Told(message, *who)


class Brought(Protocol):
    """Events that are brought in by COPY. There may be millions: ask for what is needed."""

    def find_customers(self, names: Collection[str]) -> Sequence[int]:
        """Return the ids of customers with such events; some may be of orders known before."""
        ...

    def find_events(self, names: Collection[str], *, naming: Collection[str]) -> Iterable[Told]:
        """Return the stored events of these names that have one of these properties."""
        ...


@dataclass(frozen=True, slots=True)
class Changed:
    """What others stored meanwhile changed in what an import's listeners were told.

    Attributes:
        gone: Events that are not stored after all.
        come: Events that are stored as well.
    """

    gone: Sequence[Told] = ()
    come: Sequence[Told] = ()


# Does something about events that are brought in, in the same transaction: most of it at once, and
# the rest by what it returns. That is called last, and the intake waits for it.
ImportListener = Callable[[Brought], Callable[[Changed], None]]


class Listener(Protocol):
    """Does something about events before they are acknowledged.

    What it writes is committed with them or not at all. It must not raise because of what a sender
    wrote: the whole batch would be taken back, and be sent again for hours. What it cannot use it
    notes by `record_rejections`.
    """

    async def __call__(self, connection: AsyncConnection[Any], stored: Sequence[Told], /) -> None:
        """Hear of events; the connection is in their transaction."""
        ...
