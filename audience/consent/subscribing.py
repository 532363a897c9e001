"""Double opt-in: an address is written to once its owner has confirmed that it is wanted.

Whether an address is known changes nothing that whoever asks can see: the same is recorded,
answered and mailed. Only the owner of the address reads the mail.
"""

import logging
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

import redis
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import IntegrityError, transaction
from django.template.loader import render_to_string

from audience.consent.link_tokens import read_text, sign_text
from audience.consent.record import find_standings, record_consent
from audience.consent.suppression import find_suppressed, hash_address, lift_suppression
from audience.models import (
    Channel,
    ConsentState,
    Customer,
    Identity,
    IdentityKind,
    SuppressionReason,
)

logger = logging.getLogger(__name__)

CONFIRM = "confirm"
LIVES_FOR = timedelta(days=7)
# So many confirmations an address is sent in a day, whoever asks.
MAILS_PER_DAY = 3
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Wish:
    """Somebody is to get messages about a purpose at an address, if its owner agrees."""

    customer_id: int
    purpose: str
    asked_at: datetime
    address: str

    @property
    def url(self) -> str:
        """Where its owner confirms."""
        at = int(self.asked_at.timestamp())
        text = f"{self.customer_id}.{self.purpose}.{at}.{self.address}"
        return f"{settings.SITE_URL.rstrip('/')}/confirm/{quote(sign_text(text, use=CONFIRM))}"


def ask_to_confirm(
    address: str, *, key: str | None, purpose: str, source: str, now: datetime
) -> None:
    """Note that somebody wants messages, and mail the owner of the address a link.

    Args:
        address: Of e-mail.
        key: The customer's; without one a customer is made.
        purpose: What about.
        source: The application that asked.
        now: When.
    """
    if not _may_be_mailed(address):
        return
    customer, _is_new = Customer.objects.get_or_create(
        external_key=key or f"subscriber-{uuid.uuid4().hex}"
    )
    known = find_standings([customer.pk], channel=Channel.EMAIL, purpose=purpose)[customer.pk]
    if known.state in (None, ConsentState.OPTED_OUT):
        record_consent(
            customer,
            channel=Channel.EMAIL,
            purpose=purpose,
            state=ConsentState.PENDING,
            source="double opt-in",
            evidence={"asked_by": source},
            now=now,
        )
    wish = Wish(customer.pk, purpose, now, address)
    context = {"url": wish.url, "purpose": purpose.replace("-", " ").replace("_", " ")}
    mail = EmailMultiAlternatives(
        f"Please confirm: messages about {context['purpose']}",
        render_to_string("audience/confirm_mail.txt", context),
        to=[address],
        # Answering machines are not to answer.
        headers={"Auto-Submitted": "auto-generated"},
    )
    mail.attach_alternative(render_to_string("audience/confirm_mail.html", context), "text/html")
    mail.send()


def read_wish(token: str, *, now: datetime) -> Wish | None:
    """Return what a link is about; None where it is not ours or too old."""
    text = read_text(token, use=CONFIRM)
    if text is None:
        return None
    customer, purpose, at, address = text.split(".", 3)
    asked_at = datetime.fromtimestamp(int(at), tz=now.tzinfo)
    if now - asked_at > LIVES_FOR:
        return None
    return Wish(int(customer), purpose, asked_at, address)


def confirm(wish: Wish, *, now: datetime) -> bool:
    """Record that the owner of an address agreed; return whether there is still somebody.

    The address is the customer's from now on, unless it was another's before: then it is that
    one who agreed.
    """
    customer = Customer.objects.filter(pk=wish.customer_id).first()
    if customer is None:
        return False
    try:
        with transaction.atomic():
            identity, _is_new = Identity.objects.select_related("customer").get_or_create(
                kind=IdentityKind.EMAIL, value=wish.address, defaults={"customer": customer}
            )
    except IntegrityError:
        # Erased at this moment.
        return False
    record_consent(
        identity.customer,
        channel=Channel.EMAIL,
        purpose=wish.purpose,
        state=ConsentState.OPTED_IN,
        source="double opt-in",
        evidence={"asked_at": wish.asked_at.isoformat()},
        now=now,
    )
    lift_suppression(wish.address, channel=Channel.EMAIL)
    return True


def _may_be_mailed(address: str) -> bool:
    """Count a mail to an address, and say whether it may go."""
    reason = find_suppressed([address], channel=Channel.EMAIL).get(address)
    if reason not in (None, SuppressionReason.UNSUBSCRIBED):
        return False
    name = f"offerlab:confirm:{hash_address(address).hex()}"
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1)
    try:
        with client.pipeline() as pipeline:
            pipeline.incr(name)
            pipeline.expire(name, DAY, nx=True)
            count = int(pipeline.execute()[0])
    except redis.RedisError as error:
        # Who cannot count does not mail: a stranger could have anybody flooded.
        logger.error("Confirmations are not mailed while they cannot be counted: %s", error)
        return False
    finally:
        client.close()
    return count <= MAILS_PER_DAY
