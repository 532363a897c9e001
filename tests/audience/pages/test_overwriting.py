"""Two people who have one audience open do not overwrite each other unseen."""

import pytest
from django.db import transaction
from django.test import Client

from audience.audiences.saving import delete_audience, take_turns
from audience.models import Audience
from tests.audience.audiences.test_saving import DE, FR, make_audience
from tests.filled_forms import MEANWHILE, open_form, read_form
from tests.makers import make_customer
from tests.racing import other_sessions, wait_for_blocked

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(admin: Client) -> Client:
    make_customer(attributes={"country": "DE"})
    return admin


@pytest.fixture
def audience() -> Audience:
    return make_audience(DE, key="germans")


def test_a_rule_that_somebody_else_saved_is_not_overwritten_unseen(
    browser: Client, audience: Audience
) -> None:
    page = "/audiences/of/germans/"
    first, second = (open_form(browser, page, having="row0-value") for _ in range(2))
    french = first | {"row0-value": ["FR"]}
    assert [browser.post(page, french).status_code for _ in range(2)] == [302, 302]
    spanish = second | {"row0-value": ["ES"]}
    # A button that adds a row shows nothing of what was saved, and so is no reason to overwrite it.
    added = browser.post(page, spanish | {"do": ["group"]}).content.decode()
    answer = browser.post(page, read_form(added, having="row0-value") | {"do": ["save"]})
    words = answer.content.decode()
    assert MEANWHILE in words
    assert "By now it means: country is FR." in words
    audience.refresh_from_db()
    assert (audience.rule, audience.version) == (FR, 2)
    kept = read_form(words, having="row0-value")
    assert kept["row0-value"] == ["ES"]
    assert browser.post(page, kept | {"do": ["save"]}).status_code == 302


def test_a_name_that_somebody_else_gave_is_not_taken_back(
    browser: Client, audience: Audience
) -> None:
    page = "/audiences/of/germans/"
    first, second = (open_form(browser, page, having="row0-value") for _ in range(2))
    browser.post(page, first | {"name": ["Germany"]})
    words = browser.post(page, second | {"row0-value": ["AT"]}).content.decode()
    assert "Meanwhile it was saved as “Germany”." in words
    audience.refresh_from_db()
    assert (audience.name, audience.rule) == ("Germany", DE)


@pytest.mark.django_db(transaction=True)
def test_an_audience_that_is_deleted_while_it_is_saved_does_not_come_back(
    browser: Client, audience: Audience
) -> None:
    page = "/audiences/of/germans/"
    sent = open_form(browser, page, having="row0-value") | {"row0-value": ["FR"]}
    with other_sessions(1) as call:
        with transaction.atomic():
            take_turns()
            saving = call(lambda: browser.post(page, sent))
            wait_for_blocked()
            delete_audience(audience)
        assert saving.result().status_code == 404
    assert not Audience.objects.exists()
