"""An offer is looked at as a customer reads it, with the words that deciding would answer."""

import asyncio

import pytest
from django.test import Client
from django.urls import reverse

from campaigns.models import Offer, OfferContent, Placement
from campaigns.offers.views import make_card
from tests.campaigns.client_shop import read_snapshot
from tests.makers import make_campaign, make_customers, make_offer, make_placement, make_user


def say(offer: Offer, placement: Placement, language: str = "", **words: str) -> None:
    OfferContent.objects.create(offer=offer, placement=placement, language=language, **words)


@pytest.mark.django_db
def test_it_is_shown_in_every_placement_as_one_customer_reads_it() -> None:
    offer = make_offer(text="Now", link="https://shop.example/a")
    front, grid = make_placement(), make_placement()
    say(offer, front, headline="For the front")
    say(offer, front, "de", headline="Vorn", image="https://shop.example/de.png")
    (german,) = make_customers(1, attributes={"language": "de-AT"})
    browser = Client(headers={"x-forwarded-proto": "https"})
    address = reverse("offer-preview", args=[offer.key])
    browser.force_login(make_user("campaigns.view_offer"))
    assert browser.get(address).status_code == 403
    browser.force_login(make_user("campaigns.view_offer", "audience.view_customer"))
    anybody = browser.get(address).content.decode()
    assert "For the front" in anybody
    assert f"Take {offer.key}" in anybody
    assert "Vorn" not in anybody
    hers = browser.get(address, {"as_customer": german.external_key}).content.decode()
    assert "Vorn" in hers
    assert "de.png" in hers
    for nobody in ("nobody", "no\0body"):
        said = browser.get(address, {"as_customer": nobody}).content.decode()
        assert "no such customer" in said
    assert str(grid) in hers


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("language", [None, "de", "de-CH", "fr", 7])
def test_it_says_what_deciding_answers(language: object) -> None:
    offer = make_offer(text="Now", link="https://shop.example/a")
    campaign = make_campaign(offers=[offer])
    say(offer, campaign.placement, text="Here")
    say(offer, campaign.placement, "de", headline="Nimm es")
    ((running,),) = asyncio.run(read_snapshot()).campaigns.values()
    attributes = {} if language is None else {"language": language}
    answered = running.offers[0].content_for(attributes)
    assert answered is not None
    words = make_card(offer, campaign.placement, attributes).words
    assert {name: answered[name] for name in words} == dict(words)
