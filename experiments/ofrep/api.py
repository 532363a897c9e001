"""Answers OpenFeature's remote evaluation protocol: one flag, all flags, and word of changes."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
from msgspec import UNSET
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from audience.customers.finding import Name
from audience.models import Scope
from audience.sources.keyring import Keyring, KnownSource, key_of, refused
from experiments.assigning.evaluation import RunningExperiment, evaluate
from experiments.assigning.running import Running
from experiments.ofrep.contexts import Context, read_context
from experiments.ofrep.customers import Customers, Known
from experiments.ofrep.documents import (
    Bulk,
    BulkFailure,
    Endpoint,
    ErrorCode,
    EventStream,
    Failure,
    Flag,
    Refusal,
)
from experiments.ofrep.flags import name_exposures, needs_customer, needs_key, to_flag
from experiments.ofrep.streams import tell_changes
from experiments.ofrep.tokens import make_token, read_token, window_at
from experiments.ofrep.versions import Versions, digest
from wire.current import Current
from wire.etags import named_in
from wire.messages import Problem, Request, Response, Stream, answer
from wire.routes import Handler

FLAGS_PATH = "/ofrep/v1/evaluate/flags"
EVENTS_PATH = "/ofrep/v1/events"
# A change is told by one process and may be asked of another, which hears of it as late as this.
HEARING_SECONDS = 0.6
_MALFORMED: Mapping[int, ErrorCode] = {
    400: "PARSE_ERROR",
    413: "PARSE_ERROR",
    415: "PARSE_ERROR",
    422: "INVALID_CONTEXT",
}


class OfrepApi:
    """The handlers of the protocol."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection],
        keyring: Keyring,
        running: Current[Running],
        *,
        secret: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Look up and record through `pool`; sign the addresses of streams with `secret`."""
        self._customers = Customers(pool)
        self._keyring = keyring
        self._running = running
        self._secret = secret.encode()
        self._clock = clock
        self._versions = Versions()

    def routes(self) -> Mapping[tuple[str, str], Handler]:
        """Return the paths of the protocol with their handlers."""
        return {
            ("POST", FLAGS_PATH): self.evaluate_all,
            ("POST", f"{FLAGS_PATH}/{{key}}"): self.evaluate_one,
            ("GET", EVENTS_PATH): self.tell,
        }

    async def evaluate_one(self, request: Request) -> Response:
        """Evaluate one flag and record what was met by it: to have asked is to have met."""
        return await _in_its_words(self._evaluate_one, request)

    async def evaluate_all(self, request: Request) -> Response:
        """Evaluate all flags but hold-outs, and record nothing: a page asks long before it shows.

        Each flag says what using it exposes to, hold-outs too and for who is held out as well. What
        was used comes back as `Experiment Viewed`.
        """
        return await _in_its_words(self._evaluate_all, request)

    async def tell(self, request: Request) -> Response | Stream:
        """Tell of changes from now on, to whoever has the token of a bulk answer."""
        query = request.query
        token = query.get("token", "")
        if read_token(token, secret=self._secret, now=self._clock()) is None:
            return _refuse(refused("Fetch all flags again: this token is none, or too old."))
        await self._running.get()
        seen = request.headers.get("last-event-id") or query.get("seen")
        return Stream(tell_changes(self._running, self._versions, seen=seen))

    async def _evaluate_one(self, request: Request) -> Response:
        key = request.params["key"]
        await self._find_source(request)
        context = read_context(request)
        running = await self._running.get()
        experiment = running.get(key)
        if experiment is None:
            details = f"There is no flag {key!r}: no experiment of this key runs or was decided."
            return answer(Failure(key, "FLAG_NOT_FOUND", details), status=404)
        if context.name is None and needs_key(experiment):
            return answer(_nameless(key), status=400)
        known, is_degraded = Known(""), False
        if context.name is not None and needs_customer(experiment):
            known, is_degraded = await self._look_up(context.name, running)
        made = evaluate(key, known.key, _merged(known, context), running, known.met)
        is_recorded = False
        if context.name is not None and made.exposures and not is_degraded:
            is_recorded = await self._customers.record(
                known, context.name, made.exposures, now=self._clock()
            )
            is_degraded = not is_recorded
        untold = name_exposures(() if is_recorded else made.exposures, _by_id(running))
        return answer(to_flag(experiment, made, untold=untold, is_degraded=is_degraded))

    async def _evaluate_all(self, request: Request) -> Response:
        source = await self._find_source(request)
        context = read_context(request)
        running = await self._hear(request.query.get("flagConfigEtag"))
        asked = [each for each in running.values() if not each.is_holdout]
        known, is_degraded = Known(""), False
        if context.name is not None and any(map(needs_customer, asked)):
            known, is_degraded = await self._look_up(context.name, running)
        attributes, by_id = _merged(known, context), _by_id(running)

        def to_item(experiment: RunningExperiment) -> Flag | Failure:
            if context.name is None and needs_key(experiment):
                return _nameless(experiment.key)
            made = evaluate(experiment.key, known.key, attributes, running, known.met)
            untold = name_exposures(made.exposures, by_id)
            is_unsure = is_degraded and needs_customer(experiment)
            return to_flag(experiment, made, untold=untold, is_degraded=is_unsure)

        flags = msgspec.json.encode([to_item(experiment) for experiment in asked])
        now = self._clock()
        # Over what the context made of the configuration: whatever of both changes an answer
        # changes it, and nothing else does. The window, so that tokens are renewed in time.
        etag = f'"{digest(b"%d %b" % (window_at(now), flags))}"'
        if etag in named_in(request.headers.get("if-none-match", "")):
            return Response(304, b"", headers={"etag": etag})
        query = urlencode(
            {
                "token": make_token(source.id, secret=self._secret, now=now),
                "seen": self._versions.of(running),
            }
        )
        bulk = Bulk(
            msgspec.Raw(flags),
            [EventStream(Endpoint(f"{EVENTS_PATH}?{query}"))],
            {"degraded": True} if is_degraded else UNSET,
        )
        response = answer(bulk)
        return Response(response.status, response.body, headers={"etag": etag})

    async def _find_source(self, request: Request) -> KnownSource:
        key = key_of(request)
        try:
            return await self._keyring.find(key, scope=Scope.FLAGS)
        except Problem as problem:
            if problem.status != 403:
                raise
        # Who may ask for offers may ask for flags.
        return await self._keyring.find(key, scope=Scope.DECIDE)

    async def _hear(self, told: str | None) -> Running:
        """Return what runs, after the change that a client was told of, if this is such a one."""
        running = await self._running.get()
        known = self._versions.of(running)
        if told is not None and told != known and self._versions.may_come(told):
            running = await self._running.changed(running, HEARING_SECONDS)
        return running

    async def _look_up(self, name: Name, running: Running) -> tuple[Known, bool]:
        """Return who asks, or only the name, and True, where PostgreSQL does not answer."""
        open_ones = [each.id for each in running.values() if each.served is None]
        known = await self._customers.find(name, open_ones)
        return (Known(name.key), True) if known is None else (known, False)


async def _in_its_words(
    handle: Callable[[Request], Awaitable[Response]], request: Request
) -> Response:
    """Handle a request, and refuse it by the protocol's documents."""
    try:
        return await handle(request)
    except Problem as problem:
        code = _MALFORMED.get(problem.status)
        if code is None:
            return _refuse(problem)
        key = request.params.get("key")
        if key is None:
            return answer(BulkFailure(code, problem.detail), status=400)
        return answer(Failure(key, code, problem.detail), status=400)


def _refuse(problem: Problem) -> Response:
    body = msgspec.json.encode(Refusal(problem.detail))
    return Response(problem.status, body, headers=problem.headers)


def _nameless(key: str) -> Failure:
    details = "Name the customer by `targetingKey`: this flag's value is drawn for each of them."
    return Failure(key, "TARGETING_KEY_MISSING", details)


def _by_id(running: Running) -> Mapping[int, RunningExperiment]:
    return {experiment.id: experiment for experiment in running.values()}


def _merged(known: Known, context: Context) -> dict[str, Any]:
    return {**known.attributes, **context.attributes}
