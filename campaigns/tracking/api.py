"""Answers requests for the links and the pictures of messages: at once, without the database.

A link leads only where we wrote that it leads: nothing counts of an address but what we signed.
"""

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from campaigns.mail.links import OPENED, TRAP, Followed, is_page, read_link
from campaigns.tracking.hits import Hits
from campaigns.tracking.machines import Hit, Kind
from wire.messages import Problem, Request, Response
from wire.routes import Handler

# The smallest picture there is: one transparent dot.
DOT = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
PRIVATE = {"cache-control": "no-store, private, max-age=0", "x-robots-tag": "noindex"}
AHEAD = ("purpose", "sec-purpose", "x-purpose", "x-moz")


class TrackingApi:
    """The handlers of links and pictures."""

    def __init__(
        self,
        hits: Hits,
        *,
        key: bytes,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Note hits; `key` is that of the links."""
        self._hits = hits
        self._key = key
        self._clock = clock

    def routes(self) -> Mapping[tuple[str, str], Handler]:
        """Return the paths with their handlers; whoever serves GET serves HEAD."""
        return {("GET", "/c/{token}"): self.follow, ("GET", "/o/{token}.gif"): self.open}

    async def follow(self, request: Request) -> Response:
        """Lead on to where a link leads."""
        followed = read_link(self._key, request.params["token"])
        if followed is None or not is_page(followed.target):
            raise Problem(404, "This link is not one of ours. Perhaps a part of it is missing.")
        kind = Kind.TRAP if followed.number == TRAP else Kind.CLICK
        self._note(request, followed, kind)
        return Response(302, b"", headers={**PRIVATE, "location": _ascii(followed.target)})

    async def open(self, request: Request) -> Response:
        """Send the dot, whoever asks."""
        followed = read_link(self._key, request.params["token"])
        if followed is not None and followed.number == OPENED:
            self._note(request, followed, Kind.OPEN)
        return Response(200, DOT, "image/gif", headers=PRIVATE)

    def _note(self, request: Request, followed: Followed, kind: Kind) -> None:
        if followed.delivery_id == 0:
            return  # A test, of which nothing is learned.
        headers = request.headers
        forwarded = headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
        hit = Hit(
            at=self._clock(),
            kind=kind,
            link=followed.number,
            method=request.method,
            agent=headers.get("user-agent", ""),
            address=forwarded or request.peer,
            is_ahead=any("prefetch" in headers.get(name, "").lower() for name in AHEAD)
            or any("preview" in headers.get(name, "").lower() for name in AHEAD),
        )
        self._hits.note(followed.delivery_id, hit, followed.target)


def _ascii(target: str) -> str:
    """Write an address with nothing but ASCII in it, as a header has to be."""
    if target.isascii():
        return target
    return "".join(c if c.isascii() else "".join(f"%{b:02X}" for b in c.encode()) for c in target)
