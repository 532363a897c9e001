"""Keep what senders sent and we could not use, with the reason, for their developers to see."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from psycopg import AsyncConnection

from audience.intake.listening import Told

KEPT_BYTES = 4096
# The first ones of a batch tell what is wrong with all.
KEPT_AT_ONCE = 100

RECORD = """
    INSERT INTO audience_rejectedevent (source_id, reason, payload)
    SELECT source, reason, payload
    FROM unnest(%(sources)s::bigint[], %(reasons)s::text[], %(payloads)s::text[])
        AS rejected (source, reason, payload)
"""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Something of a sender that could not be used, and why, in words for its developer."""

    source_id: int
    reason: str
    payload: bytes


def reject(told: Told, reason: str) -> Rejection:
    """Refuse to draw anything from an event, and show it as it was understood."""
    message = told.message
    document = {
        "event": message.name,
        "messageId": message.message_id,
        "userId": message.customer_key,
        "anonymousId": message.anonymous_id,
        "timestamp": message.occurred_at,
        "properties": message.properties,
    }
    return Rejection(told.source_id, reason, msgspec.json.encode(document))


async def record_rejections(
    connection: AsyncConnection[Any], rejections: Sequence[Rejection]
) -> None:
    """Write down the first ones of these, cut to a length that can be read."""
    if rejections:
        await connection.execute(RECORD, write_rejections(rejections))


def write_rejections(rejections: Sequence[Rejection]) -> dict[str, Any]:
    """Write the parameters of `RECORD`: of the first ones, cut."""
    kept = rejections[:KEPT_AT_ONCE]
    return {
        "sources": [rejection.source_id for rejection in kept],
        "reasons": [rejection.reason for rejection in kept],
        "payloads": [rejection.payload[:KEPT_BYTES].decode(errors="replace") for rejection in kept],
    }
