"""The ASGI application in front of Django: hot paths to their handlers, the rest onwards."""

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from typing import Any

from psycopg import ProgrammingError

from wire.bodies import LIMIT_BYTES, too_large
from wire.messages import REQUEST_ID, Problem, Request, Response, Stream
from wire.pools import UNFIT
from wire.routes import Resource, Router, Routes

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApplication = Callable[[Any, Any, Any], Awaitable[None]]
# Told of every answer: the path's template, the method, the status and how long it took.
Observer = Callable[[str, str, int, float], None]

# The hot APIs carry a key in a header, never a cookie, so any page may call them.
CORS = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"etag, retry-after, x-request-id, x-sse-support"),
]
PREFLIGHT = {
    "access-control-allow-headers": (
        "authorization, x-api-key, content-type, content-encoding, if-none-match"
    ),
    "access-control-allow-methods": "GET, POST, OPTIONS",
    "access-control-max-age": "86400",
}
# Not before a broken connection is made anew, and soon enough to lose nothing.
RETRY_SECONDS = "1"
# An id that a proxy in front of us gave is kept, if it can do no harm in a log.
HARMLESS_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}\Z")


class Disconnected(Exception):
    """The client left before its request was complete; nobody waits for an answer."""


class Dispatcher:
    """Serve `routes` (method and path → handler) and pass everything else to `fallback`."""

    def __init__(
        self,
        routes: Routes,
        *,
        fallback: AsgiApplication,
        resources: Sequence[AbstractAsyncContextManager[Any]] = (),
        observe: Observer = lambda template, method, status, seconds: None,
    ) -> None:
        """Keep the routes; `resources` are entered at start-up and left at shutdown."""
        self.router = Router(routes)
        self.fallback = fallback
        self.resources = list(resources)
        self.observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        found = self.router.find(scope["path"]) if scope["type"] == "http" else None
        if found is None:
            await self.fallback(scope, receive, send)
            return
        begun = time.perf_counter()
        resource, params = found
        try:
            request = await read_request(scope, receive, params)
            REQUEST_ID.set(request.id)
            reply = await self._reply(request, resource)
        except Problem as problem:
            request, reply = head_of(scope, params), problem.to_response()
        except Disconnected:
            return
        if isinstance(reply, Stream):
            self.observe(resource.template, request.method, 200, time.perf_counter() - begun)
            await write_stream(receive, send, reply, request)
            return
        await write_response(send, reply, request)
        seconds = time.perf_counter() - begun
        self.observe(resource.template, request.method, reply.status, seconds)

    async def _reply(self, request: Request, resource: Resource) -> Response | Stream:
        method, path = request.method, request.path
        if method == "OPTIONS":
            return Response(204, b"", headers={**PREFLIGHT, "allow": resource.allowed})
        handler = resource.handlers.get(method)
        try:
            if handler is None:
                allowed = {"allow": resource.allowed}
                raise Problem(405, f"{method} is not served at {path}.", headers=allowed)
            return await handler(request)
        except Problem as problem:
            return problem.to_response()
        except UNFIT as error:
            # It is down, restarts, is full or too busy, takes nothing or has other tables; what was
            # not committed can be sent again.
            what, is_odd = f"{request.id} {method} {path}", isinstance(error, ProgrammingError)
            logger.error("%s waits for the database: %s", what, error, exc_info=is_odd)
            return unavailable().to_response()
        except Exception:
            # The last line of defence: the client gets a clean answer, the log the traceback.
            logger.exception("%s %s %s failed", request.id, method, path)
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


def head_of(scope: Scope, params: Any, body: bytes = b"") -> Request:
    """Read all of a request that comes before its body."""
    headers = {name.decode("latin-1").lower(): v.decode("latin-1") for name, v in scope["headers"]}
    given = headers.get("x-request-id")
    return Request(
        scope["method"],
        scope["path"],
        headers,
        body,
        params,
        scope.get("query_string", b"").decode("latin-1"),
        given if given is not None and HARMLESS_ID.match(given) else secrets.token_hex(8),
        str((scope.get("client") or ("",))[0]),
    )


async def read_request(scope: Scope, receive: Receive, params: Any) -> Request:
    """Read one request with its body.

    Raises:
        Problem: The body is over the limit (413).
        Disconnected: The client left.
    """
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
            return head_of(scope, params, b"".join(chunks))


async def write_response(send: Send, response: Response, request: Request) -> None:
    """Send one answer, or only its headers as a HEAD request wants."""
    headers = {"cache-control": "no-store", "x-request-id": request.id, **response.headers}
    if response.status not in {204, 304}:
        # An answer without content has neither (RFC 9110, section 8.6).
        headers["content-type"] = response.content_type
        headers["content-length"] = str(len(response.body))
    await send_head(send, response.status, headers)
    body = b"" if request.method == "HEAD" else response.body
    await send({"type": "http.response.body", "body": body})


async def write_stream(receive: Receive, send: Send, stream: Stream, request: Request) -> None:
    """Send chunks as they come, until they end or the client leaves."""
    headers = {
        "content-type": stream.content_type,
        "cache-control": "no-store",
        # Proxies that gather an answer before they pass it on would keep every event to themselves.
        "x-accel-buffering": "no",
        "x-request-id": request.id,
        **stream.headers,
    }
    await send_head(send, 200, headers)
    if request.method == "HEAD":
        await send({"type": "http.response.body", "body": b""})
        return
    leaving = asyncio.create_task(_wait_for_leaving(receive))
    writing = asyncio.create_task(_write_chunks(send, stream))
    try:
        await asyncio.wait({leaving, writing}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (leaving, writing):
            task.cancel()
        for task in (leaving, writing):
            with suppress(asyncio.CancelledError):
                await task


async def _wait_for_leaving(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _write_chunks(send: Send, stream: Stream) -> None:
    try:
        async for chunk in stream.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except Exception:
        logger.exception("A stream failed")
    await send({"type": "http.response.body", "body": b""})


async def send_head(send: Send, status: int, headers: dict[str, str]) -> None:
    """Send a status and headers, with what lets any page read them."""
    written = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": written + CORS})
