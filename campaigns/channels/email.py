"""E-mail: MJML with placeholders, one-click unsubscribing, and whatever backend Django has.

With SMTP one connection is used for many mails, and each is written as bytes at once. Any other
backend, such as those of django-anymail, is given Django's own messages.
"""

import re
import smtplib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from email.utils import format_datetime, parseaddr
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from anymail.exceptions import AnymailAPIError, AnymailError, AnymailRecipientsRefused
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.smtp import EmailBackend

from campaigns.channels.base import Draft, Line, Outgoing, Recipient, Refused, Sender, Unsure
from campaigns.mail.links import make_link_key, make_links, make_product_links, split_links
from campaigns.mail.mime import write_mail
from campaigns.mail.mjml import compile_mjml
from campaigns.mail.text_part import to_text
from campaigns.templating.checks import BadTemplate
from campaigns.templating.templates import Compiled, Kind, compile_template

ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\Z")
# What RFC 3463 says of a mailbox that does not exist, is disabled, or moved.
GONE = re.compile(rb"\b5\.1\.[1236]\b|\b5\.2\.1\b")
DOT = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
PIXEL = '<img src="{{ links.open }}" width="1" height="1" alt="" style="display:block">'
TRAP = '<a href="{{ links.trap }}" style="display:none" aria-hidden="true" tabindex="-1"></a>'
# Who may decline has to see where, also where the author forgot it.
FOOTER = (
    '<p style="font-family:sans-serif;font-size:12px;text-align:center;color:#555555">'
    '<a href="{{ message.unsubscribe_url }}">Unsubscribe</a></p>'
)


class EmailChannel:
    """Writes and sends mails."""

    name = "E-mail"

    def check(self, draft: Draft) -> str:
        """Compile the body to HTML; placeholders stay in it."""
        if not draft.subject.strip():
            raise BadTemplate("Write a subject.")
        compile_template(draft.subject, kind=Kind.LINE)
        compile_template(draft.preheader, kind=Kind.HTML)
        html = compile_mjml(draft.body, preheader=draft.preheader)
        if "message.unsubscribe_url" not in html:
            html = html.replace("</body>", f"{FOOTER}</body>", 1)
        compile_template(html, kind=Kind.HTML)
        for target in split_links(html)[1]:
            compile_template(target, kind=Kind.TEXT)
        if draft.text:
            compile_template(draft.text, kind=Kind.TEXT)
        return html

    def prepare(self, draft: Draft, sender: Sender) -> "EmailForm":
        """Compile all parts."""
        return EmailForm(draft, sender)

    @contextmanager
    def open(self) -> Iterator[Line]:
        """Open one connection to the mail server, or what stands for it."""
        backend = get_connection()
        try:
            yield SmtpLine(backend) if isinstance(backend, EmailBackend) else BackendLine(backend)
        finally:
            backend.close()

    def address_of(self, attributes: Mapping[str, Any], identities: Mapping[str, str]) -> str:
        """Return the address among a customer's attributes, or the one it is known by."""
        address = attributes.get("email")
        return address if isinstance(address, str) and address else identities.get("email", "")


class EmailForm:
    """A mail's compiled parts."""

    def __init__(self, draft: Draft, sender: Sender) -> None:
        """Compile everything once."""
        html, targets = split_links(draft.html)
        extras = PIXEL + (TRAP if settings.MAIL_HAS_TRAP else "")
        html = html.replace("</body>", f"{extras}</body>", 1)
        self._sender = sender
        self._subject = compile_template(draft.subject, kind=Kind.LINE)
        self._html = compile_template(html, kind=Kind.HTML)
        self._text = compile_template(draft.text or to_text(html), kind=Kind.TEXT)
        self._targets = [_compile_target(target) for target in targets]
        self._key = make_link_key(sender.key)
        self._domain = parseaddr(sender.from_email)[1].rpartition("@")[2] or "localhost"
        host = urlsplit(sender.site_url).hostname or self._domain
        self._headers = {
            "From": sender.from_email,
            "List-Id": f"<{sender.campaign}.{host}>",
            "Feedback-ID": f"{sender.campaign}:{sender.purpose}:offerlab:{self._domain}",
            "Precedence": "bulk",
            "X-Auto-Response-Suppress": "OOF, AutoReply",
        }

    def write(self, recipient: Recipient, *, now: datetime) -> Outgoing:
        """Write a mail's bytes."""
        address = recipient.address.strip()
        if not ADDRESS.match(address):
            raise Refused("The e-mail address cannot be written to.", permanent=True, is_gone=False)
        data = dict(recipient.data)
        offer = data.get("offer", {})
        products = offer.get("products") or ()
        data["offer"] = {
            **offer,
            "products": make_product_links(
                self._key, self._sender.site_url, recipient.delivery_id, products
            ),
        }
        makers = [maker(data) for maker in self._targets]
        links = make_links(self._key, self._sender.site_url, recipient.delivery_id, makers)
        # Who tries a mail out is not asked for a picture by which nothing would be learned.
        data["links"] = {**links, "open": DOT} if recipient.is_test else links
        data["message"] = {
            **data.get("message", {}),
            "unsubscribe_url": recipient.unsubscribe_url,
            "date": f"{now:%Y-%m-%d}",
        }
        subject = self._subject.render(data) or "(no subject)"
        if recipient.is_test:
            subject = f"[Test] {subject}"
        text, html = self._text.render(data), self._html.render(data)
        message_id = f"<{recipient.delivery_id}.{self._sender.campaign}@{self._domain}>"
        if recipient.is_test:
            message_id = f"<test.{now.timestamp():.6f}.{self._sender.campaign}@{self._domain}>"
        headers = {
            **self._headers,
            "List-Unsubscribe": unsubscribe_header(recipient.unsubscribe_url),
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            "Subject": subject,
            "To": address,
            "Date": format_datetime(now),
            "Message-ID": message_id,
        }
        return Outgoing(
            delivery_id=recipient.delivery_id,
            message_id=message_id,
            address=address,
            content=write_mail(headers, text=text, html=html),
            headers=headers,
            subject=subject,
            text=text,
            html=html,
        )


def unsubscribe_header(url: str) -> str:
    """Return where to decline: at an address, and by mail where somebody reads it (RFC 2369)."""
    mailbox = settings.UNSUBSCRIBE_MAILBOX
    return f"<{url}>, <mailto:{mailbox}?subject=unsubscribe>" if mailbox else f"<{url}>"


def _compile_target(target: str) -> Callable[[Mapping[str, Any]], Callable[[], str]]:
    if "{{" not in target and "{%" not in target:
        return lambda data: lambda: target
    compiled: Compiled = compile_template(target, kind=Kind.TEXT)
    return lambda data: partial(compiled.render, data)


class SmtpLine:
    """One SMTP connection, made anew where it breaks between two mails."""

    def __init__(self, backend: EmailBackend) -> None:
        """Connect when the first mail goes out."""
        self._backend = backend
        self._from = parseaddr(settings.DEFAULT_FROM_EMAIL)[1]

    def send(self, outgoing: Outgoing, *, now: datetime) -> str:
        """Send one mail. Until its content goes out, nothing can be in doubt."""
        try:
            smtp = self._begin(outgoing.address)
        except smtplib.SMTPServerDisconnected:
            # The server hung up meanwhile, as it may between two mails.
            self._backend.close()
            try:
                smtp = self._begin(outgoing.address)
            except (OSError, smtplib.SMTPException) as error:
                raise self._refusal(error) from error
        except (OSError, smtplib.SMTPException) as error:
            raise self._refusal(error) from error
        try:
            code, answer = smtp.data(outgoing.content)
        except smtplib.SMTPDataError as error:
            self._reset(smtp)
            raise _to_refused(error.smtp_code, error.smtp_error) from error
        except (OSError, smtplib.SMTPException) as error:
            self._backend.close()
            raise Unsure(f"The connection broke: {type(error).__name__}.") from error
        if code != 250:
            self._reset(smtp)
            raise _to_refused(code, answer)
        return ""

    def _begin(self, address: str) -> smtplib.SMTP:
        """Name sender and receiver; the server still knows nothing of the mail."""
        if self._backend.connection is None:
            self._backend.open()
        smtp = self._backend.connection
        if smtp is None:
            raise OSError("There is no connection.")
        smtp.ehlo_or_helo_if_needed()
        code, answer = smtp.mail(self._from)
        if code == 250:
            code, answer = smtp.rcpt(address)
        if code not in {250, 251}:
            self._reset(smtp)
            raise _to_refused(code, answer)
        return smtp

    def _reset(self, smtp: smtplib.SMTP) -> None:
        try:
            smtp.rset()
        except (OSError, smtplib.SMTPException):
            self._backend.close()

    def _refusal(self, error: Exception) -> Refused:
        self._backend.connection = None
        if isinstance(error, smtplib.SMTPAuthenticationError):
            return Refused("The mail server does not take our name and password.", permanent=False)
        return Refused(f"The mail server cannot be reached: {error}"[:180], permanent=False)


def _to_refused(code: int, answer: bytes | str) -> Refused:
    raw = answer if isinstance(answer, bytes) else answer.encode()
    words = raw.decode("utf-8", "replace").replace("\n", " ")
    is_permanent = 500 <= code < 600
    is_gone = is_permanent and bool(GONE.search(raw))
    return Refused(f"{code} {words}"[:180], permanent=is_permanent, is_gone=is_gone)


class BackendLine:
    """Any backend of Django's, such as one of django-anymail."""

    def __init__(self, backend: BaseEmailBackend) -> None:
        """Send through it."""
        self._backend = backend

    def send(self, outgoing: Outgoing, *, now: datetime) -> str:
        """Send one mail; return the name that the service gave it, if it did."""
        own = {"From", "To", "Subject"}
        message = EmailMultiAlternatives(
            outgoing.subject,
            outgoing.text,
            from_email=outgoing.headers["From"],
            to=[outgoing.address],
            headers={name: v for name, v in outgoing.headers.items() if name not in own},
        )
        message.attach_alternative(outgoing.html, "text/html")
        message.metadata = {"delivery": str(outgoing.delivery_id)}  # type: ignore[attr-defined]
        try:
            self._backend.send_messages([message])
        except AnymailRecipientsRefused as error:
            raise Refused("The service refuses the address.", permanent=True) from error
        except AnymailAPIError as error:
            raise _of_service(error) from error
        except AnymailError as error:
            raise Refused(f"The service was not asked: {error}"[:180], permanent=True) from error
        except ConnectionRefusedError as error:
            raise Refused(
                f"The service cannot be reached: {error}"[:180], permanent=False
            ) from error
        except OSError as error:
            raise Unsure(f"It was broken off: {type(error).__name__}.") from error
        status = getattr(message, "anymail_status", None)
        return str(status.message_id or "") if status is not None else ""


def _of_service(error: AnymailAPIError) -> Refused | Unsure:
    code = getattr(error, "status_code", None)
    if code is None or code >= 500:
        return Unsure(f"The service failed: {error}"[:180])
    return Refused(f"The service answered {code}."[:180], permanent=code != 429)
