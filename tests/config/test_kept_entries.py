"""What somebody typed is not lost where a form comes too late."""

import re

import pytest
from django.conf import settings
from django.test import Client

from experiments.models import Experiment
from tests.filled_forms import open_form, read_form
from tests.makers import make_user

pytestmark = pytest.mark.django_db

HERE = "https://testserver"
TYPED = {"name": ["Free <shipping>"], "hypothesis": ["It sells\nmore."]}


@pytest.fixture
def browser() -> Client:
    headers = {"host": "testserver", "x-forwarded-proto": "https", "referer": f"{HERE}/setup/"}
    return Client(enforce_csrf_checks=True, headers=headers)


def test_what_was_typed_outlives_the_log_in(browser: Client) -> None:
    user = make_user(is_superuser=True)
    browser.force_login(user)
    sent = open_form(browser, "/setup/", having="hypothesis") | TYPED
    del browser.cookies[settings.SESSION_COOKIE_NAME]
    ended = browser.post("/setup/", sent, headers={"origin": HERE})
    words = ended.content.decode()
    assert ended.status_code == 401
    assert "no-store" in ended.headers["Cache-Control"]
    assert re.search(r'href="/admin/login/\?next=%2Fsetup%2F" target="_blank"', words)
    kept = read_form(words, having="hypothesis")
    assert {name: kept[name] for name in TYPED} == TYPED
    # In another tab somebody logs in, which makes the tokens of all pages old.
    browser.force_login(user)
    browser.cookies["csrftoken"] = "0" * 32
    old = browser.post("/setup/", kept, headers={"origin": HERE})
    assert old.status_code == 403
    assert not Experiment.objects.exists()
    again = read_form(old.content.decode(), having="hypothesis")
    assert browser.post("/setup/", again, headers={"origin": HERE}).status_code == 302
    assert Experiment.objects.get().name == "Free <shipping>"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", f"{HERE}.evil.example"])
def test_a_form_from_elsewhere_is_not_offered_for_sending(browser: Client, origin: str) -> None:
    browser.force_login(make_user(is_superuser=True))
    open_form(browser, "/setup/", having="hypothesis")
    answer = browser.post("/setup/", TYPED, headers={"origin": origin})
    assert answer.status_code == 403
    assert "Free" not in answer.content.decode()


def test_no_password_is_written_into_a_page(browser: Client) -> None:
    browser.get("/admin/login/")
    posted = {"username": "ann", "password": "secret-of-ann"}
    answer = browser.post("/admin/login/", posted, headers={"origin": HERE})
    assert answer.status_code == 403
    assert "secret-of-ann" not in answer.content.decode()


def test_where_nothing_was_typed_the_log_in_follows_at_once(browser: Client) -> None:
    browser.force_login(make_user(is_superuser=True))
    token = open_form(browser, "/setup/", having="hypothesis")["csrfmiddlewaretoken"]
    del browser.cookies[settings.SESSION_COOKIE_NAME]
    answer = browser.post("/experiments/x/refresh/", {"csrfmiddlewaretoken": token})
    assert answer.headers["Location"] == "/admin/login/?next=%2Fsetup%2F"


def test_a_live_part_of_a_page_offers_nothing_to_send(browser: Client) -> None:
    browser.force_login(make_user(is_superuser=True))
    open_form(browser, "/setup/", having="hypothesis")
    answer = browser.post("/setup/", TYPED, headers={"origin": HERE, "HX-Request": "true"})
    assert answer.status_code == 403
    assert "this page was out of date" in answer.content.decode()
