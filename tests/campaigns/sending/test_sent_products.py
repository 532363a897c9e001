"""Mails show each customer's own products, logged with the decision and led to by our links."""

import re
from datetime import timedelta
from email.message import EmailMessage

import pytest
from django.conf import settings as site_settings
from django.utils import timezone

from audience.models import Customer
from campaigns.mail.links import make_link_key, place_of, read_link
from campaigns.mail.starters import Plain, to_mjml
from campaigns.models import Campaign
from campaigns.sending.showing import send_test
from recommender.models import Decision, Product, Ranking, TopPicks
from tests.campaigns.mailed import Sink, agree, make_mailed
from tests.campaigns.sending.test_sending import send
from tests.makers import make_customers, make_offer
from tests.recommender.ranking.shops import make_ranking, make_shop, serve_markov

pytestmark = pytest.mark.usefixtures("transactional_db")

BODY = to_mjml(Plain("products", headline="For you", text="Have a look", button="", link=""))
LINK = re.compile(r'href="https://lab\.example/c/([^"]+)"')


def make_reading(customers: list[Customer]) -> list[Customer]:
    """Give customers addresses, and let them agree to be written to."""
    for customer in customers:
        customer.attributes = {"email": f"{customer.external_key}@mail.example"}
    Customer.objects.bulk_update(customers, ["attributes"])
    agree(customers)
    return customers


def mail_products(ranking: Ranking) -> Campaign:
    return make_mailed(body=BODY, offers=[make_offer(ranking=ranking)])


def html_of(mail: EmailMessage) -> str:
    part = mail.get_body(("html",))
    assert part is not None
    return str(part.get_content())


def mails_by_key(sink: Sink) -> dict[str, EmailMessage]:
    return {str(mail["To"]).partition("@")[0]: mail for mail in sink.mails}


def test_each_mail_shows_the_customer_s_own_products(sink: Sink) -> None:
    people, ranking = make_shop(), make_ranking()
    version = serve_markov(ranking)
    newcomer = make_customers(1)
    make_reading([*people[:12], *newcomer])
    campaign = mail_products(ranking)
    send()
    lists: dict[str | None, list[str]] = dict(
        TopPicks.objects.filter(version=version).values_list("customer__external_key", "items")
    )
    mails = mails_by_key(sink)
    assert len(mails) > 8
    for key, mail in mails.items():
        listed = lists.get(key, lists[None])
        decision = Decision.objects.get(campaign=campaign.key, customer__external_key=key)
        assert (decision.products, decision.ranker_version) == (listed, version.pk)
        html = html_of(mail)
        names = re.findall(r"<b>(Product \d+)</b>", html)
        assert names == [f"Product {int(item[1:])}" for item in listed]
        assert f"https://shop.example/{listed[0]}.jpg" in html
        secret = make_link_key(site_settings.SECRET_KEY)
        followed = [read_link(secret, token) for token in LINK.findall(html)]
        led = {place_of(one.number): one.target for one in followed if one is not None}
        assert led[0] == f"https://shop.example/{listed[0]}"
        assert led[4] == f"https://shop.example/{listed[4]}"


def test_a_slate_is_mailed_as_a_whole_and_again_after_a_refusal(sink: Sink) -> None:
    people, ranking = make_shop(), make_ranking(shown=8)
    serve_markov(ranking)
    make_reading(people[:12])
    campaign = make_mailed(body=BODY, offers=[], ranking=ranking, places=3, temperature=1.0)
    sink.answer = lambda receiver, content: (
        None if people[3].external_key in receiver else "451 Try later"
    )
    send()
    places = Decision.objects.filter(campaign=campaign.key, offer__isnull=False)
    slates = {d.customer.external_key: d.products for d in places.filter(position=0)}
    assert len(slates) > 8
    assert places.count() == 3 * len(slates)
    message = campaign.steps.get().messages.get()
    sink.answer = lambda receiver, content: None
    send_test(message, to="me@mail.example", as_customer="", now=timezone.now())
    send(timezone.now() + timedelta(hours=7))
    assert places.count() == 3 * len(slates)
    preview = html_of(next(mail for mail in sink.mails if "me@" in str(mail["To"])))
    assert len(re.findall(r"<b>(Product \d+)</b>", preview)) == 3
    mailed = {key: mail for key, mail in mails_by_key(sink).items() if key in slates}
    assert len(mailed) == len(slates)
    for key, mail in mailed.items():
        names = re.findall(r"<b>(Product \d+)</b>", html_of(mail))
        assert names == [f"Product {int(item[1:])}" for item in slates[key]]


def test_what_was_decided_is_shown_again_when_a_mail_is_tried_again(sink: Sink) -> None:
    people, ranking = make_shop(), make_ranking()
    serve_markov(ranking)
    make_reading(people[:6])
    campaign = mail_products(ranking)
    sink.answer = lambda receiver, content: "451 Try later"
    send()
    waiting = {
        each.customer.external_key: each.decision_id
        for each in campaign.deliveries.filter(state="queued", decision_id__isnull=False)
    }
    logged: dict[object, list[str]] = dict(Decision.objects.values_list("id", "products"))
    assert waiting
    Ranking.objects.update(price_to=12)
    sink.answer = lambda receiver, content: None
    send(timezone.now() + timedelta(hours=7))
    for key, mail in mails_by_key(sink).items():
        if key in waiting:
            names = re.findall(r"<b>(Product \d+)</b>", html_of(mail))
            assert names == [f"Product {int(item[1:])}" for item in logged[waiting[key]]]


def test_a_preview_shows_products_of_the_reader_or_of_newcomers(sink: Sink) -> None:
    people, ranking = make_shop(), make_ranking()
    version = serve_markov(ranking)
    make_reading(people[:1])
    campaign = mail_products(ranking)
    message = campaign.steps.get().messages.get()
    for reader, customer in (("", None), (people[0].external_key, people[0])):
        sink.mails.clear()
        send_test(message, to="me@mail.example", as_customer=reader, now=timezone.now())
        listed = TopPicks.objects.get(version=version, customer=customer).items
        names = re.findall(r"<b>(Product \d+)</b>", html_of(sink.mails[0]))
        assert names == [f"Product {int(item[1:])}" for item in listed]


def test_an_offer_without_a_ranking_brings_no_products(sink: Sink) -> None:
    make_reading(make_customers(2))
    campaign = make_mailed(body=BODY)
    send()
    assert "Product" not in "".join(html_of(mail) for mail in sink.mails)
    assert campaign.deliveries.filter(state="sent").count() == len(sink.mails) > 0


def test_a_product_without_an_address_or_a_name_is_shown_by_its_key(sink: Sink) -> None:
    people, ranking = make_shop(), make_ranking()
    serve_markov(ranking)
    Product.objects.update(facts={})
    make_reading(people[:4])
    mail_products(ranking)
    send()
    html = html_of(sink.mails[0])
    assert re.search(r"<b>p\d\d</b>", html)
    assert '<img src="https://shop' not in html
