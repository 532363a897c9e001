"""Take events from Segment's client libraries: /v1/track, /v1/identify, /v1/batch and kin."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TypeVar

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from audience.incoming import Incoming, Rejected, TooLarge
from audience.intake import segment
from audience.intake.browser import settings_document
from audience.intake.ingest import Ingest
from audience.intake.listening import Listener
from audience.intake.rejecting import KEPT_AT_ONCE, Rejection, record_rejections
from audience.models import Scope
from audience.sources.keyring import Keyring, KnownSource, key_of
from audience.sources.quotas import Quotas
from wire.bodies import decode, plain_body
from wire.messages import Problem, Request, Response, answer
from wire.routes import Handler

# The browser library shortens the paths.
PATHS = {
    "track": "/v1/t",
    "identify": "/v1/i",
    "page": "/v1/p",
    "screen": "/v1/s",
    "group": "/v1/g",
    "alias": "/v1/a",
}
HIDDEN = b"(the key)"
# Pages ask for their settings at every visit.
SETTINGS_HEADERS = {"cache-control": "public, max-age=300"}

T = TypeVar("T")


class Intake:
    """The handlers of the tracking API."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection],
        keyring: Keyring,
        *,
        quotas: Quotas | None = None,
        listeners: Sequence[Listener] = (),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take messages.

        Args:
            pool: Where they are stored.
            keyring: Knows senders by their keys.
            quotas: Counts what each of them may send in a day.
            listeners: Hear of new events in the transaction that stores them.
            clock: Says when they come.
        """
        self._pool = pool
        self._keyring = keyring
        self._quotas = quotas
        self._clock = clock
        self._ingest = Ingest(pool, listeners=listeners)

    def routes(self) -> Mapping[tuple[str, str], Handler]:
        """Return every path of the API with its handler."""
        singles = {
            ("POST", path): self._single(type_)
            for type_, short in PATHS.items()
            for path in (f"/v1/{type_}", short)
        }
        return {
            **singles,
            ("POST", "/v1/batch"): self.batch,
            ("POST", "/v1/b"): self.batch,
            ("GET", "/v1/projects/{key}/settings"): self.settings,
        }

    def _single(self, type_: str) -> Handler:
        async def take(request: Request) -> Response:
            body = _body(request)
            key = key_of(request, in_body=_read(body, segment.Envelope).write_key)
            source = await self._find(key, messages=1)
            try:
                message = segment.read_item(body, now=self._clock(), type_=type_)
            except TooLarge as error:
                raise Problem(400, str(error)) from error
            except Rejected as error:
                await self._record_rejected([(str(error), body)], source_id=source.id, key=key)
            else:
                await self._ingest.store([message], source_id=source.id)
            return answer({"success": True})

        return take

    async def batch(self, request: Request) -> Response:
        """Take what can be taken; what cannot is kept for its sender's developers to see.

        They are not told here: a library would throw the whole batch away, or send it for ever.
        """
        envelope = _read(_body(request), segment.Batch)
        key = key_of(request, in_body=envelope.write_key)
        with _as_bad_request():
            context = segment.read_context(bytes(envelope.context))
        source = await self._find(key, messages=len(envelope.batch))
        now = self._clock()
        taken: list[Incoming] = []
        rejected: list[tuple[str, bytes]] = []
        for raw in map(bytes, envelope.batch):
            try:
                taken.append(
                    segment.read_item(raw, now=now, sent_at=envelope.sent_at, context=context)
                )
            except Rejected as error:
                rejected.append((str(error), raw))
        await self._ingest.store(taken, source_id=source.id)
        await self._record_rejected(rejected, source_id=source.id, key=key)
        return answer({"success": True})

    async def settings(self, request: Request) -> Response:
        """Tell Segment's browser library, which may have any public key, where to send."""
        key = request.params["key"]
        try:
            await self._keyring.find(key, scope=Scope.EVENTS)
        except Problem as problem:
            if problem.status != 401:
                raise
            raise Problem(404, "No source has this key, or it was revoked.") from problem
        document = settings_document(request, key)
        return Response(200, answer(document).body, headers=SETTINGS_HEADERS)

    async def _find(self, key: str, *, messages: int) -> KnownSource:
        """Return the source that sends so many messages.

        Raises:
            Problem: It is not known, may not send, or has sent enough for now.
        """
        source = await self._keyring.find(key, scope=Scope.EVENTS)
        if self._quotas is not None:
            await self._quotas.count(source, messages)
        return source

    async def _record_rejected(
        self, rejected: Sequence[tuple[str, bytes]], *, source_id: int, key: str
    ) -> None:
        """Keep what could not be taken.

        Browsers send the key inside the message, and a key is never stored.
        """
        if not rejected:
            return
        rejections = [
            Rejection(source_id, reason, raw.replace(key.encode(), HIDDEN))
            for reason, raw in rejected[:KEPT_AT_ONCE]
        ]
        async with self._pool.connection() as connection:
            await record_rejections(connection, rejections)


def _body(request: Request) -> bytes:
    """Return the body, unpacked.

    Raises:
        Problem: It is broken, or larger than any batch may be (400).
    """
    with _as_bad_request():
        body = plain_body(request)
    if len(body) > segment.BATCH_BYTES:
        raise Problem(400, f"The body is larger than {segment.BATCH_BYTES} bytes.")
    return body


def _read(body: bytes, shape: type[T]) -> T:
    """Decode JSON.

    Raises:
        Problem: It is none, or of another shape (400).
    """
    with _as_bad_request():
        return decode(body, shape)


@contextmanager
def _as_bad_request() -> Iterator[None]:
    """Refuse by 400, whatever is wrong with a body: Segment's libraries expect no other status."""
    try:
        yield
    except Problem as problem:
        raise Problem(400, problem.detail) from problem
