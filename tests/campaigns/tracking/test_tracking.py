"""Clicks and opens become events of people, who are led where the mail says."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as site_settings
from django.utils import timezone

from audience.models import Event
from campaigns.mail.links import OPENED, PRODUCTS, TRAP, Followed, make_link_key, sign_link
from campaigns.models import Campaign, Delivery
from campaigns.tracking import hits
from recommender.models import Decision
from recommender.rewards.settling import settle_rewards
from tests.asgi import Site, open_site
from tests.campaigns.mailed import make_mailed, make_readers
from tests.campaigns.sending.test_sending import make_sure_it_is_sent
from tests.campaigns.sending.test_sending import send as send_due
from tests.makers import make_metric

pytestmark = pytest.mark.usefixtures("transactional_db")

BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0"}
SHOP = "https://shop.example/sale?a=1&b=2"


@pytest.fixture
def site(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(hits, "WAITS", timedelta(seconds=0.1))
    monkeypatch.setattr(hits, "LOOK_SECONDS", 0.05)
    with open_site() as site:
        yield site


def token(delivery: Delivery | int, number: int = 0, target: str = SHOP) -> str:
    id_ = delivery if isinstance(delivery, int) else delivery.pk
    return sign_link(make_link_key(site_settings.SECRET_KEY), Followed(id_, number, target))


def sent(**plan: Any) -> tuple[Campaign, Delivery]:
    """Send one mail, an hour ago."""
    (reader,) = make_readers(1)
    campaign = make_mailed(**plan)
    make_sure_it_is_sent(campaign, reader)
    send_due()
    delivery = campaign.deliveries.get()
    Delivery.objects.filter(pk=delivery.pk).update(sent_at=timezone.now() - timedelta(hours=1))
    return campaign, delivery


def events(site: Site) -> list[Event]:
    """Return what was recorded, after it had time to be."""
    site.run(asyncio.sleep(0.6))
    return list(Event.objects.order_by("occurred_at"))


def test_a_click_leads_on_and_is_an_event_of_its_decision(site: Site) -> None:
    _, delivery = sent()
    answer = site.get(f"/c/{token(delivery)}", headers=BROWSER)
    assert (answer.status, answer.headers["location"]) == (302, SHOP)
    assert "no-store" in answer.headers["cache-control"]
    (event,) = events(site)
    assert (event.name, event.customer_id) == ("Message Clicked", delivery.customer_id)
    assert event.properties["decision_id"] == str(delivery.decision_id)
    assert event.properties["url"] == SHOP


def test_a_click_is_a_reward_where_it_is_the_goal(site: Site) -> None:
    campaign, delivery = sent(goal=make_metric("Message Clicked"), reward_window_seconds=7200)
    site.get(f"/c/{token(delivery)}", headers=BROWSER)
    assert len(events(site)) == 1
    later = timezone.now() + timedelta(hours=3)
    (settled,) = settle_rewards(campaign.policy, now=later, limit=10)
    assert settled.value == 1
    assert delivery.decision_id is not None
    assert Decision.objects.get(pk=delivery.decision_id).offer == settled.offer


def test_a_click_on_a_product_says_which_one(site: Site) -> None:
    _, delivery = sent()
    assert delivery.decision_id is not None
    Decision.objects.filter(pk=delivery.decision_id).update(products=["p1", "p2"])
    for place in (1, 2):
        site.get(f"/c/{token(delivery, PRODUCTS + place)}", headers=BROWSER)
    clicked = {event.properties["link"]: event.properties for event in events(site)}
    assert clicked[PRODUCTS + 1]["product_id"] == "p2"
    # Of a product that did not come with the offer nothing is known.
    assert "product_id" not in clicked[PRODUCTS + 2]


def test_an_opened_mail_is_an_event(site: Site) -> None:
    _, delivery = sent()
    answer = site.get(f"/o/{token(delivery, OPENED, '')}.gif", headers=BROWSER)
    assert answer.headers["content-type"] == "image/gif"
    assert answer.body.startswith(b"GIF89a")
    (event,) = events(site)
    assert event.name == "Message Opened"


def test_machines_are_led_on_and_not_recorded(site: Site) -> None:
    _, delivery = sent()
    for number in range(4):
        answer = site.get(f"/c/{token(delivery, number)}", headers=BROWSER)
        assert answer.status == 302
    site.request("HEAD", f"/c/{token(delivery, 5)}", headers=BROWSER)
    site.get(f"/c/{token(delivery, TRAP)}", headers=BROWSER)
    site.get(f"/o/{token(delivery, OPENED, '')}.gif", headers={"user-agent": "Mozilla/5.0"})
    assert events(site) == []


def test_what_we_did_not_sign_leads_nowhere(site: Site) -> None:
    _, delivery = sent()
    good = token(delivery)
    other = sign_link(make_link_key("another key"), Followed(delivery.pk, 0, SHOP))
    for bad in (good[:-6], other, "x", "a" * 3000, f"{good}x", token(delivery, 0, "javascript:1")):
        assert site.get(f"/c/{bad}", headers=BROWSER).status == 404
    assert (
        site.get(f"/c/{good}?url=https://evil.example", headers=BROWSER).headers["location"] == SHOP
    )
    # A picture is one whoever asks.
    assert site.get("/o/x.gif", headers=BROWSER).status == 200
    site.get(f"/o/{good}.gif", headers=BROWSER)
    assert [event.name for event in events(site)] == ["Message Clicked"]


def test_of_tests_and_of_what_is_unknown_nothing_is_recorded(site: Site) -> None:
    assert site.get(f"/c/{token(0)}", headers=BROWSER).status == 302
    assert site.get(f"/c/{token(2**40)}", headers=BROWSER).status == 302
    assert events(site) == []


def test_a_second_click_at_once_is_the_same(site: Site) -> None:
    _, delivery = sent()
    moment = timezone.now()
    while int(moment.timestamp()) % 10 > 7:
        moment = timezone.now()
    for _ in range(3):
        site.get(f"/c/{token(delivery)}", headers=BROWSER)
    assert len(events(site)) == 1


def test_an_address_in_any_writing_is_led_to(site: Site) -> None:
    _, delivery = sent()
    answer = site.get(f"/c/{token(delivery, 0, 'https://shop.example/ü?q=你')}", headers=BROWSER)
    assert answer.headers["location"] == "https://shop.example/%C3%BC?q=%E4%BD%A0"


def test_what_came_last_is_recorded_before_the_process_ends(transactional_db: None) -> None:
    _, delivery = sent()
    with open_site() as site:
        site.get(f"/c/{token(delivery)}", headers=BROWSER)
    assert Event.objects.count() == 1
