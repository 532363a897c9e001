"""Translate Segment's HTTP tracking contract into incoming messages.

The contract: https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/
"""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec

from audience.commerce import event_value
from audience.incoming import (
    ANONYMOUS_ID_LENGTH,
    EVENT_BYTES,
    GROUP,
    MESSAGE_ID_LENGTH,
    Incoming,
    Rejected,
    TooLarge,
    check_customer_key,
    check_key,
    check_time,
)
from wire.bodies import LIMIT_DEPTH, decode, why_unstorable
from wire.messages import Problem

BATCH_LENGTH = 2500
BATCH_BYTES = 500 * 1024
# What a batch says for all of its messages is stored with each of them.
CONTEXT_BYTES = 4096
# Of the context that libraries send along, what tells customers' situations apart; not addresses
# and fingerprints of devices, nor the library's own name. Properties hold it under this name.
CONTEXT = "context"
KEPT_CONTEXT = ("app", "campaign", "locale", "os", "page", "referrer", "screen", "timezone")
VIEWED = {"page": "Page Viewed", "screen": "Screen Viewed"}
DESCRIBING = {"identify", "alias", "group"}


NOTHING: Mapping[str, Any] = {}


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
    group_id: str | int | None = None
    name: Any = None
    category: Any = None
    context: dict[str, Any] | None = None
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
    context: msgspec.Raw = msgspec.Raw(b"null")


def read_context(raw: bytes) -> Mapping[str, Any]:
    """Check what a batch says for all its messages.

    Raises:
        Problem: It is no JSON object (422), or is too large or holds what cannot be stored (400).
    """
    if raw == b"null":
        return NOTHING
    if len(raw) > CONTEXT_BYTES:
        raise Problem(400, f"The context of a batch is larger than {CONTEXT_BYTES} bytes.")
    context = decode(raw, dict[str, Any])
    reason = why_unstorable(context)
    if reason is not None:
        raise Problem(400, reason)
    return context


def read_item(
    raw: bytes,
    *,
    now: datetime,
    sent_at: datetime | None = None,
    context: Mapping[str, Any] = NOTHING,
    type_: str | None = None,
) -> Incoming:
    """Check one message.

    Args:
        raw: Its JSON.
        now: When it came.
        sent_at: When the batch around it says that it was sent.
        context: What the batch around it says of where it happened; its own comes first.
        type_: What it is, where the path says so and not the message.

    Raises:
        Rejected: It cannot be taken, and why.
    """
    if len(raw) > EVENT_BYTES:
        raise TooLarge(f"The event is larger than {EVENT_BYTES} bytes.")
    try:
        item = decode(raw, Item)
    except Problem as problem:
        raise Rejected(problem.detail.replace("The body", "The event")) from problem
    if type_ is not None:
        item.type = type_
    # Nearly every message is cleared by these counts alone.
    if b"\\u0000" in raw or raw.count(b"{") + raw.count(b"[") > LIMIT_DEPTH:
        said = [item.properties, item.traits, item.name, item.category, item.context]
        reason = why_unstorable(said)
        if reason is not None:
            raise Rejected(reason)
    if context:
        item.context = {**context, **(item.context or {})}
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
        value=event_value(name, properties),
        properties=properties,
        traits=_traits(item),
    )


def _traits(item: Item) -> Mapping[str, Any]:
    """Return what a message says of its customer.

    A group's traits stand under one attribute, so that a condition can ask for `group.plan`; who
    belongs to several groups is known by the last one.
    """
    if item.type == "identify":
        return item.traits or NOTHING
    group_id = _text(item.group_id)
    if item.type != "group" or group_id is None:
        return NOTHING
    return {GROUP: {**(item.traits or {}), "id": check_key(group_id, what="groupId")}}


def _names(item: Item) -> tuple[str | None, str | None]:
    """Return the customer's key and the anonymous id, at least one of them.

    An alias says that who was `previousId` is `userId` now, just as a message with an anonymous
    id and a user id does. It joins a visitor to a customer, never two customers: anybody may hold
    the key of a web page, and two people made one cannot be taken apart.
    """
    user_id, anonymous_id = _text(item.user_id), _text(item.anonymous_id)
    if item.type == "alias":
        # The browser's library leaves the previous id out where nobody was logged in before.
        anonymous_id = _text(item.previous_id) or anonymous_id
        if user_id is None or anonymous_id is None:
            raise Rejected("An alias message needs userId, and previousId or anonymousId.")
    if user_id is None and anonymous_id is None:
        raise Rejected("One of userId and anonymousId is needed.")
    if user_id is not None:
        check_customer_key(user_id, what="userId")
    if anonymous_id is not None:
        what = "previousId" if item.type == "alias" and item.previous_id else "anonymousId"
        check_key(anonymous_id, what=what, length=ANONYMOUS_ID_LENGTH)
    return user_id, anonymous_id


def _text(value: str | int | None) -> str | None:
    """Return an id as text; some libraries send an empty one for none."""
    text = "" if value is None else str(value)
    return text if text.strip() else None


def _properties(item: Item) -> dict[str, Any]:
    """Return the event's properties; a page's name and the context stand beside them."""
    beside: dict[str, Any] = {}
    if item.context and not item.context.keys().isdisjoint(KEPT_CONTEXT):
        kept = {name: item.context[name] for name in KEPT_CONTEXT if name in item.context}
        beside = {CONTEXT: kept}
    if item.type in VIEWED:
        beside |= {"name": item.name, "category": item.category}
    named = {key: value for key, value in beside.items() if value is not None}
    return {**named, **(item.properties or {})} if named else item.properties or {}


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
