"""What a sender says happened, checked and ready to be stored."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

KEY_LENGTH = 255
MESSAGE_ID_LENGTH = 100
EVENT_BYTES = 32 * 1024
# No event is worth as much, in any currency; what is larger is taken for a mistake.
LARGEST = 1e15
# A clock that is wrong by more than this is not a clock; imports of old data are not bound.
OLDEST = timedelta(days=3 * 366)
NEWEST = timedelta(days=1)
# Where a customer's key is not known, one is made from the anonymous id.
ANONYMOUS_PREFIX = "anonymous:"
ANONYMOUS_ID_LENGTH = KEY_LENGTH - len(ANONYMOUS_PREFIX)
# The attribute of a customer that holds the traits of the group that they belong to.
GROUP = "group"


# A struct of msgspec is made in a quarter of the time, and one is made of every event.
class Incoming(msgspec.Struct, frozen=True):
    """One message of a sender: an event, traits of a customer, or both names of one person."""

    message_id: str
    occurred_at: datetime
    customer_key: str | None = None
    anonymous_id: str | None = None
    name: str | None = None
    value: float | None = None
    properties: Mapping[str, Any] = {}
    traits: Mapping[str, Any] = {}


class Rejected(ValueError):
    """A message that cannot be taken, and why, in words for its sender's developer."""


class TooLarge(Rejected):
    """A message with more bytes than any may have."""


def check_key(key: str, *, what: str, length: int = KEY_LENGTH) -> str:
    """Return a key that can be stored.

    Raises:
        Rejected: It is empty, too long or holds the NUL character.
    """
    if not key.strip():
        raise Rejected(f"{what} is empty.")
    if len(key) > length:
        raise Rejected(f"{what} is longer than {length} characters.")
    if "\0" in key:
        raise Rejected(f"{what} holds the NUL character.")
    return key


def check_customer_key(key: str, *, what: str) -> str:
    """Return a customer's key as a sender may choose it.

    Raises:
        Rejected: As `check_key`, or it could be taken for a visitor's.
    """
    if key.startswith(ANONYMOUS_PREFIX):
        raise Rejected(f"{what} begins with {ANONYMOUS_PREFIX!r}, which marks visitors.")
    return check_key(key, what=what)


def check_time(occurred_at: datetime, *, now: datetime) -> datetime:
    """Return a time that a working clock can have said.

    Raises:
        Rejected: It is years ago or in the future.
    """
    if not now - OLDEST <= occurred_at <= now + NEWEST:
        raise Rejected(f"The time {occurred_at.isoformat()} is too far from now.")
    return occurred_at


def value_of(properties: Mapping[str, Any]) -> float | None:
    """Return what an event was worth: the first number of `revenue`, `total` and `value`.

    These are Segment's names for an order's takings without and with tax and shipping, and for
    any other event's worth.
    """
    for name in ("revenue", "total", "value"):
        number = properties.get(name)
        if isinstance(number, bool) or not isinstance(number, int | float):
            continue
        if abs(number) < LARGEST:
            return float(number)
    return None
