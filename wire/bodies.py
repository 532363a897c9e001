"""Turn a request's body into checked values, whatever its Content-Type claims."""

import zlib
from typing import Any, TypeVar

import msgspec

from wire.messages import Problem, Request

LIMIT_BYTES = 512 * 1024

T = TypeVar("T")


def plain_body(request: Request) -> bytes:
    """Return the body, unpacked when it was sent with `Content-Encoding: gzip`.

    Raises:
        Problem: The gzip stream is broken (400) or unpacks to more than the limit (413).
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding in {"", "identity"}:
        return request.body
    if encoding != "gzip":
        raise Problem(415, f"Content-Encoding {encoding!r} is not supported; send gzip or none.")
    unpacker = zlib.decompressobj(wbits=31)
    try:
        # One byte over the limit is enough to know, so a gzip bomb never unfolds.
        body = unpacker.decompress(request.body, LIMIT_BYTES + 1)
    except zlib.error as error:
        raise Problem(400, "The body is not valid gzip.") from error
    if len(body) > LIMIT_BYTES:
        raise too_large()
    if not unpacker.eof:
        raise Problem(400, "The gzip body ends too early.")
    return body


def too_large() -> Problem:
    """Say that the body is over the limit."""
    return Problem(413, f"The body is larger than {LIMIT_BYTES} bytes.")


def parse(request: Request, shape: type[T], *, nul_allowed: bool = False) -> T:
    """Decode the JSON body into `shape`.

    Clients send JSON as text/plain or form data (sendBeacon, some libraries), so the
    Content-Type is not consulted. JSON can spell the NUL character and PostgreSQL cannot store
    it: it is refused here, unless the caller judges item by item.

    Raises:
        Problem: The body is no JSON (400) or has a missing or wrongly typed field (422).
    """
    body = plain_body(request)
    try:
        value = msgspec.json.decode(body, type=shape)
        if not nul_allowed and b"\\u0000" in body and holds_nul(msgspec.json.decode(body)):
            raise Problem(400, "A string holds the NUL character, which cannot be stored.")
    except msgspec.ValidationError as error:
        raise Problem(422, f"{error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, f"The body is not valid JSON: {error}.") from error
    return value


def holds_nul(value: Any) -> bool:
    """Tell whether any string or key inside a JSON value holds the NUL character."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, list):
        return any(holds_nul(item) for item in value)
    if isinstance(value, dict):
        return any(holds_nul(item) for pair in value.items() for item in pair)
    return False
