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
from django.db import connection
from psycopg_pool import AsyncConnectionPool

from audience.api import KEPT_BYTES, KEPT_REJECTED, PATHS, Intake
from audience.keyring import Keyring
from audience.models import Customer, Event, Identity, RejectedEvent, Scope, Source
from tests.asgi import Answer, Site, database_url, serve
from tests.makers import make_source
from tests.racing import locked_table, wait_for_blocked
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
    answer = send(path, {**EVENT, "anonymousId": "a", "previousId": "b", "traits": {"age": 5}})
    assert (answer.status, answer.json()) == (200, {"success": True})
    names = {"track": "X", "page": "Page Viewed", "screen": "Screen Viewed"}
    assert [event.name for event in Event.objects.all()] == [names[t] for t in names if t == type_]
    expected = {"age": 5} if type_ == "identify" else {}
    assert Customer.objects.get().attributes == expected
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
    assert answer.json() == {"success": True, "rejected": []}
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
    assert (answer.status, answer.json()["success"]) == (200, True)
    assert answer.json()["rejected"][0] == {"index": 1, "reason": reason}
    assert answer.json()["rejected"][1]["index"] == 2
    assert Event.objects.count() == 2
    kept = RejectedEvent.objects.order_by("id").first()
    assert kept is not None
    assert (kept.reason, kept.payload) == (reason, '{"event": "Y"}')
    assert kept.source == Source.objects.get()


def test_a_single_bad_message_is_refused_and_kept(send: Send) -> None:
    answer = send("/v1/track", {"userId": "1"})
    assert (answer.status, answer.json()["detail"]) == (400, "A track message needs an event name.")
    assert RejectedEvent.objects.get().payload == '{"userId": "1"}'


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
    assert (answer.status, len(answer.json()["rejected"])) == (200, 1)
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
    answer = send("/v1/batch", batch(*[{}] * (KEPT_REJECTED + 50)))
    assert len(answer.json()["rejected"]) == KEPT_REJECTED + 50
    assert RejectedEvent.objects.count() == KEPT_REJECTED


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"event=X&userId=1", 400),
        (b'{"batch":[NaN]}', 400),
        (b'{"batch":[' + b"[" * 5000 + b"]" * 5000 + b"]}", 400),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"batch":{}}', 422),
        (b'{"batch":[],"sentAt":"now"}', 422),
        (b'{"batch":[],"writeKey":5}', 422),
        (json.dumps(batch(*[EVENT] * 2501)).encode(), 422),
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
        (gzip.compress(b" " * (8 << 20), mtime=0), 413),
        (gzip.compress(b"{}", mtime=0)[:-5], 400),
        (b"{}", 400),
    ],
)
def test_a_bad_gzip_body_is_refused(send: Send, body: bytes, status: int) -> None:
    assert send("/v1/batch", body, headers={"Content-Encoding": "gzip"}).status == status


def test_a_full_batch_is_taken(send: Send) -> None:
    events = [{"event": "X", "userId": str(n % 50), "messageId": f"m{n}"} for n in range(2500)]
    assert send("/v1/batch", batch(*events)).json()["rejected"] == []
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
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
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
    intake = Intake(pool, Keyring(pool, notices), clock=lambda: NOW)

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
        waiting = small_site.run(start(crowd_of(small_site, key)))
        small_site.run(asyncio.sleep(0.4))
        wait_for_blocked()
    answers = small_site.run(finish(waiting))
    assert sorted(answer.status for answer in answers) == [200, 503, 503, 503, 503]
    assert all(a.headers["retry-after"] == "1" for a in answers if a.status == 503)


async def crowd_of(site: Site, key: str) -> list[Answer]:
    return await asyncio.gather(*(site.client.post("/v1/track", EVENT, key=key) for _ in range(5)))


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
