"""The top of our own pages: the menu, and whose log-in it is."""

import re

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import strip_tags

from audience.consent.links import make_unsubscribe_url
from audience.models import Channel
from experiments.models import Subscriber
from tests.makers import make_customer, make_user

pytestmark = pytest.mark.django_db


def browse() -> tuple[Client, str]:
    """Return somebody's browser, which is checked as in production, and their name."""
    user = make_user("experiments.view_experiment")
    headers = {"host": "testserver", "x-forwarded-proto": "https", "referer": "https://testserver/"}
    client = Client(headers=headers, enforce_csrf_checks=True)
    client.force_login(user)
    return client, user.get_username()


def header_of(page: str) -> str:
    return page[page.index("<header") : page.index("</header>")]


def test_a_page_says_whose_log_in_it_is_and_ends_it() -> None:
    client, name = browse()
    header = header_of(client.get("/experiments/").content.decode())
    assert name in header
    ((address, token),) = re.findall(r'<form[^>]+action="([^"]+)".+? value="(\w+)"', header)
    assert client.post(address).status_code == 403
    assert client.get("/experiments/").status_code == 200
    assert client.post(address, {"csrfmiddlewaretoken": token}).status_code == 200
    assert client.get("/experiments/").status_code == 302


def test_pages_for_people_without_an_account_offer_no_log_out() -> None:
    """Not even to who has one, so that one sees what they see."""
    leaving = Subscriber.objects.create(email="reader@example.com")
    stop = make_unsubscribe_url(
        make_customer().pk, channel=Channel.EMAIL, purpose="marketing", delivery_id=None
    )
    for client in (browse()[0], Client(headers={"x-forwarded-proto": "https"})):
        for address in (
            reverse("digest-leave", args=[leaving.token]),
            stop[stop.index("/u/") :],
            reverse("message-unsubscribe-test", args=["any"]),
        ):
            answer = client.get(address)
            assert answer.status_code == 200
            assert "<header" not in answer.content.decode(), address
            assert "Log out" not in answer.content.decode(), address


def test_the_menu_and_the_sidebar_call_each_page_by_a_name_of_its_own() -> None:
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user(is_superuser=True))
    admin = client.get("/admin/").content.decode()
    menu = header_of(client.get("/experiments/").content.decode())
    sidebar = admin[admin.index('id="nav-sidebar-apps"') : admin.index('id="main"')]
    named: dict[str, set[str]] = {}
    for address, words in re.findall(
        r'<a\b[^>]*href="(/[^"]+)"[^>]*>(.*?)</a>', menu + sidebar, re.S
    ):
        # The theme writes the name of an icon before the title.
        title = re.sub(r'<span class="material[^>]*>.*?</span>', "", words, flags=re.S)
        named.setdefault(" ".join(strip_tags(title).split()), set()).add(address)
    assert named["Calendar of experiments"] == {reverse("calendar")}
    assert named["Calendar of campaigns"] == {reverse("campaign-calendar")}
    assert {name for name, addresses in named.items() if len(addresses) > 1} == set()
