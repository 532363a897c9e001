"""Where those are led whose log-in has ended."""

import pytest
from django.test import Client
from django.urls import reverse

pytestmark = pytest.mark.django_db

HERE = "https://testserver"


def ask(method: str, address: str, **headers: str) -> tuple[int, str, str]:
    client = Client(headers={"host": "testserver", "x-forwarded-proto": "https", **headers})
    answer = getattr(client, method)(address)
    return answer.status_code, answer.headers.get("Location", ""), answer.content.decode()


def test_a_page_is_asked_for_again_after_the_log_in() -> None:
    status, location, _ = ask("get", "/experiments/?sort=name")
    assert (status, location) == (302, "/admin/login/?next=/experiments/%3Fsort%3Dname")


@pytest.mark.parametrize(
    ("referer", "page"),
    [
        (f"{HERE}/experiments/x/?by=country", "%2Fexperiments%2Fx%2F%3Fby%3Dcountry"),
        ("https://elsewhere.example/experiments/x/", "%2F"),
        ("", "%2F"),
    ],
)
def test_after_the_log_in_one_is_where_one_posted_from(referer: str, page: str) -> None:
    status, location, _ = ask("post", "/experiments/x/refresh/", referer=referer)
    assert (status, location) == (302, f"/admin/login/?next={page}")


def test_a_part_of_a_page_is_not_replaced_by_the_log_in() -> None:
    status, location, words = ask(
        "post",
        reverse("audience-count"),
        **{"HX-Request": "true", "HX-Current-URL": f"{HERE}/audiences/new/"},
    )
    assert (status, location) == (401, "")
    assert "You are logged out" in words
    assert 'href="/admin/login/?next=%2Faudiences%2Fnew%2F"' in words


def test_other_ways_on_stay_as_they_are() -> None:
    assert ask("get", "/")[1] == "/admin/campaigns/campaign/"
