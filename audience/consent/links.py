"""The links by which receivers of a message unsubscribe, and what they lead to.

They work for ever: a mail may be opened years later. `List-Unsubscribe` names the same address,
and mail programs post to it with one click (RFC 8058).
"""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from audience.consent.link_tokens import read_text, sign_text
from audience.consent.record import person_of, record_consent
from audience.customers.people import find_names
from audience.models import Channel, Consent, ConsentState, Customer

UNSUBSCRIBE = "unsubscribe"


@dataclass(frozen=True, slots=True)
class Link:
    """Whom a link is about, and what that person was written to about."""

    customer_id: int
    channel: Channel
    purpose: str
    delivery_id: int | None = None

    @property
    def token(self) -> str:
        """The link's part that nobody can make up."""
        delivery = "" if self.delivery_id is None else str(self.delivery_id)
        text = f"{self.customer_id}.{self.channel.value}.{self.purpose}.{delivery}"
        return sign_text(text, use=UNSUBSCRIBE)


def make_unsubscribe_url(
    customer_id: int, *, channel: Channel, purpose: str, delivery_id: int | None = None
) -> str:
    """Return the address at which a receiver unsubscribes, for the header and for the text."""
    link = Link(customer_id, channel, purpose, delivery_id)
    return f"{settings.SITE_URL.rstrip('/')}/u/{link.token}"


def read_link(token: str) -> Link | None:
    """Return what a link of ours says, or None where it is not one of ours."""
    text = read_text(token, use=UNSUBSCRIBE)
    if text is None:
        return None
    customer, channel, purpose, delivery = text.split(".")
    return Link(int(customer), Channel(channel), purpose, int(delivery) if delivery else None)


def find_receiver(link: Link) -> Customer | None:
    """Return the person whom a link is about; None of one who was erased."""
    customer = Customer.objects.select_related("merged_into").filter(pk=link.customer_id).first()
    return None if customer is None else customer.merged_into or customer


def unsubscribe(link: Link, *, source: str, now: datetime) -> bool:
    """Send the receiver nothing more of this kind; return whether that is anything new."""
    return _record(link, link.channel, link.purpose, ConsentState.OPTED_OUT, source, now)


def choose(link: Link, wanted: set[tuple[str, str]], *, now: datetime) -> None:
    """Set all that the receiver can choose between to what is ticked.

    Args:
        link: Whose.
        wanted: Channels and purposes that are ticked; of others than are offered none counts.
        now: When.
    """
    for channel, purpose, is_on in find_choices(link):
        if ((channel, purpose) in wanted) != is_on:
            state = ConsentState.OPTED_OUT if is_on else ConsentState.OPTED_IN
            _record(link, Channel(channel), purpose, state, "preferences", now)


def find_choices(link: Link) -> list[tuple[str, str, bool]]:
    """Return what the receiver ever said something to, and whether it is on.

    What this message was about is among it.
    """
    person = find_receiver(link)
    if person is None:
        return []
    known: dict[tuple[str, str], bool] = {(link.channel.value, link.purpose): False}
    _, ids = find_names(person)
    said = Consent.objects.filter(customer__in=ids).order_by("changed_at")
    for channel, purpose, state in said.values_list("channel", "purpose", "state"):
        known[channel, purpose] = state == ConsentState.OPTED_IN
    return [(channel, purpose, is_on) for (channel, purpose), is_on in sorted(known.items())]


def _record(
    link: Link, channel: Channel, purpose: str, state: ConsentState, source: str, now: datetime
) -> bool:
    person = find_receiver(link)
    if person is None:
        return False
    assert person_of(person) == person.pk, "a visitor turned out to be one customer"
    evidence = {} if link.delivery_id is None else {"delivery": link.delivery_id}
    try:
        return record_consent(
            person,
            channel=channel,
            purpose=purpose,
            state=state,
            source=source,
            evidence=evidence,
            now=now,
        )
    except Customer.DoesNotExist:
        # Erased at this moment.
        return False
