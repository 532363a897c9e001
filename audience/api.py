"""Take events from Segment's client libraries: /v1/track, /v1/identify, /v1/batch and kin."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from audience import segment
from audience.incoming import Incoming, Rejected
from audience.ingest import Ingest
from audience.keyring import Keyring, key_of
from audience.models import Scope
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
KEPT_BYTES = 4096
KEPT_REJECTED = 100

RECORD_REJECTED = """
    INSERT INTO audience_rejectedevent (source_id, reason, payload)
    SELECT %(source)s, reason, payload
    FROM unnest(%(reasons)s::text[], %(payloads)s::text[]) AS rejected (reason, payload)
"""


class Intake:
    """The handlers of the tracking API."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection],
        keyring: Keyring,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Store through `pool`; know senders by `keyring`."""
        self._pool = pool
        self._keyring = keyring
        self._clock = clock
        self._ingest = Ingest(pool)

    def routes(self) -> Mapping[tuple[str, str], Handler]:
        """Return every path of the API with its handler."""
        singles = {
            ("POST", path): self._single(type_)
            for type_, short in PATHS.items()
            for path in (f"/v1/{type_}", short)
        }
        return {**singles, ("POST", "/v1/batch"): self.batch, ("POST", "/v1/b"): self.batch}

    def _single(self, type_: str) -> Handler:
        async def take(request: Request) -> Response:
            body = plain_body(request)
            key = key_of(request, in_body=decode(body, segment.Envelope).write_key)
            source = await self._keyring.find(key, scope=Scope.EVENTS)
            try:
                message = segment.read_item(body, now=self._clock(), type_=type_)
            except Rejected as error:
                await self._record_rejected([(str(error), body)], source_id=source.id, key=key)
                raise Problem(400, str(error)) from error
            await self._ingest.store([message], source_id=source.id)
            return answer({"success": True})

        return take

    async def batch(self, request: Request) -> Response:
        """Take what can be taken; what cannot is kept for its sender to see."""
        envelope = decode(plain_body(request), segment.Batch)
        key = key_of(request, in_body=envelope.write_key)
        source = await self._keyring.find(key, scope=Scope.EVENTS)
        now = self._clock()
        taken: list[Incoming] = []
        rejected: dict[int, str] = {}
        for index, raw in enumerate(envelope.batch):
            try:
                taken.append(segment.read_item(bytes(raw), now=now, sent_at=envelope.sent_at))
            except Rejected as error:
                rejected[index] = str(error)
        await self._ingest.store(taken, source_id=source.id)
        await self._record_rejected(
            [(reason, bytes(envelope.batch[index])) for index, reason in rejected.items()],
            source_id=source.id,
            key=key,
        )
        return answer(
            {
                "success": True,
                "rejected": [{"index": i, "reason": reason} for i, reason in rejected.items()],
            }
        )

    async def _record_rejected(
        self, rejected: Sequence[tuple[str, bytes]], *, source_id: int, key: str
    ) -> None:
        """Keep what could not be taken: the first ones of a batch tell what is wrong with all.

        Browsers send the key inside the message, and a key is never stored.
        """
        kept = rejected[:KEPT_REJECTED]
        if not kept:
            return
        async with self._pool.connection() as connection:
            await connection.execute(
                RECORD_REJECTED,
                {
                    "source": source_id,
                    "reasons": [reason for reason, _ in kept],
                    "payloads": [
                        raw.replace(key.encode(), HIDDEN)[:KEPT_BYTES].decode(errors="replace")
                        for _, raw in kept
                    ],
                },
            )
