"""Campaigns that are sent, and a mail server that keeps what it was given."""

import asyncio
import email
import email.policy
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session
from django.utils import timezone

from audience.models import Channel, Consent, ConsentState, Customer
from campaigns.channels import CHANNELS
from campaigns.lifecycle.drafting import Split
from campaigns.lifecycle.status import start_campaign
from campaigns.models import Campaign, Message, Placement, Step
from campaigns.sending.writing import to_draft
from tests.makers import make_campaign, make_customers, unique

SECTION = "<mj-section><mj-column>{}</mj-column></mj-section>"
BODY = "<mjml><mj-body>{}</mj-body></mjml>".format(
    SECTION.format(
        '<mj-text>Dear {{ customer.first_name | default("friend") }},</mj-text>'
        "<mj-text>{{ offer.headline }}</mj-text>"
        '<mj-button href="https://shop.example/sale?a=1&amp;b=2">Shop</mj-button>'
        '<mj-text><a href="{{ message.unsubscribe_url }}">Unsubscribe</a></mj-text>'
    )
)
Answer = Callable[[str, bytes], str | None]


class Sink:
    """A mail server on this machine.

    Attributes:
        mails: What it took, in order.
        answer: Given a receiver and the content, what it says instead of taking it.
        seconds: How long it takes for each.
    """

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.times: list[float] = []
        self.answer: Answer = lambda receiver, content: None
        self.seconds = 0.0
        self.port = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        await asyncio.sleep(self.seconds)
        content = envelope.content
        assert isinstance(content, bytes)
        said = self.answer(envelope.rcpt_tos[0], content)
        if said is None:
            parsed = email.message_from_bytes(content, policy=email.policy.default)
            assert isinstance(parsed, EmailMessage)
            self.mails.append(parsed)
            self.times.append(time.monotonic())
        return said or "250 OK"

    @property
    def receivers(self) -> list[str]:
        return [str(mail["To"]) for mail in self.mails]


@contextmanager
def mail_server() -> Iterator[Sink]:
    """Run a mail server until the block ends."""
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    sink, started = Sink(), threading.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> asyncio.Server:
        # Without a name of its own, it would ask for this machine's, which may take long.
        make = lambda: SMTP(sink, hostname="sink", enable_SMTPUTF8=False, loop=loop)  # noqa: E731
        return await loop.create_server(make, "127.0.0.1", 0)

    server = loop.run_until_complete(serve())
    sink.port = server.sockets[0].getsockname()[1]

    def run() -> None:
        started.set()
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    started.wait()
    try:
        yield sink
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()


def use_mail_server(settings: Any, port: int) -> None:
    """Let mails go to a server of this machine."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    settings.EMAIL_USE_TLS = False
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    settings.DEFAULT_FROM_EMAIL = "Shop <shop@shop.example>"
    settings.SITE_URL = "https://lab.example"


def make_mail_placement(channel: str = "email") -> Placement:
    key = unique("mails")
    return Placement.objects.create(key=key, name=key.capitalize(), channel=channel)


def make_mailed(
    *,
    body: str = BODY,
    subject: str = 'Hi {{ customer.first_name | default("friend") }}',
    steps: Sequence[int] = (0,),
    channel: str = "email",
    holdout_percent: int = 1,
    started_at: datetime | None = None,
    campaign_values: Mapping[str, Any] | None = None,
    **plan: Any,
) -> Campaign:
    """Start a campaign that is sent; `steps` are the minutes that each message waits."""
    campaign = make_campaign(
        placement=make_mail_placement(channel),
        split=Split(holdout_percent=holdout_percent),
        started_at=None,
        **plan,
    )
    values = {"quiet_from": None, "quiet_until": None, **(campaign_values or {})}
    Campaign.objects.filter(pk=campaign.pk).update(**values)
    for position, minutes in enumerate(steps):
        add_step(campaign, position, minutes, subject=subject, body=body)
    campaign.refresh_from_db()
    start_campaign(campaign, by=None, now=started_at or timezone.now())
    return campaign


def add_step(
    campaign: Campaign, position: int, minutes: int, *, subject: str, body: str, **values: Any
) -> Step:
    step = Step.objects.create(
        campaign=campaign, position=position, name=f"Step {position}", wait_minutes=minutes
    )
    add_message(step, subject=subject, body=body, **values)
    return step


def add_message(step: Step, **values: Any) -> Message:
    """Save a message as the page does: checked and compiled."""
    message = Message(step=step, **values)
    message.html = CHANNELS[step.campaign.placement.channel].check(to_draft(message))
    message.save()
    return message


def make_readers(
    count: int, *, channel: Channel = Channel.EMAIL, agrees: bool = True, **attributes: Any
) -> list[Customer]:
    """Make customers with addresses who agreed to be written to."""
    customers = make_customers(count)
    for customer in customers:
        customer.attributes = {"email": f"{customer.external_key}@mail.example", **attributes}
    Customer.objects.bulk_update(customers, ["attributes"])
    if agrees:
        agree(customers, channel=channel)
    return customers


def agree(
    customers: Sequence[Customer],
    *,
    channel: Channel = Channel.EMAIL,
    state: ConsentState = ConsentState.OPTED_IN,
) -> None:
    """Let customers say what they think of being written to."""
    for customer in customers:
        Consent.objects.update_or_create(
            customer=customer, channel=channel, purpose="marketing", defaults={"state": state}
        )
