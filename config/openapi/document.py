"""Puts the document together and serves it; the file `docs/openapi.json` is what it said last."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from config.openapi import growthbook, ofrep, ours, segment
from config.openapi.refusals import ANYTHING, TEXT, problem
from wire.messages import Request, Response
from wire.openapi import Answer, Content, Operation, describe
from wire.routes import Handler

OPENAPI_PATH = "/api/openapi.json"
WRITTEN = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"
INFO = {
    "title": "OfferLab",
    "version": "1",
    "description": "Ask for offers, arms and flags, and send events. Every answer carries an "
    "`x-request-id`, which the server's log knows.",
}

_PLAIN = Content(TEXT, "text/plain")
SERVER = {
    ("GET", OPENAPI_PATH): Operation(
        name="openapi",
        tag="Server",
        meaning="Return this document.",
        answers={200: Answer("This document.", Content(ANYTHING))},
    ),
    ("GET", "/healthz"): Operation(
        name="healthz",
        tag="Server",
        meaning="Say that the process lives.",
        answers={200: Answer("It lives.", _PLAIN)},
    ),
    ("GET", "/readyz"): Operation(
        name="readyz",
        tag="Server",
        meaning="Say whether requests can be served.",
        answers={
            200: Answer("They can.", Content(ANYTHING)),
            503: Answer("They cannot, for now.", Content(ANYTHING)),
        },
    ),
    ("GET", "/metrics"): Operation(
        name="metrics",
        tag="Server",
        meaning="Return how the server does, for Prometheus.",
        answers={
            200: Answer("The measurements.", _PLAIN),
            401: problem("No source has this key, or none was sent."),
            403: problem("The key may not do this."),
            429: problem("The key has asked too often."),
            503: problem("The database cannot be reached now."),
        },
        scope="the key of a source with the scope `metrics`",
    ),
}
OPERATIONS: Mapping[tuple[str, str], Operation] = {
    **ours.OPERATIONS,
    **ofrep.OPERATIONS,
    **growthbook.OPERATIONS,
    **segment.OPERATIONS,
    **SERVER,
}


@cache
def to_document() -> Mapping[str, Any]:
    """Write the document."""
    document = describe(OPERATIONS, info=INFO)
    schemas = document["components"]["schemas"]
    # They are written before the rest, so their type is not seen.
    one_of = [{"$ref": f"#/components/schemas/{name}"} for name in ("Flag", "Failure")]
    schemas["Bulk"]["properties"]["flags"] = {"type": "array", "items": {"anyOf": one_of}}
    return document


def to_json() -> bytes:
    """Write the document as the file that is kept of it."""
    return msgspec.json.format(msgspec.json.encode(to_document()), indent=2) + b"\n"


def routes() -> Mapping[tuple[str, str], Handler]:
    """Return the path of the document with its handler."""
    return {("GET", OPENAPI_PATH): serve}


async def serve(request: Request) -> Response:
    """Answer with the document."""
    return Response(200, _compact(), headers={"cache-control": "public, max-age=300"})


@cache
def _compact() -> bytes:
    return msgspec.json.encode(to_document())
