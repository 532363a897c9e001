"""Webhooks are signed, and never sent inwards."""

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from campaigns.channels import CHANNELS
from campaigns.channels.base import Draft, Outgoing, Recipient, Refused, Sender, Unsure
from campaigns.channels.webhook import make_secret
from campaigns.templating.checks import BadTemplate
from tests.receiver import Receiver, listen

SENDER = Sender("spring", "marketing", "https://lab.example", "Shop <shop@shop.example>", "a key")
CHANNEL = CHANNELS["webhook"]
BODY = '{"who": "{{ customer.key | default("") }}", "offer": "{{ offer.key }}"}'
# Addresses of this machine, of its network, of clouds' metadata, and ways to hide them.
INWARDS = [
    "https://127.0.0.1/",
    "https://127.1/",
    "https://127.0.0.1:6379/",
    "https://2130706433/",
    "https://017700000001/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://0/",
    "https://0.0.0.0/",
    "https://localhost/",
    "https://localhost./",
    "https://LOCALHOST/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[64:ff9b::127.0.0.1]/",
    "https://[2002:7f00:0001::]/",
    "https://[fe80::1]/",
    "https://[fd00::1]/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[::ffff:169.254.169.254]/",
    "https://[fd00:ec2::254]/",
    "https://100.100.100.200/",
    "https://192.168.0.1/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://user:secret@127.0.0.1/",
    "https://example.com@127.0.0.1/",
    "https://127.0.0.1#@example.com/",
    "https://127.0.0.1\\@example.com/",
    "https://①②⑦.⓪.⓪.①/",
    "http://example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_x",
    "dict://127.0.0.1:11211/",
    "javascript:alert(1)",
    "https://",
    "https:///path",
    "https://exa mple.com/",
    "https://example.com:99999/",
    "//127.0.0.1/",
]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listen() as receiver:
        yield receiver


def write(url: str, body: str = BODY) -> Outgoing:
    form = CHANNEL.prepare(Draft(url, "", body), SENDER)
    data = {"customer": {"key": 'a"b'}, "offer": {"key": "o1"}}
    return form.write(Recipient(7, "c", data, "https://lab.example/u/x"), now=now())


def now() -> datetime:
    return datetime.now(UTC)


def send(outgoing: Outgoing) -> None:
    with CHANNEL.open() as line:
        line.send(outgoing, now=now())


def test_the_list_is_long_enough() -> None:
    assert len(set(INWARDS)) >= 30


@pytest.mark.parametrize("url", INWARDS)
def test_nothing_is_sent_inwards(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reached: list[Any] = []

    def connect(address: Any, *_: Any, **__: Any) -> None:
        reached.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises((Refused, Unsure)):
        send(write(url))
    assert reached == []


def test_a_name_that_leads_inwards_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one that always does, nor one that does the second time it is asked for."""
    answers = [["93.184.216.34"], ["127.0.0.1"]]
    reached: list[Any] = []

    def look_up(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        found = answers.pop(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    def connect(address: Any, *_: Any, **__: Any) -> None:
        reached.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(Refused):
        send(write("https://rebinding.example/"))
    # Connected to is what was checked, and the name is not asked for again.
    assert reached == [("93.184.216.34", 443)]
    answers[:] = [["93.184.216.34", "127.0.0.1"]]
    with pytest.raises(Refused, match="not on the public internet"):
        send(write("https://both.example/"))
    assert len(reached) == 1


def test_a_redirect_is_not_followed(receiver: Receiver, settings: Any) -> None:
    settings.WEBHOOKS_MAY_BE_PRIVATE = True
    receiver.statuses = [302]
    receiver.location = "http://127.0.0.1:1/"
    with pytest.raises(Refused) as refused:
        send(write(receiver.url))
    assert "302" in str(refused.value)
    assert len(receiver.received) == 1


def test_the_receiver_can_verify_it(receiver: Receiver, settings: Any) -> None:
    settings.WEBHOOKS_MAY_BE_PRIVATE = True
    send(write(receiver.url))
    ((headers, body),) = receiver.received
    secret = make_secret(SENDER.key, campaign="spring")
    document = Webhook(secret).verify(body, headers)
    assert document == {"who": 'a"b', "offer": "o1"}
    assert headers["webhook-id"] == "msg_spring_7"
    other = make_secret(SENDER.key, campaign="autumn")
    assert other != secret


@pytest.mark.parametrize(
    ("status", "permanent"), [(400, True), (410, True), (429, False), (500, False), (503, False)]
)
def test_what_is_answered_says_whether_to_try_again(
    receiver: Receiver, settings: Any, status: int, permanent: bool
) -> None:
    settings.WEBHOOKS_MAY_BE_PRIVATE = True
    receiver.statuses = [status]
    with pytest.raises(Refused) as refused:
        send(write(receiver.url))
    assert refused.value.permanent is permanent


def test_nobody_listening_is_no_doubt(settings: Any) -> None:
    settings.WEBHOOKS_MAY_BE_PRIVATE = True
    with pytest.raises(Refused) as refused:
        send(write("http://127.0.0.1:1/"))
    assert not refused.value.permanent


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("https://hooks.example/", "{"),
        ("https://hooks.example/", "{{ offer.key }}"),
        ("https://hooks.example/", '{"a": {{ customer.key | default("") }}}'),
        ("http://hooks.example/", "{}"),
        ("", "{}"),
    ],
)
def test_a_webhook_that_cannot_be_sent_is_refused_when_it_is_saved(url: str, body: str) -> None:
    with pytest.raises(BadTemplate):
        CHANNEL.check(Draft(url, "", body))


def test_a_body_is_json_for_whoever_it_is_written() -> None:
    assert json.loads(write("https://hooks.example/").content) == {"who": 'a"b', "offer": "o1"}
