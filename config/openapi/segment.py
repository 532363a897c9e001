"""Segment's tracking API."""

from typing import Literal

import msgspec

from audience.intake import segment
from audience.intake.api import PATHS
from config.openapi.refusals import ANYTHING, a_key, problem, refusals
from wire.openapi import Answer, Content, Operation


class Taken(msgspec.Struct, forbid_unknown_fields=True):
    """What was sent is stored."""

    success: Literal[True]


# Its messages are read one by one, so that one that is wrong spoils no other.
BATCH = {
    "title": "Batch",
    "type": "object",
    "properties": {
        "batch": {
            "type": "array",
            "maxItems": segment.BATCH_LENGTH,
            "items": {"$ref": "#/components/schemas/Item"},
        },
        "sentAt": {"type": ["string", "null"], "format": "date-time"},
        "writeKey": {"type": ["string", "null"]},
        "context": {"type": ["object", "null"]},
    },
    "required": ["batch"],
}


def _segment(type_: str, path: str) -> Operation:
    return Operation(
        name=f"segment_{path.removeprefix('/v1/')}",
        tag="Segment",
        meaning=f"Take one `{type_}` message, as Segment's libraries send it.",
        body=Content(BATCH if type_ == "batch" else segment.Item),
        answers={200: Answer("It is stored.", Content(Taken)), **refusals()},
        scope=a_key("events") + ", which may also stand in the body as `writeKey`",
    )


OPERATIONS = {
    ("POST", path): _segment(type_, path)
    for type_, short in {**PATHS, "batch": "/v1/b"}.items()
    for path in (f"/v1/{type_}", short)
} | {
    ("GET", "/v1/projects/{key}/settings"): Operation(
        name="segment_settings",
        tag="Segment",
        meaning="Tell Segment's browser library where to send.",
        answers={
            200: Answer("Its settings.", Content(ANYTHING), {"cache-control": "For 5 minutes."}),
            400: problem("The Host header is no host."),
            404: problem("No source has this key."),
            **{status: refusals()[status] for status in (403, 429, 503)},
        },
    )
}
