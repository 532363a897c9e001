"""Word of changes, as server-sent events."""

import asyncio
import json
import time
from datetime import timedelta
from typing import Any

import pytest

from audience.models import Scope
from experiments.assigning.running import Running
from experiments.lifecycle.shipping import ship_arm
from experiments.ofrep.api import HEARING_SECONDS
from experiments.ofrep.streams import tell_changes, to_event
from experiments.ofrep.versions import Versions
from tests.asgi import Answer, Site
from tests.experiments.ofrep.conftest import OpenOfrep, make_flag
from tests.makers import NOW, make_source

ALL = "/ofrep/v1/evaluate/flags"


class Changing:
    """Stands for what a process holds in memory, and changes when told so."""

    def __init__(self, value: Running) -> None:
        self.value = value

    async def get(self) -> Running:
        return self.value

    async def changed(self, since: Running, within: float) -> Running:
        await asyncio.sleep(within)
        return self.value


def lines(event: bytes) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in event.decode().splitlines() if line)


def ask(site: Site, key: str, query: str = "", **headers: str) -> Answer:
    body = {"context": {"targetingKey": "ada"}}
    return site.post(f"{ALL}{query}", body, headers={"x-api-key": key, **headers})


def stream_of(answer: Answer) -> str:
    (stream,) = answer.json()["eventStreams"]
    assert stream["type"] == "sse"
    return str(stream["endpoint"]["requestUri"])


async def hear(site: Site, address: str, events: int, **headers: str) -> list[dict[str, str]]:
    """Listen until so many events came, and leave."""
    heard: list[bytes] = []
    enough = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if not hasattr(receive, "sent"):
            receive.sent = True  # type: ignore[attr-defined]
            return {"type": "http.request", "body": b""}
        await enough.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        heard.append(message.get("body", b""))
        if sum(chunk.startswith(b"id:") for chunk in heard) >= events:
            enough.set()

    path, _, query = address.partition("?")
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    async with asyncio.timeout(5):
        await site.client.application(scope, receive, send)
    return [lines(chunk) for chunk in heard if chunk.startswith(b"id:")]


@pytest.mark.django_db(transaction=True)
def test_a_change_is_told_to_whoever_listens(site: Site, key: str) -> None:
    experiment = make_flag("a", "b")
    address = stream_of(ask(site, key))

    async def start() -> "asyncio.Task[list[dict[str, str]]]":
        listening = asyncio.create_task(hear(site, address, 1))
        await asyncio.sleep(0.05)
        return listening

    async def finish() -> list[dict[str, str]]:
        # Without a background, somebody's request finds out.
        await asyncio.sleep(0.3)
        await site.client.post(ALL, {}, headers={"x-api-key": key})
        return await listening

    listening = site.run(start())
    ship_arm(experiment, "v1", by=None, now=NOW, reason="test")
    (event,) = site.run(finish())
    data = json.loads(event["data"])
    assert event["event"] == "message"
    assert data == {"type": "refetchEvaluation", "etag": event["id"]}


@pytest.mark.django_db(transaction=True)
def test_a_change_that_was_missed_is_told_at_once(site: Site, key: str) -> None:
    experiment = make_flag("a", "b")
    before = stream_of(ask(site, key))
    ship_arm(experiment, "v1", by=None, now=NOW, reason="test")
    site.run(asyncio.sleep(0.3))
    after = stream_of(ask(site, key))
    (event,) = site.run(hear(site, before, 1))
    assert f"seen={event['id']}" in after
    # A browser that was cut off says which event it saw last.
    (again,) = site.run(hear(site, after, 1, **{"last-event-id": "older"}))
    assert again == event


@pytest.mark.django_db(transaction=True)
def test_who_was_told_of_a_change_gets_flags_after_it(site: Site, key: str) -> None:
    experiment = make_flag("a", "b")
    first = ask(site, key)
    assert first.json()["flags"][0]["reason"] == "SPLIT"
    ship_arm(experiment, "v1", by=None, now=NOW, reason="test")
    told = ask(site, key, f"?flagConfigEtag={32 * '0'}", **{"if-none-match": first.headers["etag"]})
    assert told.json()["flags"][0]["reason"] == "STATIC"


@pytest.mark.django_db(transaction=True)
def test_nobody_waits_for_what_was_seen_or_will_never_be(site: Site, key: str) -> None:
    experiment = make_flag("a", "b")
    seen = stream_of(ask(site, key)).partition("seen=")[2]
    ship_arm(experiment, "v1", by=None, now=NOW, reason="test")
    site.run(asyncio.sleep(0.3))
    begun = time.monotonic()
    for told in (seen, "nonsense"):
        answer = ask(site, key, f"?flagConfigEtag={told}")
        assert answer.json()["flags"][0]["reason"] == "STATIC"
    assert time.monotonic() - begun < HEARING_SECONDS


@pytest.mark.django_db(transaction=True)
def test_a_stream_opens_to_its_token_alone(open_ofrep: OpenOfrep) -> None:
    _, key = make_source(Scope.FLAGS)
    with open_ofrep() as site:
        address = stream_of(ask(site, key))
        assert site.request("HEAD", address).status == 200
        for wrong in ("/ofrep/v1/events", f"{address[:25]}x{address[26:]}"):
            answer = site.get(wrong, headers={"x-api-key": key})
            assert (answer.status, answer.headers["content-type"]) == (401, "application/json")
    with open_ofrep(now=NOW + timedelta(hours=3)) as later:
        assert later.get(address).status == 401


@pytest.mark.django_db(transaction=True)
def test_flags_are_sent_again_before_their_token_is_too_old(
    open_ofrep: OpenOfrep, key: str
) -> None:
    with open_ofrep() as site:
        tag = ask(site, key).headers["etag"]
        assert ask(site, key, **{"if-none-match": tag}).status == 304
    with open_ofrep(now=NOW + timedelta(hours=1)) as later:
        renewed = ask(later, key, **{"if-none-match": tag})
        assert renewed.status == 200
        assert later.request("HEAD", stream_of(renewed)).status == 200


def test_nothing_new_is_said_now_and_then() -> None:
    async def story() -> list[bytes]:
        current: Any = Changing({})
        said = tell_changes(current, Versions(), seen=None, silence_seconds=0.01)
        return [await anext(said) for _ in range(3)]

    assert asyncio.run(story()) == [b"retry: 2000\n\n", *[b": nothing changed\n\n"] * 2]


def test_an_event_is_one_line_of_json() -> None:
    event = to_event("abc")
    assert event.endswith(b"\n\n")
    assert lines(event)["data"] == '{"etag":"abc","type":"refetchEvaluation"}'
