"""What GrowthBook's SDKs ask for, over ASGI, on the real database and Redis."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import redis.asyncio
from django.conf import settings as configured
from django.utils import timezone
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from audience.models import Scope, Source
from audience.sources.keyring import Keyring
from audience.sources.keys import encrypt_payloads, revoke
from experiments.assigning.running import load_running
from experiments.growthbook.api import LOOK_SECONDS, GrowthbookApi
from experiments.growthbook.context import Context
from experiments.growthbook.encryption import decrypt
from experiments.growthbook.evaluator import Evaluator
from experiments.growthbook.payload import Extras
from experiments.lifecycle.adjusting import pause_experiment
from experiments.lifecycle.drafting import ArmPlan
from experiments.lifecycle.shipping import ship_arm
from experiments.models import Arm, Experiment, Exposure, Prerequisite
from tests.asgi import Answer, Site, database_url, serve
from tests.experiments.served import customer_in
from tests.makers import NOW, make_experiment, make_source
from wire.current import Current
from wire.dispatcher import Dispatcher

# Short enough that a test sees signs of life, and far longer than a change takes to be seen.
HEARTBEAT_SECONDS = 2.0
# A change is seen within this time.
SEEN_SECONDS = 0.7

PRICED = (
    ArmPlan("control", "Control", 5000, is_control=True, payload={"price": 10}),
    ArmPlan("new", "New", 5000, payload={"price": 8}),
)


@dataclass
class Fixed:
    """Adds the same to the payload until it is told to add something else."""

    extras: Extras

    async def get(self) -> Extras:
        return self.extras

    async def changed(self, since: Extras, within: float) -> Extras:
        await asyncio.sleep(within)
        return self.extras


async def not_found(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError(f"nothing here serves {scope['path']}")


@contextmanager
def open_api(*providers: Fixed) -> Iterator[Site]:
    pool: AsyncConnectionPool[AsyncConnection] = AsyncConnectionPool(
        database_url(), min_size=1, max_size=2, kwargs={"autocommit": True}, open=False
    )
    notices = redis.asyncio.Redis.from_url(configured.REDIS_URL)

    @asynccontextmanager
    async def connections() -> AsyncIterator[None]:
        await pool.open()
        yield
        await pool.close()
        await notices.aclose()

    running = Current(pool, notices, load_running, what="experiments")
    keyring = Keyring(pool, notices)
    api = GrowthbookApi(keyring, running, providers=providers, heartbeat_seconds=HEARTBEAT_SECONDS)
    resources = [connections(), running.kept_fresh(), keyring.kept_fresh()]
    with serve(Dispatcher(api.routes(), fallback=not_found, resources=resources)) as site:
        yield site


@pytest.fixture
def source(transactional_db: None) -> tuple[Source, str]:
    return make_source(Scope.FLAGS)


@pytest.fixture
def key(source: tuple[Source, str]) -> str:
    return source[1]


@pytest.fixture
def experiment(transactional_db: None, no_review: None) -> Experiment:
    return make_experiment(arms=PRICED, is_standalone=True)


@pytest.fixture
def site(key: str, experiment: Experiment) -> Iterator[Site]:
    with open_api() as site:
        yield site


@pytest.fixture
def no_review(settings: Any) -> None:
    settings.REVIEW_IS_REQUIRED = False


def wait(site: Site) -> None:
    site.run(asyncio.sleep(SEEN_SECONDS))


def features(site: Site, key: str, **headers: str) -> Answer:
    answer = site.get(f"/api/features/{key}", headers=headers)
    assert answer.status in (200, 304), answer.text
    return answer


def value(document: Mapping[str, Any], feature: str, customer: str) -> Any:
    """Evaluate a feature as an SDK does."""
    context = Context(features=document["features"], attributes={"id": customer})
    return Evaluator(context).feature(feature).value


def test_an_sdk_gets_the_running_experiments(site: Site, key: str, experiment: Experiment) -> None:
    answer = features(site, key)
    document = answer.json()
    assert document["status"] == 200
    assert value(document, experiment.key, "ada") in ({"price": 10}, {"price": 8})
    assert answer.headers["x-sse-support"] == "enabled"
    assert answer.headers["cache-control"] == (
        "public, max-age=30, stale-while-revalidate=3600, stale-if-error=36000"
    )
    assert datetime.fromisoformat(document["dateUpdated"]) > datetime.now(UTC) - timedelta(hours=1)


def test_who_has_the_payload_is_sent_nothing_until_it_changes(
    site: Site, key: str, experiment: Experiment
) -> None:
    first = features(site, key)
    known = features(site, key, **{"if-none-match": first.headers["etag"]})
    assert (known.status, known.body) == (304, b"")
    assert known.headers["etag"] == first.headers["etag"]
    pause_experiment(experiment, by=None, reason="wrong price", now=NOW)
    wait(site)
    changed = features(site, key, **{"if-none-match": first.headers["etag"]})
    assert changed.status == 200
    assert value(changed.json(), experiment.key, "ada") == {"price": 10}
    assert changed.json()["dateUpdated"] > first.json()["dateUpdated"]


def test_a_source_with_an_encryption_key_is_sent_nothing_in_the_open(
    source: tuple[Source, str], experiment: Experiment
) -> None:
    secret = encrypt_payloads(source[0])
    with open_api() as site:
        document = features(site, source[1]).json()
    assert document["features"] == {}
    assert experiment.key in msgspec.json.decode(decrypt(document["encryptedFeatures"], secret))


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "features"), ("GET", "sub"), ("POST", "eval")]
)
def test_a_key_that_may_not_read_is_refused_as_the_sdks_expect(
    site: Site, method: str, path: str
) -> None:
    _, other = make_source(Scope.EVENTS)
    base = "/sub" if path == "sub" else f"/api/{path}"
    for wrong in ("unknown", other):
        answer = site.request(method, f"{base}/{wrong}", b"{}")
        assert answer.status == 400
        assert answer.json() == {"status": 400, "error": answer.json()["error"]}
        assert "www-authenticate" not in answer.headers


def evaluate(site: Site, key: str, **visit: Any) -> Answer:
    return site.post(f"/api/eval/{key}", visit)


@pytest.mark.parametrize("is_shipped", [False, True])
def test_remote_evaluation_gives_values_and_what_to_track(
    key: str, experiment: Experiment, *, is_shipped: bool
) -> None:
    holdout = make_experiment(
        arms=(
            ArmPlan("held-out", "Held out", 5000, is_control=True),
            ArmPlan("open", "Open", 5000),
        ),
        is_standalone=True,
        is_holdout=True,
    )
    Prerequisite.objects.create(
        experiment=experiment, arm=Arm.objects.get(experiment=holdout, key="open")
    )
    if is_shipped:
        ship_arm(experiment, "new", by=None, now=NOW, reason="it won")
    held, let_in = (customer_in(holdout.seed, start, start + 5000) for start in (0, 5000))
    with open_api() as site:
        whole = features(site, key).json()
        for customer, is_held in ((held, True), (let_in, False)):
            answer = evaluate(site, key, attributes={"id": customer})
            assert answer.headers["cache-control"] == "no-store"
            assert "x-sse-support" not in answer.headers
            resolved = Evaluator(Context(features=answer.json()["features"]))
            local = Evaluator(Context(features=whole["features"], attributes={"id": customer}))
            assert resolved.feature(experiment.key).value == local.feature(experiment.key).value
            assert (local.feature(experiment.key).value is None) is is_held
            assert resolved.tracks == local.tracks
            told = [str(track["experiment"]["key"]) for track in local.tracks]
            is_met = not is_held and not is_shipped
            assert told == [holdout.key, *([experiment.key] if is_met else [])]
    assert Exposure.objects.count() == 0


def test_remote_evaluation_keeps_to_what_the_client_forces(
    site: Site, key: str, experiment: Experiment
) -> None:
    def forced(**visit: Any) -> Any:
        document = evaluate(site, key, attributes={"id": "ada"}, **visit).json()
        return value(document, experiment.key, "")

    assert forced(forcedVariations={experiment.key: 1}) == {"price": 8}
    assert forced(forcedFeatures=[[experiment.key, "x"]]) == "x"
    assert forced(url=f"https://shop.example/?{experiment.key}=0") == {"price": 10}


def test_a_body_that_cannot_be_read_is_refused(site: Site, key: str) -> None:
    for body in (b"[]", b"{", b'{"attributes": 1}'):
        answer = site.post(f"/api/eval/{key}", body)
        assert (answer.status, answer.json()["status"]) == (400, 400)


def test_others_add_to_the_payload(key: str) -> None:
    provider = Fixed(Extras({"offer": {"defaultValue": 1}}, {"policy": {"contexts": []}}))
    with open_api(provider) as site:
        first = features(site, key).json()
        provider.extras = Extras(provider.extras.features, provider.extras.contextual_bandits)
        same = features(site, key).json()
        provider.extras = Extras({"offer": {"defaultValue": 2}})
        time.sleep(LOOK_SECONDS)
        second = features(site, key).json()
    assert value(first, "offer", "ada") == 1
    assert first["contextualBandits"] == {"policy": {"contexts": []}}
    assert same == first
    assert value(second, "offer", "ada") == 2


def test_what_takes_an_experiment_s_key_is_left_out_and_logged(
    key: str, experiment: Experiment, caplog: pytest.LogCaptureFixture
) -> None:
    with open_api(Fixed(Extras({experiment.key: {"defaultValue": 1}}))) as site:
        document = features(site, key).json()
    assert value(document, experiment.key, "ada") in ({"price": 10}, {"price": 8})
    assert "cannot be published" in caplog.text


class Reader:
    """Reads a stream, event by event, between uses of the ORM."""

    def __init__(self, site: Site, path: str) -> None:
        self._site = site
        self._sent: asyncio.Queue[Any] = asyncio.Queue()
        self._left = asyncio.Event()
        self._asked = False
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": b"",
            "headers": [],
        }
        self._serving = site.run(self._start(scope))

    async def _start(self, scope: Any) -> "asyncio.Task[None]":
        return asyncio.ensure_future(self._serve(scope))

    async def _serve(self, scope: Any) -> None:
        await self._site.client.application(scope, self._receive, self._sent.put)

    async def _receive(self) -> Any:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    def read(self) -> Any:
        return self._site.run(asyncio.wait_for(self._sent.get(), 2 * HEARTBEAT_SECONDS))

    def leave(self) -> None:
        self._left.set()
        self._site.run(asyncio.wait_for(self._serving, 1))


def read_event(message: Mapping[str, Any]) -> Any:
    head, _, data = message["body"].partition(b"\ndata: ")
    assert head == b"event: features"
    assert data.endswith(b"\n\n")
    return msgspec.json.decode(data)


def test_a_stream_sends_the_payload_at_once_and_every_change(
    site: Site, key: str, experiment: Experiment
) -> None:
    reader = Reader(site, f"/sub/{key}")
    head = reader.read()
    assert head["status"] == 200
    assert (b"content-type", b"text/event-stream") in head["headers"]
    assert value(read_event(reader.read()), experiment.key, "ada") in (
        {"price": 10},
        {"price": 8},
    )
    pause_experiment(experiment, by=None, reason="wrong price", now=NOW)
    assert value(read_event(reader.read()), experiment.key, "ada") == {"price": 10}
    reader.leave()


@pytest.mark.slow
def test_a_stream_gives_a_sign_of_life_and_ends_with_its_key(
    site: Site, source: tuple[Source, str]
) -> None:
    reader = Reader(site, f"/sub/{source[1]}")
    assert reader.read()["status"] == 200
    read_event(reader.read())
    assert reader.read()["body"].startswith(b":")
    revoke(source[0], now=timezone.now())
    assert reader.read() == {"type": "http.response.body", "body": b""}
    reader.leave()
