"""Reads what mail servers write back: what could not be delivered, and what somebody complained of.

A delivery status (RFC 3464) and a feedback report (RFC 5965) are both a `multipart/report`: a part
for people, a part of fields for machines, and the mail that it is about, or its header.
"""

import email
import email.policy
from collections.abc import Iterator
from email.message import EmailMessage

from campaigns.sending.bouncing import Told

COMPLAINTS = {"abuse", "fraud", "opt-out", "opt-out-list"}


class NoReport(ValueError):
    """A mail that tells nothing of another one."""


def read_report(raw: bytes) -> Told:
    """Return what a mail tells of one that was sent.

    Raises:
        NoReport: It is no report, the report tells no failure, or not of which mail.
    """
    report = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(report, EmailMessage), "the default policy makes these"
    parts = list(_parts(report))
    message_id = next((id_ for part in parts if (id_ := _message_id(part))), "")
    if not message_id:
        raise NoReport("It does not say which mail it is about.")
    fields = dict(pair for part in parts for pair in _fields(part))
    if fields.get("feedback-type", "").lower() in COMPLAINTS:
        return Told(message_id, _address(fields.get("original-rcpt-to", "")), is_complaint=True)
    if fields.get("action", "").lower() != "failed":
        raise NoReport("It tells neither of a failure nor of a complaint.")
    status = fields.get("status", "")
    return Told(
        message_id,
        _address(fields.get("original-recipient") or fields.get("final-recipient", "")),
        # 4.x.x may work later, and 5.2.2 is a mailbox that is full.
        is_final=status.startswith("5") and not status.startswith("5.2.2"),
        words=f"{status} {fields.get('diagnostic-code', '')}".strip()[:200],
    )


def _parts(report: EmailMessage) -> Iterator[EmailMessage]:
    """Walk through the parts after the first, which is for people."""
    if report.get_content_type() != "multipart/report":
        return
    for part in list(report.iter_parts())[1:]:
        yield from (each for each in part.walk() if isinstance(each, EmailMessage))


def _message_id(part: EmailMessage) -> str:
    """Return the id of the mail that is reported, from it or from its header alone."""
    if part.get_content_type() == "text/rfc822-headers":
        header = email.message_from_string(str(part.get_content()), policy=email.policy.default)
        return str(header.get("Message-ID", "")).strip()
    return str(part.get("Message-ID", "")).strip()


def _fields(part: EmailMessage) -> Iterator[tuple[str, str]]:
    """Return the fields for machines; those of a recipient are a message of their own."""
    if "Action" in part or "Feedback-Type" in part:
        yield from ((name.lower(), str(value).strip()) for name, value in part.items())


def _address(field: str) -> str:
    """Return the address of `rfc822; ann@example.com`."""
    return field.rpartition(";")[2].strip().strip("<>")
