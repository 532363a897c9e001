"""What people read where there is no page, or none for them."""

import pytest
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path

from config.urls import urlpatterns as ours
from tests.makers import make_user

pytestmark = pytest.mark.django_db

MENU = "Programme</a>"


def fail(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a mistake")


def refuse(request: HttpRequest) -> HttpResponse:
    raise BadRequest("no sense")


urlpatterns = [path("fails/", fail), path("refuses/", refuse), *ours]


def ask(
    address: str, *, superuser: bool | None = None, check_csrf: bool = False, **posted: str
) -> tuple[int, str]:
    client = Client(
        raise_request_exception=False,
        enforce_csrf_checks=check_csrf,
        headers={"x-forwarded-proto": "https"},
    )
    if superuser is not None:
        client.force_login(make_user(is_superuser=superuser))
    answer = client.post(address, posted) if posted else client.get(address)
    return answer.status_code, answer.content.decode()


def test_who_has_an_account_finds_the_way_from_a_page_that_is_not_there() -> None:
    status, page = ask("/experiments/none/", superuser=True)
    assert status == 404
    assert "There is no such page" in page
    assert MENU in page


def test_a_stranger_sees_no_menu_on_a_page_that_is_not_there() -> None:
    status, page = ask("/digest/leave/none/")
    assert status == 404
    assert "There is no such page" in page
    assert MENU not in page


def test_who_may_not_is_told_so_in_words() -> None:
    status, page = ask("/experiments/", superuser=False)
    assert status == 403
    assert "You may not do this" in page
    assert "administrator" in page


def test_a_form_that_is_too_old_says_that_nothing_was_changed() -> None:
    status, page = ask("/setup/", superuser=True, check_csrf=True, name="x")
    assert status == 403
    assert "this page was out of date" in page


@override_settings(ROOT_URLCONF=__name__)
@pytest.mark.parametrize(
    ("address", "status", "words"),
    [("/fails/", 500, "Something went wrong here"), ("/refuses/", 400, "This was not understood")],
)
def test_mistakes_have_pages_of_their_own(address: str, status: int, words: str) -> None:
    found, page = ask(address, superuser=True)
    assert found == status
    assert words in page
    assert 'href="/"' in page
