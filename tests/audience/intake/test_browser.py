from typing import Any

import pytest

from audience.intake.browser import settings_document
from wire.messages import Problem, Request


def segment_io(**headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request("GET", "/v1/projects/k/settings", named, b"")
    return settings_document(request, "k")["integrations"]["Segment.io"]


@pytest.mark.parametrize(
    "host",
    ["shop.example", "shop.example:8000", "localhost:80", "10.0.0.1", "[::1]", "[2001:db8::1]:443"],
)
def test_a_page_sends_to_the_host_that_it_asked(host: str) -> None:
    assert segment_io(host=host)["apiHost"] == f"{host}/v1"
    assert segment_io(host=host)["apiKey"] == "k"


@pytest.mark.parametrize(
    "host", ["", "evil.example/x", "a b", "evil.example?", "user@evil.example", "a:b", "[::1", "é"]
)
def test_what_is_no_host_is_not_repeated(host: str) -> None:
    with pytest.raises(Problem, match="is no host") as caught:
        segment_io(host=host)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("said", "protocol"),
    [("https", "https"), ("HTTPS , http", "https"), ("http", "http"), ("ftp", "http")],
)
def test_a_page_sends_by_the_scheme_that_a_proxy_was_asked_by(said: str, protocol: str) -> None:
    assert segment_io(host="shop.example", x_forwarded_proto=said)["protocol"] == protocol


def test_without_a_proxy_a_page_sends_by_plain_http() -> None:
    assert segment_io(host="localhost:8000")["protocol"] == "http"
