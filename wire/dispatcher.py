"""The ASGI application in front of Django: hot paths to their handlers, the rest onwards."""

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import psycopg

from wire.bodies import LIMIT_BYTES, too_large
from wire.messages import Problem, Request, Response

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApplication = Callable[[Any, Any, Any], Awaitable[None]]
Handler = Callable[[Request], Awaitable[Response]]

# The hot APIs carry a key in a header, never a cookie, so any page may call them.
CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-headers": "authorization, content-type, content-encoding",
    "access-control-allow-methods": "GET, POST, OPTIONS",
    "access-control-max-age": "86400",
}
# Not before a broken connection is made anew, and soon enough to lose nothing.
RETRY_SECONDS = "1"


class Disconnected(Exception):
    """The client left before its request was complete; nobody waits for an answer."""


class Dispatcher:
    """Serve `routes` (method and path → handler) and pass everything else to `fallback`."""

    def __init__(
        self,
        routes: Mapping[tuple[str, str], Handler],
        *,
        fallback: AsgiApplication,
        resources: Sequence[AbstractAsyncContextManager[Any]] = (),
    ) -> None:
        """Keep the routes; `resources` are entered at start-up and left at shutdown."""
        self.routes = dict(routes)
        # Whoever serves GET serves HEAD: the same answer, its body left out.
        self.routes |= {
            ("HEAD", path): h for (method, path), h in routes.items() if method == "GET"
        }
        self.allowed: dict[str, str] = {
            path: ", ".join(sorted({m for m, p in self.routes if p == path} | {"OPTIONS"}))
            for _, path in routes
        }
        self.fallback = fallback
        self.resources = list(resources)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http" and scope["path"] in self.allowed:
            try:
                response = await self._respond(scope, receive)
            except Disconnected:
                return
            await write_response(send, response, with_body=scope["method"] != "HEAD")
        else:
            await self.fallback(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        method, path = scope["method"], scope["path"]
        allowed = {"allow": self.allowed[path]}
        if method == "OPTIONS":
            return Response(204, b"", headers=allowed)
        handler = self.routes.get((method, path))
        try:
            if handler is None:
                raise Problem(405, f"{method} is not served at {path}.", headers=allowed)
            return await handler(await read_request(scope, receive))
        except Problem as problem:
            return problem.to_response()
        except Disconnected:
            raise
        except psycopg.OperationalError as error:
            # It is down, restarts, is full or too busy; what was not committed can be sent again.
            logger.error("%s %s waits for the database: %s", method, path, error)
            return unavailable().to_response()
        except Exception:
            # The last line of defence: the client gets a clean answer, the log the traceback.
            logger.exception("%s %s failed", method, path)
            return Problem(500, "The server failed; the error is in its log.").to_response()

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with AsyncExitStack() as entered:
            try:
                for resource in self.resources:
                    await entered.enter_async_context(resource)
            except Exception as error:
                logger.exception("The site could not start")
                await entered.aclose()
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


def unavailable() -> Problem:
    """Say that the same request may succeed a moment later."""
    return Problem(
        503,
        "The database cannot be reached now; try again.",
        headers={"retry-after": RETRY_SECONDS},
    )


async def read_request(scope: Scope, receive: Receive) -> Request:
    """Read one request with its body.

    Raises:
        Problem: The body is over the limit (413).
        Disconnected: The client left.
    """
    headers = {name.decode("latin-1").lower(): v.decode("latin-1") for name, v in scope["headers"]}
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > LIMIT_BYTES:
            raise too_large()
        chunks.append(chunk)
        if not message.get("more_body", False):
            return Request(scope["method"], scope["path"], headers, b"".join(chunks))


async def write_response(send: Send, response: Response, *, with_body: bool = True) -> None:
    """Send one answer, or only its headers as a HEAD request wants."""
    content = {
        "content-type": response.content_type,
        "content-length": str(len(response.body)),
    }
    headers = {
        # An answer without content has neither (RFC 9110, section 8.6).
        **({} if response.status == 204 else content),
        "cache-control": "no-store",
        **CORS,
        **response.headers,
    }
    await send(
        {
            "type": "http.response.start",
            "status": response.status,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": response.body if with_body else b""})
