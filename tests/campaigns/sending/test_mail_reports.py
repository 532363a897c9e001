"""A mail server of one's own tells of bounces and complaints by mail."""

import io
import os
from contextlib import suppress

import pytest
from django.core.management import call_command
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from audience.models import Suppression, SuppressionReason
from campaigns.sending.mail_reports import NoReport, read_report
from tests.campaigns.mailed import Sink, make_mailed, make_readers
from tests.campaigns.sending.test_sending import make_sure_it_is_sent, send

FRAME = """\
From: MAILER-DAEMON@mx.example
To: news@shop.example
Subject: about your mail
MIME-Version: 1.0
Content-Type: multipart/report; report-type={kind}; boundary="B"

--B
Content-Type: text/plain

For people.
--B
Content-Type: message/{kind}

{fields}
--B
Content-Type: {mail}

Message-ID: {message_id}
Subject: Hi

--B--
"""


def bounce(message_id: str, *, status: str = "5.1.1", action: str = "failed", **how: str) -> bytes:
    fields = (
        "Reporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822; ann@example.com\n"
        f"Action: {action}\nStatus: {status}\nDiagnostic-Code: smtp; 550 no such user\n"
    )
    values = {"kind": "delivery-status", "mail": "text/rfc822-headers", "fields": fields, **how}
    return FRAME.format(message_id=message_id, **values).encode()


def complaint(message_id: str, *, kind: str = "abuse") -> bytes:
    fields = f"Feedback-Type: {kind}\nVersion: 1\nOriginal-Rcpt-To: <ann@example.com>\n"
    return FRAME.format(
        message_id=message_id, kind="feedback-report", mail="message/rfc822", fields=fields
    ).encode()


@pytest.mark.parametrize("mail", ["text/rfc822-headers", "message/rfc822"])
@pytest.mark.parametrize(
    ("status", "is_final"), [("5.1.1", True), ("5.2.2", False), ("4.4.7", False), ("", False)]
)
def test_a_bounce_says_of_which_mail_and_whether_for_good(
    mail: str, status: str, is_final: bool
) -> None:
    told = read_report(bounce("<1@shop>", status=status, mail=mail))
    assert (told.message_id, told.address) == ("<1@shop>", "ann@example.com")
    assert (told.is_final, told.is_complaint) == (is_final, False)
    assert told.words.endswith("550 no such user")


def test_a_complaint_is_read() -> None:
    told = read_report(complaint("<1@shop>"))
    assert (told.message_id, told.address) == ("<1@shop>", "ann@example.com")
    assert told.is_complaint


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"Subject: Out of office\n\nBack on Monday.",
        bounce("<1@shop>", action="delayed"),
        bounce("<1@shop>", action="delivered"),
        bounce(""),
        complaint("<1@shop>", kind="not-spam"),
    ],
)
def test_what_tells_no_failure_is_no_report(raw: bytes) -> None:
    with pytest.raises(NoReport):
        read_report(raw)


@given(st.binary(max_size=300), st.binary(max_size=60))
def test_garbage_is_no_report_and_breaks_nothing(raw: bytes, inside: bytes) -> None:
    for mail in (raw, bounce("<1@shop>").replace(b"5.1.1", inside)):
        with suppress(NoReport):
            read_report(mail)


def take(raw: bytes, monkeypatch: pytest.MonkeyPatch) -> str:
    said = io.StringIO()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw)))
    call_command("take_mail_report", stdout=said, stderr=said)
    return said.getvalue()


@pytest.mark.usefixtures("transactional_db")
def test_a_mail_of_ours_silences_its_address(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    (reader,) = make_readers(1)
    campaign = make_mailed()
    make_sure_it_is_sent(campaign, reader)
    send()
    (mail,) = sink.mails
    assert "none of ours" in take(bounce("<other@shop>"), monkeypatch)
    assert "Left out" in take(b"Subject: Hello\n\nDear all", monkeypatch)
    assert not Suppression.objects.exists()
    assert "Took a bounce" in take(bounce(mail["Message-ID"]), monkeypatch)
    delivery = campaign.deliveries.get()
    assert (delivery.state, delivery.reason[:5]) == ("bounced", "5.1.1")
    assert Suppression.objects.get().reason == SuppressionReason.BOUNCE


@pytest.mark.usefixtures("transactional_db")
def test_without_the_database_the_mail_server_comes_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection.close()
    with monkeypatch.context() as away:
        away.setitem(connection.settings_dict, "HOST", "/nowhere")
        with pytest.raises(SystemExit) as stopped:
            take(bounce("<1@shop>"), away)
    assert stopped.value.code == os.EX_TEMPFAIL
