"""Talk to an ASGI application inside the test's process, without a server or a port.

The whole site, hot paths and Django, on the test's own database and Redis:

    @pytest.fixture
    def site(transactional_db: None) -> Iterator[Site]:
        with open_site() as site:
            yield site

    def test_stranger_gets_an_offer(site: Site) -> None:
        _, key = create_source("shop", scopes=[Scope.DECIDE])
        answer = site.post("/api/v1/decide", {"placements": ["cart"], "customer": "x"}, key=key)
        assert answer.status == 200
        assert answer.json()["decisions"][0]["offer"]["key"] == "free_delivery"

The test itself is synchronous, so it may use the ORM between two requests; every request of one
`with` runs on the same event loop. The hot paths have connections of their own, which see only
what is committed: such a test needs `transactional_db`, the fixture behind
`@pytest.mark.django_db(transaction=True)`.
For requests at the same time, hand a coroutine to `run`:

    answers = site.run(gather(*(site.client.post(PATH, body, key=key) for _ in range(20))))

Any other ASGI application works too: `with serve(Dispatcher(routes, fallback=...)) as site`.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterator, Mapping, MutableMapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from urllib.parse import quote, unquote

from django.conf import settings
from django.db import connection

from config.asgi import build_application
from wire.dispatcher import AsgiApplication

T = TypeVar("T")
Message = MutableMapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Client:
    """Sends requests to an application that has been started."""

    application: AsgiApplication

    async def request(
        self,
        method: str,
        path: str,
        *chunks: bytes,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        ends: bool = True,
    ) -> Answer:
        """Send one request.

        Args:
            method: Such as GET.
            path: The path, perhaps with a query after `?`.
            chunks: The body, in the pieces in which it arrives.
            key: A source's key, sent as Basic authentication's user name.
            headers: More headers.
            ends: False closes the connection after the chunks instead of ending the body.
        """
        plain_path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(plain_path),
            "raw_path": plain_path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": _header_list(key, headers),
            "client": ("127.0.0.1", 50000),
            "server": ("localhost", 80),
        }
        incoming = [_body(chunk, more=True) for chunk in chunks]
        incoming.append(_body(b"", more=False) if ends else {"type": "http.disconnect"})
        outgoing: list[Message] = []
        done = asyncio.Event()

        async def receive() -> Message:
            if incoming:
                return incoming.pop(0)
            # A client that has sent everything stays until it has its answer.
            await done.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            outgoing.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                done.set()

        await self.application(scope, receive, send)
        return _to_answer(outgoing)

    async def get(self, path: str, **options: Any) -> Answer:
        """Send a GET request; options are those of `request`."""
        return await self.request("GET", path, **options)

    async def post(self, path: str, content: Any, **options: Any) -> Answer:
        """Send JSON by POST, or bytes as they are; options are those of `request`."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return await self.request("POST", path, body, **options)


class Site:
    """A started application for synchronous tests."""

    def __init__(self, client: Client, runner: asyncio.Runner) -> None:
        self.client = client
        self._runner = runner

    def run(self, story: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the application's event loop."""
        return self._runner.run(story)

    def request(self, method: str, path: str, *chunks: bytes, **options: Any) -> Answer:
        """Do as `Client.request`."""
        return self.run(self.client.request(method, path, *chunks, **options))

    def get(self, path: str, **options: Any) -> Answer:
        """Do as `Client.get`."""
        return self.run(self.client.get(path, **options))

    def post(self, path: str, content: Any, **options: Any) -> Answer:
        """Do as `Client.post`."""
        return self.run(self.client.post(path, content, **options))


@contextmanager
def open_site() -> Iterator[Site]:
    """Start the whole site on the test's database and Redis."""
    with TemporaryDirectory(prefix="offerlab-spool-") as spool:
        application = build_application(
            database_url(), settings.REDIS_URL, Path(spool), looks_in_background=False
        )
        with serve(application) as site:
            yield site


@contextmanager
def serve(application: AsgiApplication) -> Iterator[Site]:
    """Start an application, and end it in order after the `with` block."""
    with asyncio.Runner() as runner:
        started = running(application)
        client = runner.run(_enter(started))
        try:
            yield Site(client, runner)
        finally:
            runner.run(_leave(started))


@asynccontextmanager
async def running(application: AsgiApplication) -> AsyncIterator[Client]:
    """Take an application through its lifespan; for tests that are asynchronous throughout."""
    to_application: asyncio.Queue[Message] = asyncio.Queue()
    from_application: asyncio.Queue[Message] = asyncio.Queue()
    life = asyncio.create_task(
        _as_coroutine(application({"type": "lifespan"}, to_application.get, from_application.put))
    )
    await to_application.put({"type": "lifespan.startup"})
    message = await _next_message(from_application, life)
    if message["type"] != "lifespan.startup.complete":
        await life
        raise RuntimeError(f"The application did not start: {message}")
    try:
        yield Client(application)
    finally:
        await to_application.put({"type": "lifespan.shutdown"})
        message = await _next_message(from_application, life)
        await life
        assert message["type"] == "lifespan.shutdown.complete", message


def database_url() -> str:
    """Write the address of the database that pytest-django made for this process."""
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST"}
    names["port"] = "PORT"
    values = {name: str(connection.settings_dict[key]) for name, key in names.items()}
    values |= {k: str(v) for k, v in connection.settings_dict["OPTIONS"].items()}
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in values.items() if value)
    return f"postgresql:///?{query}"


def basic(key: str) -> str:
    """Write the Authorization header that Segment's libraries send."""
    return "Basic " + base64.b64encode(f"{key}:".encode()).decode()


def _header_list(key: str | None, headers: Mapping[str, str] | None) -> list[tuple[bytes, bytes]]:
    named = {"host": "localhost", **(headers or {})}
    if key is not None:
        named["authorization"] = basic(key)
    return [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in named.items()]


def _body(chunk: bytes, *, more: bool) -> Message:
    return {"type": "http.request", "body": chunk, "more_body": more}


def _to_answer(messages: list[Message]) -> Answer:
    start, *bodies = messages
    assert start["type"] == "http.response.start", messages
    headers = {n.decode("latin-1").lower(): v.decode("latin-1") for n, v in start["headers"]}
    return Answer(start["status"], headers, b"".join(m.get("body", b"") for m in bodies))


async def _next_message(queue: "asyncio.Queue[Message]", life: "asyncio.Task[None]") -> Message:
    """Return what the application says next; if it ends without a word, raise what ended it."""
    speaking = asyncio.create_task(queue.get())
    await asyncio.wait({speaking, life}, return_when=asyncio.FIRST_COMPLETED)
    if speaking.done():
        return speaking.result()
    if not queue.empty():
        return await speaking
    speaking.cancel()
    await life
    raise RuntimeError("The application's lifespan ended without an answer.")


async def _as_coroutine(awaitable: Awaitable[None]) -> None:
    await awaitable


async def _enter(context: Any) -> Client:
    client: Client = await context.__aenter__()
    return client


async def _leave(context: Any) -> None:
    await context.__aexit__(None, None, None)
