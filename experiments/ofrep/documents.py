"""What clients send and get by OpenFeature's remote evaluation protocol, as it stands in JSON."""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

# OpenFeature's own words; its Python provider takes no others.
FlagReason = Literal["STATIC", "DEFAULT", "TARGETING_MATCH", "SPLIT", "DISABLED"]
ErrorCode = Literal[
    "PARSE_ERROR", "TARGETING_KEY_MISSING", "INVALID_CONTEXT", "GENERAL", "FLAG_NOT_FOUND"
]


class Question(msgspec.Struct):
    """In which context to evaluate: `targetingKey` names the customer, the rest are attributes.

    Some clients leave an empty context out.
    """

    context: dict[str, Any] = {}


class Flag(msgspec.Struct):
    """What a customer gets; without `value`, the application's own default.

    `variant` is always there, because some clients fail without it.
    """

    key: str
    reason: FlagReason
    variant: str
    value: Any | UnsetType = UNSET
    metadata: dict[str, bool | str | int | float] | UnsetType = UNSET


class Failure(msgspec.Struct, rename="camel"):
    """Why one flag cannot be evaluated; `errorDetails` are always there, for the same reason."""

    key: str
    error_code: ErrorCode
    error_details: str


class BulkFailure(msgspec.Struct, rename="camel"):
    """Why no flag can be evaluated."""

    error_code: ErrorCode
    error_details: str


class Refusal(msgspec.Struct, rename="camel"):
    """Why a client is turned away, or is to come again."""

    error_details: str


class Endpoint(msgspec.Struct, rename="camel"):
    """Where on this site a stream is; a proxy in front may give it another origin."""

    request_uri: str


class EventStream(msgspec.Struct, rename="camel"):
    """Where changes are told."""

    endpoint: Endpoint
    type: Literal["sse"] = "sse"
    inactivity_delay_sec: int = 120


class Bulk(msgspec.Struct, rename="camel"):
    """All flags of a customer: `Flag`s and `Failure`s, written already."""

    flags: msgspec.Raw
    event_streams: list[EventStream]
    metadata: dict[str, bool | str | int | float] | UnsetType = UNSET


class Change(msgspec.Struct):
    """What a stream tells: flags are to be fetched again, of this configuration or a newer one."""

    etag: str
    type: Literal["refetchEvaluation"] = "refetchEvaluation"
