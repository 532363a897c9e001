"""Writes a step's message for customers: in their language, with their offer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

from audience.consent.links import make_unsubscribe_url
from audience.models import Channel as ChannelName
from campaigns.channels import CHANNELS
from campaigns.channels.base import Channel, Draft, Form, Outgoing, Recipient, Sender
from campaigns.languages import choose_language
from campaigns.models import Campaign, Message, OfferContent, Step
from campaigns.sending.claiming import Claimed
from campaigns.templating.templates import to_plain

CONTENT = ("headline", "text", "link", "image")


@dataclass(frozen=True, slots=True)
class Written:
    """A message that waits to be sent, and whose it is."""

    claimed: Claimed
    outgoing: Outgoing


class Writer:
    """The messages of a campaign, compiled once."""

    def __init__(self, campaign: Campaign) -> None:
        """Read the campaign's messages and what its offers say where it is sent."""
        self.campaign = campaign
        self.channel: Channel = CHANNELS[campaign.placement.channel]
        self._sender = Sender(
            campaign=campaign.key,
            purpose=campaign.purpose,
            site_url=settings.SITE_URL,
            from_email=settings.DEFAULT_FROM_EMAIL,
            key=settings.SECRET_KEY,
        )
        self._forms: dict[int, Mapping[str, Form]] = {}
        self._contents = _read_contents(campaign)
        self._campaign_data = {"key": campaign.key, "name": campaign.name}

    def has_message(self, step: Step) -> bool:
        """Tell whether a step says anything."""
        return bool(self._forms_of(step))

    def address_of(self, claimed: Claimed) -> str:
        """Return where a delivery's customer is reached; "" where nowhere."""
        known = {"key": claimed.customer_key, "email": claimed.email or ""}
        return self.channel.address_of(claimed.attributes, known)

    def write(
        self, step: Step, claimed: Claimed, offer: Mapping[str, Any], *, now: datetime
    ) -> Outgoing:
        """Write a step's message for a customer.

        Raises:
            Unrenderable: It cannot be, and why.
            Refused: There is no address to write it to.
        """
        recipient = Recipient(
            delivery_id=claimed.id,
            address=self.address_of(claimed),
            data=self.data_for(step, claimed.customer_key, claimed.attributes, offer),
            unsubscribe_url=make_unsubscribe_url(
                claimed.customer_id,
                channel=ChannelName(self.campaign.placement.channel),
                purpose=self.campaign.purpose,
                delivery_id=claimed.id,
            ),
        )
        return self.form_for(step, claimed.attributes).write(recipient, now=now)

    def data_for(
        self, step: Step, key: str, attributes: Mapping[str, Any], offer: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Return what placeholders may name."""
        language = choose_language(list(self._forms_of(step)), attributes)
        said = self._contents.get(str(offer.get("key")), {})
        own = said.get(choose_language(list(said), attributes), {}) if said else {}
        return {
            "customer": {**to_plain(attributes), "key": key},
            "offer": {"image": "", "products": [], **to_plain(offer), **own},
            "campaign": self._campaign_data,
            "message": {"language": language},
        }

    def form_for(self, step: Step, attributes: Mapping[str, Any]) -> Form:
        """Return a step's message in a customer's language."""
        forms = self._forms_of(step)
        return forms[choose_language(list(forms), attributes)]

    def _forms_of(self, step: Step) -> Mapping[str, Form]:
        known = self._forms.get(step.pk)
        if known is None:
            known = self._forms[step.pk] = {
                message.language: self.channel.prepare(to_draft(message), self._sender)
                for message in step.messages.all()
            }
        return known


def to_draft(message: Message) -> Draft:
    """Return a message as its channel takes it."""
    return Draft(message.subject, message.preheader, message.body, message.text, message.html)


def _read_contents(campaign: Campaign) -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    """Return what offers say in the campaign's placement, by offer and language."""
    contents: dict[str, dict[str, Mapping[str, str]]] = {}
    for content in OfferContent.objects.filter(
        placement=campaign.placement_id, offer__in=campaign.offers.all()
    ).select_related("offer"):
        own = {name: getattr(content, name) for name in CONTENT if getattr(content, name)}
        contents.setdefault(content.offer.key, {})[content.language] = own
    return contents
