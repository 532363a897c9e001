"""A request and an answer of the hot paths, and the problem that refuses one."""

from collections.abc import AsyncIterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import msgspec

# Of the request at hand, for the log; empty outside of one.
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request with its whole body; header names are lower case.

    `params` are the values of the route's templates, such as the key in `/api/features/{key}`.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    params: Mapping[str, str] = field(default_factory=dict)
    query_string: str = ""
    id: str = ""
    # The address of whoever is connected: the client, or a proxy in front of us.
    peer: str = ""

    @property
    def query(self) -> Mapping[str, str]:
        """The query's parameters; of one that stands there twice, the last."""
        return dict(parse_qsl(self.query_string, keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that goes on until its chunks end or its reader leaves."""

    chunks: AsyncIterator[bytes]
    content_type: str = "text/event-stream"
    headers: Mapping[str, str] = field(default_factory=dict)


class Problem(Exception):
    """A refusal that says what was wrong, sent as `application/problem+json` (RFC 9457)."""

    def __init__(
        self, status: int, detail: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        """Refuse with this status, in words that the client's developer can act on."""
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}

    def to_response(self) -> Response:
        """Write the refusal as an answer."""
        document = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        return Response(
            self.status,
            msgspec.json.encode(document),
            content_type="application/problem+json",
            headers=self.headers,
        )


def answer(content: Any, *, status: int = 200) -> Response:
    """Answer with JSON."""
    return Response(status, msgspec.json.encode(content))
