"""Take events from Segment's client libraries: /v1/track, /v1/identify, /v1/batch and kin."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from audience import segment
from audience.incoming import Incoming, Rejected
from audience.ingest import Ingest
from audience.keys import Keyring, KnownSource, key_of
from audience.models import Scope
from wire.bodies import parse
from wire.dispatcher import Handler
from wire.messages import Problem, Request, Response, answer

# The browser library shortens the paths.
PATHS = {
    "track": "/v1/t",
    "identify": "/v1/i",
    "page": "/v1/p",
    "screen": "/v1/s",
    "group": "/v1/g",
    "alias": "/v1/a",
}
KEPT_PAYLOAD = 4096

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
            raw = parse(request, dict[str, Any], nul_allowed=True)
            source = await self._source_of(request, raw.get("writeKey"))
            try:
                message = segment.read_item({**raw, "type": type_}, now=self._clock())
            except Rejected as error:
                raise Problem(400, str(error)) from error
            await self._ingest.store([message], source_id=source.id)
            return answer({"success": True})

        return take

    async def batch(self, request: Request) -> Response:
        """Take what can be taken; what cannot is kept for its sender to see."""
        envelope = parse(request, segment.Batch, nul_allowed=True)
        source = await self._source_of(request, envelope.write_key)
        now = self._clock()
        taken: list[Incoming] = []
        rejected: list[tuple[int, str, Any]] = []
        for index, raw in enumerate(envelope.batch):
            try:
                taken.append(segment.read_item(raw, now=now, sent_at=envelope.sent_at))
            except Rejected as error:
                rejected.append((index, str(error), raw))
        await self._ingest.store(taken, source_id=source.id)
        if rejected:
            await self._record_rejected(rejected, source_id=source.id)
        return answer(
            {
                "success": True,
                "rejected": [{"index": index, "reason": reason} for index, reason, _ in rejected],
            }
        )

    async def _source_of(self, request: Request, write_key: object) -> KnownSource:
        in_body = write_key if isinstance(write_key, str) else None
        return await self._keyring.find(key_of(request, in_body=in_body), scope=Scope.EVENTS)

    async def _record_rejected(
        self, rejected: list[tuple[int, str, Any]], *, source_id: int
    ) -> None:
        payloads = [msgspec.json.encode(raw).decode()[:KEPT_PAYLOAD] for _, _, raw in rejected]
        async with self._pool.connection() as connection:
            await connection.execute(
                RECORD_REJECTED,
                {
                    "source": source_id,
                    "reasons": [reason.replace("\0", "") for _, reason, _ in rejected],
                    "payloads": payloads,
                },
            )
