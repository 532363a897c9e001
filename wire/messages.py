"""A request and an answer of the hot paths, and the problem that refuses one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request with its whole body; header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
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
