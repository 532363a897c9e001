"""Translate Segment's HTTP tracking contract into incoming messages.

The contract: https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/
"""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec

from audience.incoming import (
    ANONYMOUS_ID_LENGTH,
    EVENT_BYTES,
    MESSAGE_ID_LENGTH,
    Incoming,
    Rejected,
    check_customer_key,
    check_key,
    check_time,
    value_of,
)
from wire.bodies import decode, why_unstorable
from wire.messages import Problem

BATCH_LENGTH = 2500
VIEWED = {"page": "Page Viewed", "screen": "Screen Viewed"}
DESCRIBING = {"identify", "alias", "group"}


class Item(msgspec.Struct, rename="camel"):
    """One Segment message; what we have no use for is ignored."""

    type: str = "track"
    event: str | None = None
    user_id: str | int | None = None
    anonymous_id: str | int | None = None
    previous_id: str | int | None = None
    message_id: str | None = None
    timestamp: datetime | None = None
    original_timestamp: datetime | None = None
    sent_at: datetime | None = None
    name: Any = None
    category: Any = None
    properties: dict[str, Any] | None = None
    traits: dict[str, Any] | None = None


class Envelope(msgspec.Struct, rename="camel"):
    """What stands around a single message: the key, where no header carries it."""

    write_key: str | None = None


class Batch(msgspec.Struct, rename="camel"):
    """Several messages; each is judged on its own, so none is looked into here."""

    batch: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=BATCH_LENGTH)]
    sent_at: datetime | None = None
    write_key: str | None = None


def read_item(
    raw: bytes, *, now: datetime, sent_at: datetime | None = None, type_: str | None = None
) -> Incoming:
    """Check one message.

    Args:
        raw: Its JSON.
        now: When it came.
        sent_at: When the batch around it says that it was sent.
        type_: What it is, where the path says so and not the message.

    Raises:
        Rejected: It cannot be taken, and why.
    """
    if len(raw) > EVENT_BYTES:
        raise Rejected(f"The event is larger than {EVENT_BYTES} bytes.")
    try:
        item = decode(raw, Item)
    except Problem as problem:
        raise Rejected(problem.detail.replace("The body", "The event")) from problem
    if type_ is not None:
        item.type = type_
    reason = why_unstorable([item.properties, item.traits, item.name, item.category])
    if reason is not None:
        raise Rejected(reason)
    return to_incoming(item, now=now, sent_at=item.sent_at or sent_at)


def to_incoming(item: Item, *, now: datetime, sent_at: datetime | None) -> Incoming:
    """Translate one well-formed message.

    Raises:
        Rejected: It names no customer or event, or its time cannot be right.
    """
    name = _event_name(item)
    properties = _properties(item) if name else {}
    customer_key, anonymous_id = _names(item)
    return Incoming(
        message_id=_message_id(item.message_id),
        occurred_at=check_time(_occurred_at(item, now=now, sent_at=sent_at), now=now),
        customer_key=customer_key,
        anonymous_id=anonymous_id,
        name=name,
        value=value_of(properties),
        properties=properties,
        traits=(item.traits or {}) if item.type == "identify" else {},
    )


def _names(item: Item) -> tuple[str | None, str | None]:
    """Return the customer's key and the anonymous id, at least one of them.

    An alias says that who was `previousId` is `userId` now, just as a message with an anonymous
    id and a user id does. It joins a visitor to a customer, never two customers: anybody may hold
    the key of a web page, and two people made one cannot be taken apart.
    """
    user_id, anonymous_id = _text(item.user_id), _text(item.anonymous_id)
    if item.type == "alias":
        anonymous_id = _text(item.previous_id)
        if user_id is None or anonymous_id is None:
            raise Rejected("An alias message needs userId and previousId.")
    if user_id is None and anonymous_id is None:
        raise Rejected("One of userId and anonymousId is needed.")
    if user_id is not None:
        check_customer_key(user_id, what="userId")
    if anonymous_id is not None:
        what = "previousId" if item.type == "alias" else "anonymousId"
        check_key(anonymous_id, what=what, length=ANONYMOUS_ID_LENGTH)
    return user_id, anonymous_id


def _text(value: str | int | None) -> str | None:
    """Return an id as text; some libraries send an empty one for none."""
    text = "" if value is None else str(value)
    return text if text.strip() else None


def _properties(item: Item) -> dict[str, Any]:
    """Return the event's properties; a page's and a screen's name stand beside them."""
    beside = {"name": item.name, "category": item.category} if item.type in VIEWED else {}
    named = {key: value for key, value in beside.items() if value is not None}
    return {**named, **(item.properties or {})}


def _message_id(message_id: str | None) -> str:
    if message_id is None or not message_id.strip():
        # Nothing to recognise a retry by; Segment's own server does the same.
        return str(uuid.uuid4())
    return check_key(message_id, what="messageId", length=MESSAGE_ID_LENGTH)


def _event_name(item: Item) -> str | None:
    """Return the event's name, or None for a message that only describes a customer."""
    if item.type in DESCRIBING:
        return None
    if item.type in VIEWED:
        return VIEWED[item.type]
    if item.type != "track":
        raise Rejected(f"The type {item.type[:40]!r} is not known.")
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
    try:
        return now - age
    except OverflowError as error:
        raise Rejected(f"It says that it was sent {age.days} days after it happened.") from error


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
