import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import psycopg
import pytest

from tests.asgi import Client, Message, Site, running, serve
from wire.bodies import LIMIT_BYTES
from wire.dispatcher import Dispatcher, Receive, Scope, Send
from wire.messages import Problem, Request, Response, Stream, answer
from wire.routes import Routes


async def echo(request: Request) -> Response:
    return answer({"method": request.method, "size": len(request.body), **request.headers})


async def hello(request: Request) -> Response:
    return Response(200, b"hello", content_type="text/plain", headers={"x-own": "1"})


async def refuse(request: Request) -> Response:
    raise Problem(409, "No.", headers={"x-why": "because"})


async def fail(request: Request) -> Response:
    raise ZeroDivisionError


async def lose_the_database(request: Request) -> Response:
    raise psycopg.OperationalError("the connection is lost")


async def behind(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": scope["type"].encode()})


async def greet(request: Request) -> Response:
    return answer({"name": request.params["name"], **request.query})


async def count(request: Request) -> Stream:
    async def numbers() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d\n" % number

    return Stream(numbers(), content_type="text/plain")


ROUTES: Routes = {
    ("POST", "/echo"): echo,
    ("GET", "/greet/{name}"): greet,
    ("GET", "/greet/{name}/twice"): greet,
    ("GET", "/count"): count,
    ("GET", "/hello"): hello,
    ("POST", "/refuse"): refuse,
    ("GET", "/fail"): fail,
    ("GET", "/lost"): lose_the_database,
}


@pytest.fixture
def site() -> Iterator[Site]:
    with serve(Dispatcher(ROUTES, fallback=behind)) as site:
        yield site


def test_a_request_reaches_its_handler_with_its_whole_body(site: Site) -> None:
    answer = site.request("POST", "/echo", b"ab", b"", b"cde", headers={"X-Thing": "1"})
    assert (answer.status, answer.json()["size"], answer.json()["x-thing"]) == (200, 5, "1")


def test_a_query_string_changes_no_route(site: Site) -> None:
    assert site.get("/hello?a=b").text == "hello"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/greet/ada", {"name": "ada"}),
        ("/greet/ada%20l/twice?n=2&empty=", {"name": "ada l", "n": "2", "empty": ""}),
    ],
)
def test_a_template_stands_for_one_segment(site: Site, path: str, said: dict[str, str]) -> None:
    assert site.get(path).json() == said


@pytest.mark.parametrize("path", ["/greet/", "/greet/a/b", "/greet/a/b/twice", "/greet"])
def test_a_template_stands_for_nothing_else(site: Site, path: str) -> None:
    assert site.get(path).status == 418


def test_a_stream_is_sent_as_it_comes(site: Site) -> None:
    answer = site.get("/count")
    assert (answer.status, answer.text) == (200, "0\n1\n2\n")
    assert answer.headers["x-accel-buffering"] == "no"
    assert site.request("HEAD", "/count").body == b""


def test_a_stream_ends_when_its_reader_leaves() -> None:
    ended: list[str] = []

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"more"
                await asyncio.sleep(0.001)
        finally:
            ended.append("closed")

    async def stream(request: Request) -> Stream:
        return Stream(endless())

    async def story() -> None:
        asked = iter([{"type": "http.request", "body": b""}])

        async def receive() -> Message:
            for message in asked:
                return message
            await asyncio.sleep(0.01)
            return {"type": "http.disconnect"}

        async def forget(message: Message) -> None:
            pass

        scope = {"type": "http", "path": "/s", "method": "GET", "headers": []}
        await Dispatcher({("GET", "/s"): stream}, fallback=behind)(scope, receive, forget)

    asyncio.run(asyncio.wait_for(story(), 5))
    assert ended == ["closed"]


@pytest.mark.parametrize(
    ("given", "is_kept"), [("abc-1.2:3", True), ("a b", False), ("x" * 101, False), ("", False)]
)
def test_an_answer_carries_the_id_of_its_request(site: Site, given: str, is_kept: bool) -> None:
    found = site.get("/hello", headers={"X-Request-Id": given}).headers["x-request-id"]
    assert (found == given) is is_kept
    assert found


def test_every_answer_is_observed_by_its_template() -> None:
    seen: list[tuple[str, str, int]] = []
    dispatcher = Dispatcher(
        ROUTES,
        fallback=behind,
        observe=lambda template, method, status, seconds: seen.append((template, method, status)),
    )
    with serve(dispatcher) as site:
        site.get("/greet/ada")
        site.get("/fail")
        site.get("/count")
        site.request("POST", "/echo", b"x" * (LIMIT_BYTES + 1))
    assert seen == [
        ("/greet/{name}", "GET", 200),
        ("/fail", "GET", 500),
        ("/count", "GET", 200),
        ("/echo", "POST", 413),
    ]


def test_other_paths_go_on_to_the_application_behind(site: Site) -> None:
    assert site.get("/elsewhere").status == 418


def test_other_protocols_go_on_to_the_application_behind() -> None:
    sent: list[Any] = []

    async def keep(message: Message) -> None:
        sent.append(message)

    application = Dispatcher(ROUTES, fallback=behind)
    asyncio.run(application({"type": "websocket", "path": "/echo"}, asyncio.Queue().get, keep))
    assert sent[1]["body"] == b"websocket"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/echo", "OPTIONS, POST"),
        ("HEAD", "/echo", "OPTIONS, POST"),
        ("PUT", "/hello", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(
    site: Site, method: str, path: str, allowed: str
) -> None:
    answer = site.request(method, path)
    assert (answer.status, answer.headers["allow"]) == (405, allowed)


def test_head_is_answered_like_get_without_the_body(site: Site) -> None:
    got, head = site.get("/hello"), site.request("HEAD", "/hello")
    assert {**head.headers, "x-request-id": ""} == {**got.headers, "x-request-id": ""}
    assert (head.status, head.body, got.headers["content-length"]) == (200, b"", "5")


def test_a_preflight_lets_any_page_call(site: Site) -> None:
    answer = site.request(
        "OPTIONS", "/echo", headers={"Origin": "https://a", "Access-Control-Request-Method": "POST"}
    )
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "authorization" in answer.headers["access-control-allow-headers"]
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "content-length" not in answer.headers


@pytest.mark.parametrize("path", ["/echo", "/refuse", "/fail", "/lost"])
def test_every_answer_may_be_read_by_any_page_and_cached_by_none(site: Site, path: str) -> None:
    answer = site.post(path, b"")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cache-control"] == "no-store"


def test_a_problem_becomes_its_answer(site: Site) -> None:
    answer = site.post("/refuse", b"")
    assert (answer.status, answer.json()["detail"]) == (409, "No.")
    assert (answer.headers["x-why"], answer.headers["content-type"]) == (
        "because",
        "application/problem+json",
    )


def test_a_bug_is_logged_and_answered_without_its_details(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    answer = site.get("/fail")
    assert (answer.status, "ZeroDivision" in answer.text) == (500, False)
    assert "ZeroDivisionError" in caplog.text


def test_a_lost_database_asks_the_client_to_come_again(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    answer = site.get("/lost")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert "connection is lost" not in answer.text
    assert "connection is lost" in caplog.text


def test_a_body_over_the_limit_is_refused(site: Site) -> None:
    assert site.post("/echo", b"x" * LIMIT_BYTES).status == 200
    assert site.request("POST", "/echo", b"x" * LIMIT_BYTES, b"x").status == 413


def test_a_body_over_the_limit_is_not_read_to_its_end() -> None:
    taken = 0

    async def receive() -> Message:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": b"x" * 65536, "more_body": True}

    async def forget(message: Message) -> None:
        pass

    scope = {"type": "http", "path": "/echo", "method": "POST", "headers": []}
    asyncio.run(Dispatcher(ROUTES, fallback=behind)(scope, receive, forget))
    assert taken == LIMIT_BYTES // 65536 + 1


def test_nobody_is_answered_who_left_before_the_end(caplog: pytest.LogCaptureFixture) -> None:
    sent: list[Any] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def keep(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/echo", "method": "POST", "headers": []}
    asyncio.run(Dispatcher(ROUTES, fallback=behind)(scope, receive, keep))
    assert sent == []
    assert caplog.text == ""


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    @asynccontextmanager
    async def resource(self, name: str, *, breaks: bool = False) -> AsyncIterator[None]:
        if breaks:
            raise OSError(f"{name} is missing")
        self.lines.append(f"open {name}")
        yield
        self.lines.append(f"close {name}")


def live(resources: list[AbstractAsyncContextManager[None]]) -> None:
    async def story() -> Client:
        async with running(Dispatcher({}, fallback=behind, resources=resources)) as client:
            return client

    asyncio.run(story())


def test_resources_are_left_in_reverse_order() -> None:
    log = Log()
    live([log.resource("a"), log.resource("b")])
    assert log.lines == ["open a", "open b", "close b", "close a"]


def test_a_failed_start_leaves_what_it_had_entered_and_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = Log()
    with caplog.at_level(logging.ERROR), pytest.raises(RuntimeError, match="b is missing"):
        live([log.resource("a"), log.resource("b", breaks=True)])
    assert log.lines == ["open a", "close a"]
    assert "could not start" in caplog.text
