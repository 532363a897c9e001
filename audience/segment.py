"""Translate Segment's HTTP tracking contract into incoming messages.

The contract: https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/
"""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec

from audience.incoming import (
    EVENT_BYTES,
    MESSAGE_ID_LENGTH,
    Incoming,
    Rejected,
    check_key,
    check_time,
    value_of,
)
from wire.bodies import holds_nul

BATCH_LENGTH = 2500
TRACKED = {"page": "Page Viewed", "screen": "Screen Viewed"}


class Item(msgspec.Struct, rename="camel"):
    """One Segment message; what we have no use for is ignored."""

    type: str = "track"
    event: str | None = None
    user_id: str | int | None = None
    anonymous_id: str | int | None = None
    message_id: str | None = None
    timestamp: datetime | None = None
    original_timestamp: datetime | None = None
    sent_at: datetime | None = None
    properties: dict[str, Any] | None = None
    traits: dict[str, Any] | None = None
    write_key: str | None = None


class Batch(msgspec.Struct, rename="camel"):
    """Several messages; each is judged on its own."""

    batch: Annotated[list[Any], msgspec.Meta(max_length=BATCH_LENGTH)]
    sent_at: datetime | None = None
    write_key: str | None = None


def read_item(raw: Any, *, now: datetime, sent_at: datetime | None = None) -> Incoming:
    """Check one message of a batch.

    Raises:
        Rejected: It cannot be taken, and why.
    """
    if len(msgspec.json.encode(raw)) > EVENT_BYTES:
        raise Rejected(f"The event is larger than {EVENT_BYTES} bytes.")
    if holds_nul(raw):
        raise Rejected("A string holds the NUL character, which cannot be stored.")
    try:
        item = msgspec.convert(raw, Item)
    except msgspec.ValidationError as error:
        raise Rejected(f"{error}.") from error
    return to_incoming(item, now=now, sent_at=item.sent_at or sent_at)


def to_incoming(item: Item, *, now: datetime, sent_at: datetime | None) -> Incoming:
    """Translate one well-formed message.

    Raises:
        Rejected: It names no customer or event, or its time cannot be right.
    """
    customer_key = _key(item.user_id, what="userId")
    anonymous_id = _key(item.anonymous_id, what="anonymousId")
    if customer_key is None and anonymous_id is None:
        raise Rejected("One of userId and anonymousId is needed.")
    properties = item.properties or {}
    name = _event_name(item)
    return Incoming(
        message_id=_message_id(item.message_id),
        occurred_at=check_time(_occurred_at(item, now=now, sent_at=sent_at), now=now),
        customer_key=customer_key,
        anonymous_id=anonymous_id,
        name=name,
        value=value_of(properties) if name else None,
        properties=properties if name else {},
        traits=(item.traits or {}) if item.type == "identify" else {},
    )


def _key(value: str | int | None, *, what: str) -> str | None:
    return None if value is None else check_key(str(value), what=what)


def _message_id(message_id: str | None) -> str:
    if message_id is None:
        # Nothing to recognise a retry by; Segment's own server does the same.
        return str(uuid.uuid4())
    return check_key(message_id, what="messageId", length=MESSAGE_ID_LENGTH)


def _event_name(item: Item) -> str | None:
    """Return the event's name, or None for a message that only describes a customer."""
    if item.type in {"identify", "alias", "group"}:
        return None
    if item.type in TRACKED:
        return TRACKED[item.type]
    if item.type != "track":
        raise Rejected(f"The type {item.type!r} is not known.")
    if item.event is None:
        raise Rejected("A track message needs an event name.")
    return check_key(item.event, what="event")


def _occurred_at(item: Item, *, now: datetime, sent_at: datetime | None) -> datetime:
    """Return when it happened by our clock.

    The sender's clock may be wrong: what it says is moved by the difference between when it says
    that it sent the message and when the message came.
    """
    said = item.original_timestamp or item.timestamp
    if said is None:
        return now
    said = _aware(said)
    if sent_at is None:
        return said
    age = max(_aware(sent_at) - said, timedelta(0))
    return now - age


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
