"""Two people who have one form open do not overwrite each other unseen."""

from collections.abc import Mapping
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from campaigns.lifecycle.drafting import Split
from campaigns.lifecycle.redrafting import change_split, find_split
from campaigns.lifecycle.status import start_campaign
from campaigns.models import Campaign, Cap, Step
from tests.campaigns.mailed import BODY, make_mail_placement
from tests.filled_forms import MEANWHILE, open_form, read_form
from tests.makers import make_campaign, make_metric, make_offer
from tests.racing import other_sessions, wait_for_blocked

pytestmark = pytest.mark.django_db

# A field of each step, and two other values of it.
EDITS: Mapping[str, tuple[str, str, str]] = {
    "idea": ("name", "Winter", "Summer"),
    "proof": ("holdout_percent", "20", "30"),
    "schedule": ("budget", "120.50", "99.00"),
}


@pytest.fixture
def draft() -> Campaign:
    return make_campaign(started_at=None)


def address(campaign: Campaign, step: str) -> str:
    return f"/campaigns/{campaign.key}/setup/{step}/"


@pytest.mark.parametrize("step", EDITS)
def test_a_step_that_somebody_else_saved_is_not_overwritten_unseen(
    draft: Campaign, admin: Client, step: str
) -> None:
    field, theirs, ours = EDITS[step]
    page = address(draft, step)
    first, second = (open_form(admin, page, having=field) for _ in range(2))
    assert admin.post(page, first | {field: [theirs]}).status_code == 302
    answer = admin.post(page, second | {field: [ours]})
    assert answer.status_code == 200
    words = answer.content.decode()
    assert MEANWHILE in words
    assert f"Meanwhile it was saved as “{theirs}”." in words
    kept = read_form(words, having=field)
    assert kept[field] == [ours]
    assert open_form(admin, page, having=field)[field] == [theirs]
    # Whoever has seen it may put something else in its place.
    assert admin.post(page, kept).status_code == 302
    assert open_form(admin, page, having=field)[field] == [ours]


def test_the_same_sent_twice_is_no_conflict(draft: Campaign, admin: Client) -> None:
    for step, (field, theirs, _) in EDITS.items():
        sent = open_form(admin, address(draft, step), having=field) | {field: [theirs]}
        assert admin.post(address(draft, step), sent).status_code == 302
        assert admin.post(address(draft, step), sent).status_code == 302


def test_what_is_wrong_besides_lets_nobody_overwrite(draft: Campaign, admin: Client) -> None:
    page = address(draft, "schedule")
    first, second = (open_form(admin, page, having="budget") for _ in range(2))
    admin.post(page, first | {"budget": ["12.00"]})
    # The page with the mistake on it shows nothing of what was saved meanwhile.
    mistaken = admin.post(page, second | {"budget": ["-1"]})
    again = read_form(mistaken.content.decode(), having="budget") | {"budget": ["5.00"]}
    assert MEANWHILE in admin.post(page, again).content.decode()


def test_offers_and_audiences_are_named_as_people_know_them(draft: Campaign, admin: Client) -> None:
    page = address(draft, "offers")
    socks, hats = make_offer(name="Socks"), make_offer(name="Hats")
    first, second = (open_form(admin, page, having="offers") for _ in range(2))
    admin.post(page, first | {"offers": [str(socks.pk)]})
    words = admin.post(page, second | {"offers": [str(hats.pk)]}).content.decode()
    assert "Meanwhile it was saved as “Socks”." in words
    assert list(draft.offers.all()) == [socks]


def test_another_step_is_no_conflict(draft: Campaign, admin: Client) -> None:
    sent = open_form(admin, address(draft, "proof"), having="holdout_percent")
    idea = open_form(admin, address(draft, "idea"), having="goal")
    admin.post(address(draft, "idea"), idea | {"name": ["Another"]})
    admin.post(address(draft, "proof"), sent | {"holdout_percent": ["25"]})
    assert find_split(draft).holdout_percent == 25


def test_a_limit_that_somebody_else_set_is_not_taken_away(draft: Campaign, admin: Client) -> None:
    page = address(draft, "schedule")
    sent = open_form(admin, page, having="cap0_limit")
    Cap.objects.create(campaign=draft, limit=3, window="day")
    assert MEANWHILE in admin.post(page, sent).content.decode()
    assert draft.caps.get().limit == 3


def test_a_program_that_saves_without_a_page_says_what_it_wants(
    draft: Campaign, admin: Client
) -> None:
    sent = open_form(admin, address(draft, "idea"), having="goal")
    del sent["seen"]
    Campaign.objects.filter(pk=draft.pk).update(name="Another")
    assert admin.post(address(draft, "idea"), sent).status_code == 302


def test_a_campaign_that_was_started_meanwhile_stays_as_it_is(admin: Client) -> None:
    draft = make_campaign(started_at=None, goal=make_metric())
    page = address(draft, "schedule")
    sent = open_form(admin, page, having="budget")
    start_campaign(draft, by=None, now=timezone.now())
    answer = admin.post(page, sent | {"budget": ["1.00"]}, follow=True)
    assert "it is not set up any more" in answer.content.decode()
    draft.refresh_from_db()
    assert draft.budget_cents is None


@pytest.mark.parametrize("deed", ["request", "start"])
def test_nobody_starts_or_asks_for_what_the_page_did_not_show(
    draft: Campaign, admin: Client, settings: Any, deed: str
) -> None:
    settings.REVIEW_IS_REQUIRED = False
    page = f"/campaigns/{draft.key}/setup/"
    sent = open_form(admin, page, having="note") | {"do": [deed]}
    change_split(draft, Split(holdout_percent=1))
    answer = admin.post(page, sent, follow=True)
    assert "Somebody changed it since you opened this page" in answer.content.decode()
    draft.refresh_from_db()
    assert draft.status == "draft"
    admin.post(page, open_form(admin, page, having="note") | {"do": [deed]})
    draft.refresh_from_db()
    assert draft.status != "draft"


def make_writable() -> Step:
    campaign = make_campaign(placement=make_mail_placement(), started_at=None)
    return Step.objects.create(campaign=campaign, name="First")


def test_a_mail_that_somebody_else_wrote_is_not_overwritten_unseen(admin: Client) -> None:
    step = make_writable()
    page = f"/campaigns/{step.campaign.key}/messages/{step.pk}/"
    first, second = (open_form(admin, page, having="subject") for _ in range(2))
    theirs = first | {"subject": ["Theirs"], "headline": ["Their headline"]}
    assert [admin.post(page, theirs).status_code for _ in range(2)] == [302, 302]
    words = admin.post(page, second | {"subject": ["Ours"], "text": ["Our text"]}).content.decode()
    assert MEANWHILE in words
    assert "Meanwhile it was saved as “Theirs”." in words
    assert "Meanwhile it was saved as “Their headline”." in words
    assert "&lt;mjml" not in words[words.index("Meanwhile") : words.index("Our text")]
    kept = read_form(words, having="subject")
    assert (kept["subject"], kept["text"]) == (["Ours"], ["Our text"])
    assert step.messages.get().subject == "Theirs"
    assert admin.post(page, kept).status_code == 302
    assert step.messages.get().subject == "Ours"


def test_two_who_edit_mjml_see_each_other(admin: Client) -> None:
    step = make_writable()
    page = f"/campaigns/{step.campaign.key}/messages/{step.pk}/"
    plain = open_form(admin, page, having="subject") | {"subject": ["Plain"]}
    admin.post(page, plain)
    expert = {"mode": ["expert"], "body": [BODY]}
    first, second = (open_form(admin, page, having="subject") | expert for _ in range(2))
    assert [admin.post(page, first).status_code for _ in range(2)] == [302, 302]
    other = second | {"body": [BODY.replace("Shop<", "Buy<")]}
    assert MEANWHILE in admin.post(page, other).content.decode()


def test_when_a_message_is_sent_is_not_overwritten_unseen(admin: Client) -> None:
    step = make_writable()
    page = f"/campaigns/{step.campaign.key}/messages/{step.pk}/settings/"
    first, second = (open_form(admin, page, having="wait_minutes") for _ in range(2))
    assert admin.post(page, first | {"wait_minutes": ["60"]}).status_code == 302
    words = admin.post(page, second | {"wait_minutes": ["5"]}).content.decode()
    assert "Meanwhile it was saved as “60”." in words
    step.refresh_from_db()
    assert step.wait_minutes == 60


def test_a_mail_of_a_campaign_that_was_started_meanwhile_stays(admin: Client) -> None:
    step = make_writable()
    page = f"/campaigns/{step.campaign.key}/messages/{step.pk}/"
    admin.post(page, open_form(admin, page, having="subject") | {"subject": ["Before"]})
    late = open_form(admin, page, having="subject") | {"subject": ["Late"]}
    start_campaign(step.campaign, by=None, now=timezone.now())
    words = admin.post(page, late).content.decode()
    assert "Nothing is saved." in words
    assert "Late" in words
    assert step.messages.get().subject == "Before"


@pytest.mark.django_db(transaction=True)
def test_who_saves_a_step_waits_for_who_starts_the_campaign(admin: Client) -> None:
    draft = make_campaign(started_at=None)
    page = address(draft, "schedule")
    sent = open_form(admin, page, having="budget") | {"budget": ["1.00"]}
    with other_sessions(1) as call:
        with transaction.atomic():
            start_campaign(draft, by=None, now=timezone.now())
            saving = call(lambda: admin.post(page, sent))
            wait_for_blocked()
        assert saving.result()["location"] == draft.get_absolute_url()
    draft.refresh_from_db()
    assert draft.budget_cents is None
