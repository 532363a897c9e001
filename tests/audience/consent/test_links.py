import time
from urllib.parse import urlsplit

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from audience.consent.link_tokens import read_text, sign_text
from audience.consent.links import Link, make_unsubscribe_url, read_link
from audience.consent.record import record_consent
from audience.models import Channel, Consent, ConsentChange, ConsentState, Customer
from tests.makers import NOW, make_customer, merge

EMAIL = Channel.EMAIL
ONE_CLICK = "List-Unsubscribe=One-Click"
FORM = "application/x-www-form-urlencoded"


def browser() -> Client:
    return Client(enforce_csrf_checks=True, headers={"x-forwarded-proto": "https"})


def subscribe(customer: Customer, *purposes: str) -> None:
    for purpose in purposes or ("marketing",):
        record_consent(
            customer,
            channel=EMAIL,
            purpose=purpose,
            state=ConsentState.OPTED_IN,
            source="form",
            evidence={},
            now=NOW,
        )


def path_of(customer: Customer, purpose: str = "marketing", delivery: int | None = None) -> str:
    url = make_unsubscribe_url(customer.pk, channel=EMAIL, purpose=purpose, delivery_id=delivery)
    return urlsplit(url).path


def states(customer: Customer) -> dict[str, str]:
    return dict(Consent.objects.filter(customer=customer).values_list("purpose", "state"))


@given(
    customer=st.integers(1, 2**63 - 1),
    purpose=st.from_regex(r"\A[a-zA-Z0-9_-]{1,60}\Z"),
    delivery=st.none() | st.integers(1, 2**63 - 1),
    channel=st.sampled_from(Channel),
)
def test_a_link_says_what_it_was_made_of(
    customer: int, purpose: str, delivery: int | None, channel: Channel
) -> None:
    link = Link(customer, channel, purpose, delivery)
    assert read_link(link.token) == link


@given(st.text(max_size=400))
def test_no_text_is_taken_for_a_link(text: str) -> None:
    assert read_link(text) is None


@given(st.data())
def test_a_changed_link_is_none_of_ours(data: st.DataObject) -> None:
    token = Link(7, EMAIL, "marketing", 9).token
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("ABCdef019-_").filter(lambda one: one != token[place]))
    changed = token[:place] + other + token[place + 1 :]
    # The last character has bits that belong to no byte.
    assert read_link(changed) is None or place == len(token) - 1


def test_a_token_of_another_use_is_no_link() -> None:
    assert read_text(sign_text("7.email.marketing.", use="confirm"), use="unsubscribe") is None


def test_links_outlive_a_secret_key_that_is_still_named(settings: Settings) -> None:
    link = Link(7, EMAIL, "marketing")
    token = link.token
    old, settings.SECRET_KEY = settings.SECRET_KEY, "new" * 20
    assert read_link(token) is None
    settings.SECRET_KEY_FALLBACKS = [old]
    assert read_link(token) == link


def test_links_are_made_by_the_thousand() -> None:
    begun = time.perf_counter()
    for number in range(5000):
        make_unsubscribe_url(number, channel=EMAIL, purpose="marketing", delivery_id=number)
    # Thousands a second even where the machine has other things to do.
    assert time.perf_counter() - begun < 1.0


@pytest.mark.django_db
@pytest.mark.parametrize("body", [ONE_CLICK, "", "anything=else"])
def test_one_click_unsubscribes_without_a_cookie_or_a_second_step(body: str) -> None:
    ann = make_customer()
    subscribe(ann, "marketing", "news")
    client = browser()
    answer = client.post(path_of(ann, delivery=5), body, content_type=FORM)
    assert (answer.status_code, len(answer.cookies)) == (200, 0)
    assert states(ann) == {"marketing": "opted_out", "news": "opted_in"}
    change = ConsentChange.objects.filter(customer=ann).latest("changed_at")
    assert change.source == ("one-click" if body == ONE_CLICK else "link")
    assert change.evidence == {"delivery": 5}


@pytest.mark.django_db
def test_a_mail_program_may_post_several_parts() -> None:
    ann = make_customer()
    subscribe(ann)
    answer = browser().post(path_of(ann), {"List-Unsubscribe": "One-Click"})
    assert (answer.status_code, states(ann)) == (200, {"marketing": "opted_out"})


@pytest.mark.django_db
def test_unsubscribing_twice_is_one_change() -> None:
    ann = make_customer()
    subscribe(ann)
    for _ in range(2):
        assert browser().post(path_of(ann), ONE_CLICK, content_type=FORM).status_code == 200
    assert ConsentChange.objects.filter(customer=ann, state="opted_out").count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["get", "head"])
def test_following_a_link_unsubscribes_nobody(method: str) -> None:
    ann = make_customer()
    subscribe(ann)
    answer = getattr(browser(), method)(path_of(ann), {"List-Unsubscribe": "One-Click"})
    assert (answer.status_code, len(answer.cookies)) == (200, 0)
    assert states(ann) == {"marketing": "opted_in"}
    assert answer["Cache-Control"].startswith("max-age=0")


@pytest.mark.django_db
def test_the_page_asks_and_lists_what_there_is_to_choose() -> None:
    ann = make_customer()
    subscribe(ann, "marketing", "weekly-news")
    page = browser().get(path_of(ann)).content.decode()
    assert "Unsubscribe?" in page
    assert "Weekly news" in page
    assert page.count(" checked") == 2


@pytest.mark.django_db
def test_preferences_are_what_is_ticked_and_nothing_that_was_not_offered() -> None:
    ann = make_customer()
    subscribe(ann, "marketing", "news")
    wanted = {"save": "preferences", "want": ["email.news", "email.invented", "rubbish"]}
    assert browser().post(path_of(ann), wanted).status_code == 200
    assert states(ann) == {"marketing": "opted_out", "news": "opted_in"}
    browser().post(path_of(ann), {"save": "preferences", "want": ["email.marketing"]})
    assert states(ann) == {"marketing": "opted_in", "news": "opted_out"}


@pytest.mark.django_db
def test_a_visitors_link_unsubscribes_the_customer_whom_the_visitor_turned_out_to_be() -> None:
    visitor, ann = make_customer(), make_customer()
    subscribe(ann)
    merge(visitor, into=ann)
    browser().post(path_of(visitor), ONE_CLICK, content_type=FORM)
    assert states(ann) == {"marketing": "opted_out"}


@pytest.mark.django_db
def test_the_link_of_somebody_who_was_erased_says_so() -> None:
    ann = make_customer()
    path = path_of(ann)
    Customer.objects.filter(pk=ann.pk).delete()
    for answer in (browser().get(path), browser().post(path, ONE_CLICK, content_type=FORM)):
        assert answer.status_code == 200
        assert "do not know you any more" in answer.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("token", ["rubbish", "a" * 500, "%00", "ä", "AAAA.BBBB"])
def test_a_link_that_is_not_ours_is_a_page_that_says_so(token: str) -> None:
    for answer in (browser().get(f"/u/{token}"), browser().post(f"/u/{token}")):
        assert answer.status_code == 404
        assert "This link does not work" in answer.content.decode()
