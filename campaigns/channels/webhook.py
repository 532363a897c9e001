"""Webhooks: JSON with placeholders, signed per Standard Webhooks, to one address on the internet.

The address stands where a mail has its subject. Each campaign has a secret of its own, made of the
site's.
"""

import base64
import hashlib
import hmac
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.conf import settings

from campaigns.channels.base import Draft, Line, Outgoing, Recipient, Refused, Sender, Unsure
from campaigns.templating.checks import BadTemplate
from campaigns.templating.templates import Kind, Unrenderable, compile_template, to_plain
from wire.webhooks import PREFIX, Failed, Forbidden, post, read_url, sign

# What breaks off before anything of a message left.
NEVER_SENT = (ConnectionRefusedError, socket.gaierror, UnicodeError, ssl.SSLCertVerificationError)
SAMPLE: Mapping[str, Any] = to_plain(
    {
        "customer": {},
        "offer": {"key": "o", "name": "O", "headline": "", "text": "", "link": "", "image": ""},
        "campaign": {"key": "c", "name": "C"},
        "message": {"language": "", "unsubscribe_url": "", "date": ""},
    }
)


class WebhookChannel:
    """Writes and posts JSON."""

    name = "Webhook"

    def check(self, draft: Draft) -> str:
        """See that the address is one and that the body is JSON, whoever it is for."""
        try:
            read_url(draft.subject, may_be_private=settings.WEBHOOKS_MAY_BE_PRIVATE)
        except Forbidden as error:
            raise BadTemplate(str(error)) from error
        try:
            compile_template(draft.body, kind=Kind.JSON).render(SAMPLE)
        except Unrenderable as error:
            raise BadTemplate(str(error)) from error
        return ""

    def prepare(self, draft: Draft, sender: Sender) -> "WebhookForm":
        """Compile the body."""
        return WebhookForm(draft, sender)

    @contextmanager
    def open(self) -> Iterator[Line]:
        """Every message has a connection of its own."""
        yield WebhookLine()

    def address_of(self, attributes: Mapping[str, Any], identities: Mapping[str, str]) -> str:
        """Return the customer's key, by which the receiving side knows whom it is about."""
        return identities.get("key", "")


class WebhookForm:
    """A webhook's compiled body."""

    def __init__(self, draft: Draft, sender: Sender) -> None:
        """Compile it once."""
        self._url = draft.subject
        self._body = compile_template(draft.body, kind=Kind.JSON)
        self._secret = make_secret(sender.key, campaign=sender.campaign)
        self._campaign = sender.campaign

    def write(self, recipient: Recipient, *, now: datetime) -> Outgoing:
        """Write the body for somebody."""
        message = {"unsubscribe_url": recipient.unsubscribe_url, "date": f"{now:%Y-%m-%d}"}
        data = {**recipient.data, "message": {**recipient.data.get("message", {}), **message}}
        message_id = f"msg_{self._campaign}_{recipient.delivery_id}"
        if recipient.is_test:
            message_id = f"msg_{self._campaign}_test_{now.timestamp():.6f}"
        return Outgoing(
            delivery_id=recipient.delivery_id,
            message_id=message_id,
            address=self._url,
            content=self._body.render(data).encode(),
            headers={"secret": self._secret},
        )


class WebhookLine:
    """Posts to addresses of the public internet, and nowhere else."""

    def send(self, outgoing: Outgoing, *, now: datetime) -> str:
        """Post one message and see that it was taken."""
        headers = sign(outgoing.headers["secret"], outgoing.message_id, now, outgoing.content)
        may_be_private = settings.WEBHOOKS_MAY_BE_PRIVATE
        try:
            post(outgoing.address, outgoing.content, headers, may_be_private=may_be_private)
        except Forbidden as error:
            raise Refused(str(error)[:180], permanent=True) from error
        except Failed as error:
            raise _to_outcome(error) from error
        return ""


def _to_outcome(error: Failed) -> Refused | Unsure:
    """Tell what was refused from what may have been taken."""
    cause = error.__cause__
    if cause is not None and not isinstance(cause, NEVER_SENT):
        return Unsure(str(error)[:180])
    is_clients_fault = error.status is not None and 400 <= error.status < 500
    is_permanent = is_clients_fault and error.status not in {408, 425, 429}
    return Refused(str(error)[:180], permanent=is_permanent)


def make_secret(key: str, *, campaign: str) -> str:
    """Return the secret that the receiving side verifies a campaign's messages with."""
    digest = hmac.digest(key.encode(), f"offerlab webhook {campaign}".encode(), hashlib.sha256)
    return PREFIX + base64.b64encode(digest).decode()
