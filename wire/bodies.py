"""Turn a request's body into checked values, whatever its Content-Type claims."""

import re
import zlib
from collections.abc import Iterable
from itertools import chain
from typing import Any, TypeVar

import msgspec

from wire.messages import Problem, Request

LIMIT_BYTES = 512 * 1024
# Far more than any honest document has, far less than what overflows a JSON reader's stack.
LIMIT_DEPTH = 100

T = TypeVar("T")

# Every escape of a JSON string, so that `\\ud83d` is read as a backslash and plain letters; the
# group is half of a surrogate pair that stands alone.
ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\."
)
REPLACEMENT = rb"\ufffd"


def plain_body(request: Request) -> bytes:
    """Return the body, unpacked when it was sent with `Content-Encoding: gzip`.

    Raises:
        Problem: The encoding is another (415), or the gzip stream is broken (400) or unpacks to
            more than the limit (413).
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding in {"", "identity"}:
        return request.body
    if encoding not in {"gzip", "x-gzip"}:
        named = repr(encoding[:40])
        raise Problem(415, f"Content-Encoding {named} is not supported; send gzip or none.")
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
    if unpacker.unused_data:
        raise Problem(400, "Something follows the end of the gzip body.")
    return body


def too_large() -> Problem:
    """Say that the body is over the limit."""
    return Problem(413, f"The body is larger than {LIMIT_BYTES} bytes.")


def parse(request: Request, shape: type[T]) -> T:
    """Decode the JSON body into `shape`, with nothing inside that PostgreSQL cannot store.

    Clients send JSON as text/plain or form data (sendBeacon, some libraries), so the
    Content-Type is not consulted.

    Raises:
        Problem: As `plain_body`; or the body is no JSON or cannot be stored (400), or it has a
            missing or wrongly typed field (422).
    """
    body = plain_body(request)
    value = decode(body, shape)
    # Nearly every body is cleared by these counts alone.
    if b"\\u0000" in body or body.count(b"{") + body.count(b"[") > LIMIT_DEPTH:
        reason = why_unstorable(decode(body, object))
        if reason:
            raise Problem(400, reason)
    return value


def decode(body: bytes, shape: type[T]) -> T:
    """Decode JSON into `shape`.

    JavaScript writes half an emoji, which its cut-off strings may end with, as a lone surrogate
    that no database takes. It becomes U+FFFD, as it does in every browser's own encoder.

    Raises:
        Problem: It is no JSON (400), or has a missing or wrongly typed field (422).
    """
    try:
        try:
            return msgspec.json.decode(body, type=shape)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            mended = ESCAPE.sub(lambda found: REPLACEMENT if found[1] else found[0], body)
            if mended == body:
                raise
            return msgspec.json.decode(mended, type=shape)
    except msgspec.ValidationError as error:
        raise Problem(422, f"{error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(400, f"The body is not valid JSON: {error}.") from error
    except RecursionError as error:
        raise Problem(400, f"The body is nested more than {LIMIT_DEPTH} levels deep.") from error


def why_unstorable(value: Any) -> str | None:
    """Say why a JSON value cannot be stored, in a sentence, or return None if it can.

    JSON can spell the NUL character, which PostgreSQL refuses in text and in jsonb.
    """
    level = [value]
    for _ in range(LIMIT_DEPTH + 1):
        if any(isinstance(item, str) and "\0" in item for item in level):
            return "A string holds the NUL character, which cannot be stored."
        containers = [item for item in level if isinstance(item, dict | list)]
        if not containers:
            return None
        level = list(chain.from_iterable(map(_contents, containers)))
    return f"It is nested more than {LIMIT_DEPTH} levels deep."


def _contents(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    if isinstance(container, dict):
        return chain(container, container.values())
    return container
