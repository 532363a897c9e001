import asyncio
import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis.asyncio
import time_machine
from django.conf import settings
from psycopg_pool import AsyncConnectionPool

from audience.incoming import EVENT_BYTES
from audience.intake.api import PATHS, Intake
from audience.intake.rejecting import KEPT_AT_ONCE, KEPT_BYTES
from audience.intake.segment import BATCH_BYTES, CONTEXT_BYTES
from audience.models import Customer, Event, Identity, RejectedEvent, Scope, Source
from audience.sources.keyring import Keyring
from audience.sources.quotas import Quotas
from tests.asgi import Answer, Site, database_url, serve
from tests.makers import make_source
from tests.racing import end_sessions, locked_table, wait_for_blocked
from wire.dispatcher import Dispatcher

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
EVENT: dict[str, Any] = {"event": "X", "userId": "1", "messageId": "m1"}

Send = Callable[..., Answer]


@pytest.fixture
def send(site: Site) -> Send:
    """Post to the site with a good key."""
    _, key = make_source(Scope.EVENTS)

    def post(path: str, content: Any, **options: Any) -> Answer:
        return site.post(path, content, key=key, **options)

    return post


def batch(*messages: Any, **envelope: Any) -> dict[str, Any]:
    return {"batch": list(messages), **envelope}


@pytest.mark.parametrize("type_", PATHS)
@pytest.mark.parametrize("is_short", [False, True])
def test_every_kind_of_message_has_a_long_and_a_short_path(
    send: Send, type_: str, is_short: bool
) -> None:
    path = PATHS[type_] if is_short else f"/v1/{type_}"
    answer = send(
        path,
        {**EVENT, "anonymousId": "a", "previousId": "b", "groupId": "g", "traits": {"age": 5}},
    )
    assert (answer.status, answer.json()) == (200, {"success": True})
    names = {"track": "X", "page": "Page Viewed", "screen": "Screen Viewed"}
    assert [event.name for event in Event.objects.all()] == [names[t] for t in names if t == type_]
    expected = {"identify": {"age": 5}, "group": {"group": {"id": "g", "age": 5}}}
    assert Customer.objects.get().attributes == expected.get(type_, {})
    assert Identity.objects.get().value == ("b" if type_ == "alias" else "a")


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/b"])
def test_a_batch_brings_all_its_messages(send: Send, path: str) -> None:
    answer = send(
        path,
        batch(
            {**EVENT, "type": "track"},
            {"type": "identify", "userId": "1", "traits": {"age": 5}},
            {"type": "page", "anonymousId": "a", "name": "Home"},
        ),
    )
    assert (answer.status, answer.json()) == (200, {"success": True})
    assert Event.objects.count() == 2
    assert Customer.objects.get(external_key="1").attributes == {"age": 5}


def test_an_empty_batch_is_welcome(send: Send) -> None:
    assert send("/v1/batch", batch()).status == 200


@pytest.mark.parametrize(
    "type_",
    ["application/json", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "a/b"],
)
def test_json_is_read_whatever_its_content_type(send: Send, type_: str) -> None:
    assert send("/v1/t", EVENT, headers={"Content-Type": type_}).status == 200


def test_a_gzip_batch_is_unpacked(send: Send) -> None:
    packed = gzip.compress(json.dumps(batch(EVENT)).encode(), mtime=0)
    assert send("/v1/batch", packed, headers={"Content-Encoding": "gzip"}).status == 200
    assert Event.objects.count() == 1


def test_a_beacon_without_headers_carries_its_key(site: Site) -> None:
    _, key = make_source(Scope.EVENTS)
    answer = site.post("/v1/batch", batch(EVENT, writeKey=key))
    assert (answer.status, Event.objects.count()) == (200, 1)


def test_a_retry_an_hour_later_is_the_same_event(send: Send) -> None:
    body = {**EVENT, "timestamp": "2026-02-28T23:50:00Z"}
    with time_machine.travel(datetime(2026, 2, 28, 23, 59, tzinfo=UTC), tick=False):
        send("/v1/batch", batch(body, sentAt="2026-02-28T23:59:00Z"))
    with time_machine.travel(datetime(2026, 3, 1, 0, 59, tzinfo=UTC), tick=False):
        send("/v1/batch", batch(body, sentAt="2026-03-01T00:59:00Z"))
    assert Event.objects.get().occurred_at == datetime(2026, 2, 28, 23, 50, tzinfo=UTC)


def test_a_wrong_clock_is_put_right(send: Send) -> None:
    body = {**EVENT, "timestamp": "1999-01-01T00:00:00Z", "sentAt": "1999-01-01T00:01:00Z"}
    with time_machine.travel(NOW, tick=False):
        send("/v1/track", body)
    assert Event.objects.get().occurred_at == NOW - timedelta(minutes=1)


def test_one_bad_message_does_not_fail_its_batch_and_is_kept(send: Send) -> None:
    answer = send("/v1/batch", batch(EVENT, {"event": "Y"}, 5, {**EVENT, "messageId": "m2"}))
    reason = "One of userId and anonymousId is needed."
    assert (answer.status, answer.json()) == (200, {"success": True})
    assert Event.objects.count() == 2
    assert RejectedEvent.objects.count() == 2
    kept = RejectedEvent.objects.order_by("id").first()
    assert kept is not None
    assert (kept.reason, kept.payload) == (reason, '{"event": "Y"}')
    assert kept.source == Source.objects.get()


def test_a_single_bad_message_is_answered_as_any_other_and_kept(send: Send) -> None:
    answer = send("/v1/track", {"userId": "1"})
    assert (answer.status, answer.json()) == (200, {"success": True})
    kept = RejectedEvent.objects.get()
    assert kept.reason == "A track message needs an event name."
    assert kept.payload == '{"userId": "1"}'


def test_a_single_message_that_is_too_large_is_refused(send: Send) -> None:
    answer = send("/v1/track", {**EVENT, "properties": {"a": "x" * EVENT_BYTES}})
    assert (answer.status, answer.json()["detail"]) == (
        400,
        "The event is larger than 32768 bytes.",
    )


@pytest.mark.parametrize(
    "bad",
    [
        rb'{"userId":"1","event":"a\u0000"}',
        rb'{"userId":"1","event":"a","properties":{"\u0000":1}}',
        b'{"userId":"1","event":"\xff"}',
        b'{"userId":"1","event":"a","properties":{"a":1e999}}',
        b'{"userId":"1","event":"a","properties":' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"userId":"1","event":"a","properties":{"a":' + b"9" * 5000 + b"}}",
        b'{"userId":"1","event":"a","timestamp":"0001-01-01T00:00:00Z","sentAt":"9999-01-01T00:00:00Z"}',
        b'{"userId":"1","event":"a","properties":{"a":"' + b"x" * 40000 + b'"}}',
        b'{"anonymousId":"' + b"a" * 250 + b'","event":"a"}',
    ],
)
def test_a_poisoned_message_harms_nobody_else(send: Send, bad: bytes) -> None:
    answer = send("/v1/batch", b'{"batch":[' + bad + b"," + json.dumps(EVENT).encode() + b"]}")
    assert (answer.status, answer.json()) == (200, {"success": True})
    assert Event.objects.get().name == "X"
    assert len(RejectedEvent.objects.get().payload) <= KEPT_BYTES


@pytest.mark.parametrize(
    "good",
    [
        rb'{"userId":"1","event":"cut \ud83d"}',
        b'{"userId":"1","event":"a","properties":{"a":1e308,"b":-1e-320,"c":' + b"9" * 4000 + b"}}",
        b'{"userId":"1","event":"a","properties":' + b'{"a":' * 98 + b"1" + b"}" * 99,
        '{"userId":"😀","event":"日本"}'.encode(),
        b'{"userId":' + b"9" * 255 + b',"event":"a"}',
        b'{"anonymousId":"' + b"a" * 245 + b'","event":"' + b"e" * 255 + b'"}',
    ],
)
def test_an_odd_but_lawful_message_is_stored(send: Send, good: bytes) -> None:
    assert send("/v1/track", good).status == 200
    assert Event.objects.count() == 1


def test_only_the_first_rejected_messages_of_a_batch_are_kept(send: Send) -> None:
    assert send("/v1/batch", batch(*[{}] * (KEPT_AT_ONCE + 50))).status == 200
    assert RejectedEvent.objects.count() == KEPT_AT_ONCE


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"event=X&userId=1", 400),
        (b'{"batch":[NaN]}', 400),
        (b'{"batch":[' + b"[" * 5000 + b"]" * 5000 + b"]}", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b'{"batch":{}}', 400),
        (b'{"batch":[],"sentAt":"now"}', 400),
        (b'{"batch":[],"writeKey":5}', 400),
        (json.dumps(batch(*[EVENT] * 2501)).encode(), 400),
        (json.dumps(batch("x" * BATCH_BYTES)).encode(), 400),
        (json.dumps(batch(context={"app": "x" * CONTEXT_BYTES})).encode(), 400),
        (json.dumps(batch(context={"app": "\0"})).encode(), 400),
        (json.dumps(batch(context=["app"])).encode(), 400),
        (b'{"batch":["' + b"x" * (2 << 20) + b'"]}', 413),
    ],
)
def test_a_body_that_is_no_batch_is_refused_whole(send: Send, body: bytes, status: int) -> None:
    answer = send("/v1/batch", body)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["detail"].endswith(".")
    assert not RejectedEvent.objects.exists()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (gzip.compress(b" " * (8 << 20), mtime=0), 400),
        (gzip.compress(b"{}", mtime=0)[:-5], 400),
        (b"{}", 400),
    ],
)
def test_a_bad_gzip_body_is_refused(send: Send, body: bytes, status: int) -> None:
    assert send("/v1/batch", body, headers={"Content-Encoding": "gzip"}).status == status


def test_a_full_batch_is_taken(send: Send) -> None:
    events = [{"event": "X", "userId": str(n % 50), "messageId": f"m{n}"} for n in range(2500)]
    assert send("/v1/batch", batch(*events)).status == 200
    assert not RejectedEvent.objects.exists()
    assert Event.objects.count() == 2500


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_a_wrong_method_is_refused(site: Site, method: str) -> None:
    assert site.request(method, "/v1/batch").status == 405


def test_a_preflight_needs_no_key(site: Site) -> None:
    answer = site.request("OPTIONS", "/v1/track", headers={"Origin": "https://shop.example"})
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (204, "*")


def test_the_site_says_that_it_lives(site: Site) -> None:
    assert site.get("/healthz").text == "ok"
    assert site.request("HEAD", "/healthz").status == 200


def test_requests_at_the_same_time_store_each_message_once(site: Site) -> None:
    _, key = make_source(Scope.EVENTS)
    batches = [[{**EVENT, "messageId": f"m{n}-{i}"} for i in range(20)] for n in range(7)]

    async def burst() -> list[Answer]:
        sending = (site.client.post("/v1/b", batch(*b), key=key) for b in batches * 4)
        return await asyncio.gather(*sending)

    assert {answer.status for answer in site.run(burst())} == {200}
    assert Event.objects.count() == 140


def test_a_database_that_breaks_off_asks_to_come_again(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    _, key = make_source(Scope.EVENTS)
    assert site.post("/v1/track", EVENT, key=key).status == 200
    end_sessions()
    broken = site.post("/v1/track", {**EVENT, "messageId": "m2"}, key=key)
    assert (broken.status, broken.headers["retry-after"]) == (503, "1")
    # Each broken connection of the pool is found out by one request.
    retries = (site.post("/v1/track", {**EVENT, "messageId": "m2"}, key=key) for _ in range(8))
    assert any(answer.status == 200 for answer in retries)
    assert Event.objects.count() == 2
    assert "waits for the database" in caplog.text


@pytest.fixture
def small_site(transactional_db: None) -> Iterator[Site]:
    """The tracking API on a pool of one connection, for which nobody waits long."""
    pool = AsyncConnectionPool(
        database_url(), min_size=0, max_size=1, timeout=0.1, max_waiting=1, open=False
    )
    notices = redis.asyncio.Redis.from_url(settings.REDIS_URL)
    intake = Intake(
        pool,
        Keyring(pool, notices),
        quotas=Quotas(notices, clock=lambda: NOW),
        clock=lambda: NOW,
    )

    async def nowhere(*args: Any) -> None:
        raise AssertionError("everything has a route")

    with serve(
        Dispatcher(intake.routes(), fallback=nowhere, resources=[pool, aclosing(notices)])
    ) as site:
        yield site


def test_a_busy_database_asks_to_come_again(small_site: Site) -> None:
    _, key = make_source(Scope.EVENTS)
    assert small_site.post("/v1/track", EVENT, key=key).status == 200

    with locked_table("audience_receivedmessage"):
        first = small_site.run(start(crowd_of(small_site, key, size=1)))
        small_site.run(asyncio.sleep(0.05))
        wait_for_blocked()
        others = small_site.run(crowd_of(small_site, key, size=4))
    assert [answer.status for answer in small_site.run(finish(first))] == [200]
    assert [answer.status for answer in others] == [503] * 4
    assert all(answer.headers["retry-after"] == "1" for answer in others)


async def crowd_of(site: Site, key: str, *, size: int) -> list[Answer]:
    posting = (site.client.post("/v1/track", EVENT, key=key) for _ in range(size))
    return await asyncio.gather(*posting)


async def start(story: Any) -> "asyncio.Task[list[Answer]]":
    return asyncio.create_task(story)


async def finish(task: "asyncio.Task[list[Answer]]") -> list[Answer]:
    return await task


@pytest.mark.parametrize(
    ("path", "wrap"),
    [("/v1/track", lambda event: event), ("/v1/batch", lambda event: {"batch": [event]})],
    ids=["alone", "in a batch"],
)
def test_a_key_sent_inside_a_rejected_event_is_not_stored(
    site: Site, path: str, wrap: Callable[[Any], Any]
) -> None:
    _, key = make_source(Scope.EVENTS)
    site.post(path, wrap({"type": "track", "userId": "ann", "writeKey": key}), key=key)
    assert key not in RejectedEvent.objects.get().payload


def test_a_page_that_loads_its_settings_here_sends_here(
    small_site: Site,
) -> None:
    _, key = make_source(Scope.EVENTS)
    answer = small_site.get(f"/v1/projects/{key}/settings", headers={"Host": "shop.example:8000"})
    assert (answer.status, answer.headers["cache-control"]) == (200, "public, max-age=300")
    assert answer.headers["access-control-allow-origin"] == "*"
    settings = answer.json()["integrations"]["Segment.io"]
    assert (settings["apiKey"], settings["apiHost"]) == (key, "shop.example:8000/v1")


def test_settings_are_for_keys_that_may_send(small_site: Site) -> None:
    _, reader = make_source(Scope.FLAGS)
    assert small_site.get("/v1/projects/nobody/settings").status == 404
    assert small_site.get(f"/v1/projects/{reader}/settings").status == 403


def test_a_batch_says_for_its_messages_where_they_happened(send: Send) -> None:
    context = {"locale": "en", "campaign": {"name": "spring"}, "ip": "1.2.3.4"}
    own = {**EVENT, "messageId": "m2", "context": {"locale": "de"}}
    send("/v1/batch", batch(EVENT, own, context=context, integrations={"All": True}))
    found = {event.message_id: event.properties for event in Event.objects.all()}
    assert found == {
        "m1": {"context": {"locale": "en", "campaign": {"name": "spring"}}},
        "m2": {"context": {"locale": "de", "campaign": {"name": "spring"}}},
    }


def test_a_sender_that_asks_too_often_is_asked_to_come_again(send: Send) -> None:
    Source.objects.update(requests_per_second=1)
    answers = [send("/v1/track", {**EVENT, "messageId": f"m{n}"}) for n in range(12)]
    refused = [answer for answer in answers if answer.status == 429]
    assert refused
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert Event.objects.count() == len(answers) - len(refused)


def test_a_sender_over_its_days_quota_is_refused_whole(small_site: Site) -> None:
    source, key = make_source(Scope.EVENTS)
    Source.objects.filter(pk=source.pk).update(events_per_day=2)
    events = [{**EVENT, "messageId": f"m{n}"} for n in range(3)]
    assert small_site.post("/v1/batch", batch(*events), key=key).status == 200
    refused = small_site.post("/v1/track", {**EVENT, "messageId": "m3"}, key=key)
    assert (refused.status, Event.objects.count()) == (429, 3)
    # From noon to midnight.
    assert refused.headers["retry-after"] == "43200"
