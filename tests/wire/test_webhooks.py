"""Webhooks are signed as receivers expect, and go nowhere but to the public internet."""

import json
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from experiments.models.people import make_secret
from tests.receiver import listen
from wire.webhooks import Failed, Forbidden, is_public, post, resolve, sign

BODY = json.dumps({"type": "experiment.verdict", "data": {"name": "Prämie"}}).encode()


def test_the_reference_library_accepts_our_signature_and_no_other() -> None:
    secret = make_secret()
    headers = dict(sign(secret, "msg_1", datetime.now(UTC), BODY))
    assert Webhook(secret).verify(BODY.decode(), headers) == json.loads(BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY.decode() + " ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(make_secret()).verify(BODY.decode(), headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY.decode(), {**headers, "webhook-id": "msg_2"})


def test_a_message_arrives_as_it_was_signed() -> None:
    secret = make_secret()
    headers = sign(secret, "msg_1", datetime.now(UTC), BODY)
    with listen() as receiver:
        post(receiver.url, BODY, headers, may_be_private=True)
        ((came, body),) = receiver.received
    assert body == BODY
    assert came["content-type"] == "application/json"
    Webhook(secret).verify(body.decode(), came)


@pytest.mark.parametrize(("status", "is_gone"), [(500, False), (302, False), (410, True)])
def test_what_is_not_taken_has_failed_and_no_redirect_is_followed(
    status: int, is_gone: bool
) -> None:
    with listen() as receiver:
        receiver.statuses, receiver.location = [status], receiver.url
        with pytest.raises(Failed, match=str(status)) as caught:
            post(receiver.url, BODY, {}, may_be_private=True)
        assert caught.value.is_gone is is_gone
        assert len(receiver.received) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://user:secret@example.com/",
        "https://user@example.com/",
        "https:///path",
        "https://example.com:99999/",
        "https://exa mple.com/",
        "https://example.com/\r\nHost: evil",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "ftp://example.com/",
        "",
        "https://[::1",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://0.0.0.0/",
        "https://10.0.0.1/",
        "https://172.16.5.4/",
        "https://192.168.1.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://100.64.0.1/",
        "https://192.0.0.1/",
        "https://198.18.0.1/",
        "https://224.0.0.1/",
        "https://255.255.255.255/",
        "https://[::]/",
        "https://[::1]/",
        "https://[fe80::1]/",
        "https://[fc00::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://localhost/",
        "https://localhost:6379/",
        "https://[ff02::1]/",
    ],
)
def test_nothing_is_sent_inwards(url: str) -> None:
    with pytest.raises(Forbidden):
        post(url, BODY, {})


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "64:ff9b::808:808"])
def test_the_public_internet_may_be_sent_to(address: str) -> None:
    assert is_public(address)
    assert resolve(address, 443) == address


def test_a_name_that_nobody_has_fails_and_may_be_tried_again() -> None:
    with pytest.raises(Failed, match="cannot be looked up"):
        resolve("no-such-host.invalid", 443)


def test_nobody_listening_is_a_failure() -> None:
    with pytest.raises(Failed, match="Refused"):
        post("http://127.0.0.1:9/", BODY, {}, may_be_private=True)
