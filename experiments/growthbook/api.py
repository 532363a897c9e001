"""Serves GrowthBook's SDKs: the payload, a stream of its changes, and remote evaluation."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import is_
from typing import Any, Protocol

import msgspec

from audience.models import Scope
from audience.sources.keyring import Keyring
from experiments.assigning.running import Running
from experiments.growthbook.context import Context
from experiments.growthbook.payload import Extras, to_payload
from experiments.growthbook.publication import Publication
from experiments.growthbook.resolving import resolve_features
from wire.bodies import parse
from wire.current import Current
from wire.etags import is_known
from wire.messages import Problem, Request, Response, Stream, answer
from wire.routes import Handler

logger = logging.getLogger(__name__)

# Proxies close a connection that stays silent, some after half a minute.
HEARTBEAT_SECONDS = 15.0
HEARTBEAT = b": still here\n\n"
# How old a payload may be besides what it is made of; finding out takes a third of the answer.
LOOK_SECONDS = 0.02
# The SDKs ask again after a minute; what stands between may answer for them, and goes on to where
# we cannot.
CACHING = "public, max-age=30, stale-while-revalidate=3600, stale-if-error=36000"


class Provider(Protocol):
    """Something that adds to the payload; a `Current` of `Extras` is one."""

    async def get(self) -> Extras:
        """Return what it adds now: the same object for as long as that is the same."""

    async def changed(self, since: Extras, within: float) -> Extras:
        """Wait until it is another than one seen before, or these seconds have passed."""


class Visit(msgspec.Struct):
    """Whom to evaluate for; as the SDKs send it."""

    attributes: dict[str, Any] = {}
    forced_variations: dict[str, int] = msgspec.field(name="forcedVariations", default_factory=dict)
    forced_features: list[tuple[str, Any]] = msgspec.field(
        name="forcedFeatures", default_factory=list
    )
    url: str = ""


@dataclass(frozen=True, slots=True)
class _Held:
    """A publication with what it was made of."""

    running: Running
    extras: tuple[Extras, ...]
    publication: Publication

    def is_of(self, running: Running, extras: Sequence[Extras]) -> bool:
        """Say whether it was made of these very objects."""
        return running is self.running and all(map(is_, extras, self.extras))


class GrowthbookApi:
    """The handlers of what GrowthBook's SDKs ask for."""

    def __init__(
        self,
        keyring: Keyring,
        running: Current[Running],
        *,
        providers: Sequence[Provider] = (),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        """Know clients by `keyring` and experiments by `running`; `providers` add to those."""
        self._keyring = keyring
        self._running = running
        self._providers = providers
        self._clock = clock
        self._heartbeat_seconds = heartbeat_seconds
        self._held: _Held | None = None
        self._looked_at = -math.inf

    def routes(self) -> Mapping[tuple[str, str], Handler]:
        """Return the paths of the API with their handlers."""
        return {
            ("GET", "/api/features/{key}"): _refusing(self.features),
            ("GET", "/sub/{key}"): _refusing(self.stream),
            ("POST", "/api/eval/{key}"): _refusing(self.evaluate),
        }

    async def features(self, request: Request) -> Response:
        """Answer with the payload, or that the client has it already."""
        source = await self._keyring.find(request.params["key"], scope=Scope.FLAGS)
        edition = (await self._hold_lately()).publication.edition(source.encryption_key)
        headers = {"etag": edition.etag, "cache-control": CACHING, "x-sse-support": "enabled"}
        if is_known(edition.etag, request.headers.get("if-none-match")):
            return Response(304, b"", headers=headers)
        return Response(200, edition.body, headers=headers)

    async def stream(self, request: Request) -> Stream:
        """Send the payload, and again whenever it changed."""
        await self._find_encryption_key(request)
        return Stream(self._events(request))

    async def evaluate(self, request: Request) -> Response:
        """Answer with a payload that is resolved for one customer.

        Nobody is exposed here: the client tells, by its tracking callback, when it uses a feature.
        """
        await self._find_encryption_key(request)
        visit = parse(request, Visit)
        payload = (await self._hold()).publication.payload
        context = Context(
            features=payload["features"],
            contextual_bandits=payload.get("contextualBandits", {}),
            attributes=visit.attributes,
            url=visit.url,
            forced_variations=visit.forced_variations,
            forced_features=dict(visit.forced_features),
        )
        return answer({"status": 200, "features": resolve_features(context)})

    async def _find_encryption_key(self, request: Request) -> str:
        source = await self._keyring.find(request.params["key"], scope=Scope.FLAGS)
        return source.encryption_key

    async def _hold_lately(self) -> _Held:
        """Return what was published a moment ago: of many who ask, one finds out what is now."""
        now = time.monotonic()
        if self._held is not None and now - self._looked_at < LOOK_SECONDS:
            return self._held
        self._looked_at = now
        return await self._hold()

    async def _hold(self) -> _Held:
        """Return what is published now, made anew if anything that it is made of is another."""
        running = await self._running.get()
        extras = tuple([await provider.get() for provider in self._providers])
        held = self._held
        if held is None or not held.is_of(running, extras):
            made = Publication(_write(running, extras), updated_at=self._clock())
            # What says the same keeps its bytes and its date, so that clients need not read it.
            is_kept = held is not None and held.publication.is_same(made)
            publication = held.publication if held is not None and is_kept else made
            held = self._held = _Held(running, extras, publication)
        return held

    async def _events(self, request: Request) -> AsyncIterator[bytes]:
        sent: bytes | None = None
        while True:
            try:
                # Each time, for a key may be revoked, or another encryption key given, meanwhile.
                encryption_key = await self._find_encryption_key(request)
            except Problem:
                # The client comes again, and is told why it is refused.
                return
            held = await self._hold()
            event = held.publication.edition(encryption_key).event
            yield HEARTBEAT if event is sent else event
            sent = event
            await self._wait_for_change(held)

    async def _wait_for_change(self, held: _Held) -> None:
        """Wait until anything is another, or it is time for a sign of life."""
        within = self._heartbeat_seconds
        waiting: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(self._running.changed(held.running, within))
        ]
        waiting += [
            asyncio.ensure_future(provider.changed(since, within))
            for provider, since in zip(self._providers, held.extras, strict=True)
        ]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()


def _write(running: Running, extras: Sequence[Extras]) -> dict[str, Any]:
    try:
        return to_payload(running, extras=extras)
    except ValueError:
        # What others add must not keep the experiments from being served.
        logger.exception("What is added to the experiments cannot be published")
        return to_payload(running)


def _refusing(handler: Handler) -> Handler:
    """Refuse as the SDKs expect it, with a status and an error in JSON."""

    async def handle(request: Request) -> Response | Stream:
        try:
            return await handler(request)
        except Problem as problem:
            # A key that may not do this is a bad request to them, as one that is not known.
            status = 400 if problem.status in {401, 403, 422} else problem.status
            refusal = answer({"status": status, "error": problem.detail}, status=status)
            headers = {k: v for k, v in problem.headers.items() if k != "www-authenticate"}
            return Response(status, refusal.body, headers=headers)

    return handle
