"""Shows what a message will look like to somebody, and sends it to who wants to see it before."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.urls import reverse

from audience.models import Channel, Customer
from campaigns.channels.base import Draft, Outgoing, Recipient, Sender
from campaigns.deciding.products import best_of, choose_products, with_products
from campaigns.deciding.slates import product_content, whole_slate
from campaigns.models import Campaign, Message, Step
from campaigns.sending.writing import Writer, to_draft
from recommender.listing.lists import Sorted
from recommender.ranking.looking import find_lists
from recommender.ranking.reading import Lists

NOBODY: Mapping[str, Any] = {}


def find_reader(key: str) -> tuple[str, Mapping[str, Any]] | None:
    """Return a customer's key and attributes; None where there is none."""
    if not key:
        return "", NOBODY
    # A character that PostgreSQL's texts cannot hold is in nobody's key.
    customer = None if "\0" in key else Customer.objects.filter(external_key=key).first()
    return None if customer is None else (key, customer.attributes)


def write_for(
    step: Step,
    draft: Draft,
    *,
    customer_key: str,
    attributes: Mapping[str, Any],
    to: str,
    now: datetime,
) -> Outgoing:
    """Write a draft as a customer would get it, with the first of the campaign's offers.

    Raises:
        Unrenderable: It cannot be, and why.
        Refused: The address is none.
    """
    campaign = step.campaign
    writer = Writer(campaign)
    form = writer.channel.prepare(
        draft,
        Sender(
            campaign=campaign.key,
            purpose=campaign.purpose,
            site_url=settings.SITE_URL,
            from_email=settings.DEFAULT_FROM_EMAIL,
            key=settings.SECRET_KEY,
        ),
    )
    offer = preview_products(first_offer(campaign), customer_key, now=now)
    if (ranking := campaign.policy.ranking) is not None:
        offer = preview_slate(ranking.key, customer_key, places=campaign.policy.places, now=now)
    data = writer.data_for(step, customer_key, attributes, offer)
    declining = reverse("message-unsubscribe-test", args=[campaign.key])
    url = f"{settings.SITE_URL}{declining}"
    return form.write(Recipient(0, to, data, url, is_test=True), now=now)


def first_offer(campaign: Campaign) -> Mapping[str, Any]:
    """Return what placeholders name of the first offer, or of none."""
    choice = (
        campaign.choices.filter(offer__is_nothing=False).select_related("offer__ranking").first()
    )
    names = ("key", "name", "headline", "text", "link")
    said = {name: getattr(choice.offer, name) if choice else "" for name in names}
    ranking = choice.offer.ranking if choice else None
    return said if ranking is None else {**said, "ranking": ranking.key}


def preview_products(
    content: Mapping[str, Any], customer_key: str, *, now: datetime
) -> Mapping[str, Any]:
    """Return what an offer says with the products that a customer would get now.

    Without a key they are those of newcomers; an offer without a ranking stays as it is.
    """
    if "ranking" not in content:
        return content
    lists, id_ = _find_lists(content["ranking"], customer_key, now=now)
    return with_products(content, best_of(choose_products(content, lists, id_)), lists)


def preview_slate(
    ranking: str, customer_key: str, *, places: int, now: datetime
) -> Mapping[str, Any]:
    """Return the products that a customer would most likely get now, as a message says them."""
    lists, id_ = _find_lists(ranking, customer_key, now=now)
    listed = lists.find(ranking, id_)
    keys = [] if listed is None else Sorted(listed).best(places)
    contents = [product_content(lists.product(key)) for key in keys]
    return whole_slate(contents) if contents else {}


def _find_lists(ranking: str, customer_key: str, *, now: datetime) -> tuple[Lists, int | None]:
    customer = Customer.objects.filter(external_key=customer_key).first() if customer_key else None
    id_ = None if customer is None else customer.pk
    return find_lists([ranking], [id_], now=now), id_


def send_test(message: Message, *, to: str, as_customer: str, now: datetime) -> str:
    """Send a message to somebody as a customer would get it; return the name that it went by.

    Its links lead on and are not counted, and declining declines nothing.

    Raises:
        ValueError: There is no such customer.
        Unrenderable: It cannot be written, and why.
        Refused: It was not taken.
        Unsure: Nobody knows whether it was.
    """
    reader = find_reader(as_customer)
    if reader is None:
        raise ValueError(f"There is no customer {as_customer}.")
    step = message.step
    outgoing = write_for(
        step, to_draft(message), customer_key=reader[0], attributes=reader[1], to=to, now=now
    )
    with Writer(step.campaign).channel.open() as line:
        line.send(outgoing, now=now)
    return outgoing.message_id


def send_to_seeds(campaign: Campaign, *, now: datetime) -> int:
    """Send every message of a campaign to the addresses of the seed list; return how many went."""
    if campaign.placement.channel != Channel.EMAIL:
        return 0
    sent = 0
    for address in settings.SEED_ADDRESSES:
        for message in Message.objects.filter(step__campaign=campaign).select_related("step"):
            send_test(message, to=address, as_customer="", now=now)
            sent += 1
    return sent
