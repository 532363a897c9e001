"""The pages on which messages are written, tried and watched."""

import re
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from audience.models import Audience
from audience.rules.evaluation import Happening, Person, holds
from audience.rules.grammar import parse_rule
from campaigns.lifecycle.cloning import clone_campaign
from campaigns.lifecycle.preflight import find_issues
from campaigns.mail.starters import DESIGNS, Plain, read_plain, to_mjml
from campaigns.models import Campaign, Delivery, Message, Step
from campaigns.sending.enrolling import enrol_due
from campaigns.sending.step_conditions import Condition, Kind, describe_steps, read_condition
from tests.campaigns.mailed import add_step, make_mail_placement, make_mailed, make_readers
from tests.filled_forms import open_form, read_form
from tests.makers import make_campaign, make_customers, make_user

pytestmark = pytest.mark.django_db

WRITTEN = {
    "subject": 'Hi {{ customer.first_name | default("you") }}',
    "preheader": "",
    "mode": "plain",
    "design": "offer",
    "headline": "{{ offer.headline }}",
    "text": "One & two\n\nThree",
    "button": "Go",
    "link": "{{ offer.link }}",
    "image": "",
    "footer": "Shop, Street 1",
    "body": "",
    "plain_text": "",
}


@pytest.fixture
def browser(client: Client) -> Client:
    client.force_login(make_user(is_superuser=True))
    client.defaults["HTTP_X_FORWARDED_PROTO"] = "https"
    return client


@pytest.fixture
def step() -> Step:
    campaign = make_campaign(placement=make_mail_placement(), started_at=None)
    return Step.objects.create(campaign=campaign, name="First")


def address(step: Step, rest: str = "") -> str:
    return f"/campaigns/{step.campaign.key}/messages/{step.pk}/{rest}"


def test_a_message_is_added_and_written_without_any_mjml(browser: Client) -> None:
    campaign = make_campaign(placement=make_mail_placement(), started_at=None)
    page = f"/campaigns/{campaign.key}/messages/"
    assert b"There is no message yet" in browser.get(page).content
    answer = browser.post(page, {"name": "Hello", "wait_minutes": "0", "condition": "everybody"})
    step = campaign.steps.get()
    assert answer.headers["location"] == address(step)
    assert b"Text in a design" in browser.get(address(step)).content
    assert browser.post(address(step), WRITTEN).status_code == 302
    message = Message.objects.get()
    assert message.html.startswith("<!doctype html>")
    assert "One &amp; two" in message.html
    again = browser.get(address(step)).content.decode()
    assert "One &amp; two" in again
    assert "Hello" in browser.get(page).content.decode()


def test_each_language_has_a_message_of_its_own(browser: Client, step: Step) -> None:
    browser.post(address(step), WRITTEN)
    browser.post(f"{address(step)}?language=de", {**WRITTEN, "subject": "Hallo"})
    subjects = dict(Message.objects.values_list("language", "subject"))
    assert subjects == {"": WRITTEN["subject"], "de": "Hallo"}
    browser.post(f"{address(step)}?language=not+one", WRITTEN)
    assert Message.objects.count() == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"text": "Dear {{ customer.first_name }}"}, "Say what is written where it is not known"),
        ({"text": "Dear {{ nobody }}"}, "is not known"),
        ({"subject": ""}, "This field is required"),
        ({"mode": "expert", "body": "<mjml><mj-body><mj-foo/></mj-body></mjml>"}, "mj-foo"),
        ({"mode": "expert", "body": ""}, "It needs"),
        ({"link": "javascript:alert(1)"}, "none of a page"),
    ],
)
def test_what_is_wrong_is_said_and_not_saved(
    browser: Client, step: Step, changes: dict[str, str], words: str
) -> None:
    answer = browser.post(address(step), {**WRITTEN, **changes})
    assert answer.status_code == 200
    assert words in answer.content.decode().replace("&lt;", "<").replace("&gt;", ">")
    assert Message.objects.count() == 0


def test_a_preview_is_what_a_customer_would_get_and_runs_nothing(
    browser: Client, step: Step
) -> None:
    (reader,) = make_readers(1, first_name="<b>Ana")
    asked = {**WRITTEN, "as_customer": reader.external_key, "to": ""}
    frame = browser.post(address(step, "preview/"), asked).content.decode()
    assert "Hi &lt;b&gt;Ana" in frame
    source = re.search(r'src="([^"]+)"', frame)
    assert source is not None
    shown = browser.get(source[1])
    assert "One &amp; two" in shown.content.decode()
    assert "sandbox" in shown.headers["Content-Security-Policy"]
    assert "script-src" not in shown.headers["Content-Security-Policy"]
    assert shown.headers["X-Frame-Options"] == "SAMEORIGIN"
    unknown = browser.post(address(step, "preview/"), {**asked, "as_customer": "nobody"})
    assert b"no such customer" in unknown.content
    wrong = browser.post(address(step, "preview/"), {**asked, "text": "{{ x }}"})
    assert "“x” is not known" in wrong.content.decode()
    assert Message.objects.count() == 0


def test_a_test_is_sent_and_nothing_is_learned_of_it(browser: Client, step: Step) -> None:
    (reader,) = make_readers(1, first_name="Ana", agrees=False)
    browser.post(address(step), WRITTEN)
    form = {"to": "me@shop.example", "as_customer": reader.external_key}
    answer = browser.post(address(step, "test/"), form, follow=True)
    assert "on its way to me@shop.example" in answer.content.decode()
    (message,) = mail.outbox
    assert (message.subject, message.to) == ("[Test] Hi Ana", ["me@shop.example"])
    assert Delivery.objects.count() == 0
    declining = message.extra_headers["List-Unsubscribe"].split("<")[1].split(">")[0]
    path = "/" + declining.split("/", 3)[3]
    assert b"Nothing was changed" in browser.get(path).content
    assert browser.post(path, {"List-Unsubscribe": "One-Click"}).status_code == 200
    for wrong in ({"to": ""}, {"to": "x"}, {**form, "as_customer": "nobody"}):
        browser.post(address(step, "test/"), wrong)
    assert len(mail.outbox) == 1


def test_the_seed_list_gets_what_goes_out(settings: Any) -> None:
    settings.SEED_ADDRESSES = ["seed@shop.example"]
    make_readers(2)
    make_mailed(steps=(0, 60))
    assert enrol_due(now=timezone.now()) == 2
    assert [message.to for message in mail.outbox] == [["seed@shop.example"]] * 2
    enrol_due(now=timezone.now())
    assert len(mail.outbox) == 2


def test_what_is_sent_is_not_changed_any_more(browser: Client) -> None:
    campaign = make_mailed()
    step = campaign.steps.get()
    before = step.messages.get().subject
    browser.post(address(step), WRITTEN)
    assert step.messages.get().subject == before


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("running", "The campaign is running by now"),
        ("paused", "started again"),
        ("finished", "a new campaign"),
        ("in_review", "The campaign is in review"),
    ],
)
@pytest.mark.parametrize("rest", ["", "settings/"])
def test_who_comes_too_late_is_told_so_and_keeps_what_was_entered(
    browser: Client, step: Step, status: str, words: str, rest: str
) -> None:
    page = address(step, "settings/") if rest else f"/campaigns/{step.campaign.key}/messages/"
    sent = open_form(browser, page, having="wait_minutes")
    Campaign.objects.update(status=status)
    answer = browser.post(page, sent | {"name": ["My reminder"], "wait_minutes": ["77"]})
    said = answer.content.decode()
    assert "Nothing is saved." in said
    assert words in said
    kept = read_form(said, having="wait_minutes")
    assert (kept["name"], kept["wait_minutes"]) == (["My reminder"], ["77"])
    assert '<button class="primary">' not in said
    assert list(step.campaign.steps.values_list("name", "wait_minutes")) == [("First", 0)]
    for address_, _ in re.findall(r'href="(/campaigns/[^"]+/(pause|start|finish|setup)/)"', said):
        assert browser.get(address_).status_code == 200, address_
    # Whoever opens it only then is not asked to fill in anything.
    assert "Nothing is saved." not in browser.get(page).content.decode()


def test_who_may_not_change_a_campaign_adds_no_message(client: Client, step: Step) -> None:
    client.force_login(make_user("campaigns.view_campaign"))
    client.defaults["HTTP_X_FORWARDED_PROTO"] = "https"
    page = f"/campaigns/{step.campaign.key}/messages/"
    form = {"name": "x", "wait_minutes": "0", "condition": "everybody"}
    assert client.post(page, form).status_code == 403
    assert step.campaign.steps.count() == 1


def test_who_only_looks_changes_nothing(client: Client, step: Step) -> None:
    client.force_login(make_user("campaigns.view_campaign"))
    client.defaults["HTTP_X_FORWARDED_PROTO"] = "https"
    assert client.get(f"/campaigns/{step.campaign.key}/messages/").status_code == 200
    assert client.get(f"/campaigns/{step.campaign.key}/progress/").status_code == 200
    for path in (address(step), address(step, "shown/")):
        assert client.get(path).status_code == 403
    for path in (
        address(step, "preview/"),
        address(step, "test/"),
        f"/campaigns/{step.campaign.key}/in-doubt/",
    ):
        assert client.post(path, {}).status_code == 403


def test_a_campaign_on_the_site_has_no_messages(browser: Client) -> None:
    campaign = make_campaign(started_at=None)
    assert browser.get(f"/campaigns/{campaign.key}/messages/").status_code == 404


def doubtful(campaign: Campaign, count: int = 2) -> list[Delivery]:
    step = campaign.steps.all()[0]
    return [
        Delivery.objects.create(
            campaign=campaign,
            step=step,
            customer=customer,
            state="in_doubt",
            provider_id=f"<{n}@x>",
            send_after=timezone.now(),
            reason="The worker ended.",
        )
        for n, customer in enumerate(make_customers(count))
    ]


def test_the_progress_is_shown_and_goes_on(browser: Client) -> None:
    campaign = make_mailed()
    doubtful(campaign)
    page = browser.get(f"/campaigns/{campaign.key}/progress/").content.decode()
    assert "2 of 2" in page
    assert "every 2s" in page
    part = browser.get(f"/campaigns/{campaign.key}/progress/", headers={"hx-request": "true"})
    assert "<html" not in part.content.decode()


def test_somebody_says_what_becomes_of_what_is_in_doubt(browser: Client) -> None:
    campaign = make_mailed(steps=(0, 60))
    first, second = doubtful(campaign)
    page = f"/campaigns/{campaign.key}/in-doubt/"
    assert first.customer.external_key in browser.get(page).content.decode()
    done = browser.post(page, {"delivery": [first.pk], "deed": "sent"}, follow=True)
    assert "1 message counts as sent." in done.content.decode()
    nothing = browser.post(page, {"deed": "again"}, follow=True)
    assert "Tick at least one message." in nothing.content.decode()
    browser.post(page, {"delivery": [second.pk, "x"], "deed": "again", "sure": "yes"})
    browser.post(page, {"delivery": [first.pk], "deed": "again", "sure": "yes"})
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, second.state, second.provider_id) == ("sent", "queued", "")
    # Whose message counts as sent goes on to the next one.
    assert campaign.deliveries.filter(customer=first.customer).count() == 2
    actions = list(campaign.experiment.changes.values_list("action", flat=True))
    assert "1 message in doubt counted as sent" in actions


def test_what_is_in_doubt_is_shown_some_at_a_time_and_the_rest_counted(
    browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("campaigns.messages.deliveries.MOST", 2)
    campaign = make_mailed()
    ids = [delivery.pk for delivery in doubtful(campaign, 5)]
    page = f"/campaigns/{campaign.key}/in-doubt/"
    shown = browser.get(page).content.decode()
    assert shown.count('name="shown"') == 2
    assert "the oldest 2 of 5" in shown
    # Nobody is decided about who was not shown when it was asked for the second time.
    asked = browser.post(page, {"delivery": ids, "deed": "again"}).content.decode()
    assert "Send 2 messages again?" in asked
    browser.post(page, {"delivery": ids, "deed": "again", "sure": "yes"})
    assert campaign.deliveries.filter(state="in_doubt").count() == 3
    browser.post(page, {"shown": ids[2:4], "all": "on", "deed": "sent"})
    assert "oldest" not in browser.get(page).content.decode()


def test_nothing_is_sent_again_by_a_quick_click(browser: Client) -> None:
    campaign = make_mailed()
    first, second, third = doubtful(campaign, 3)
    page = f"/campaigns/{campaign.key}/in-doubt/"
    assert " checked" not in browser.get(page).content.decode()
    asked = browser.post(page, {"delivery": [first.pk, second.pk], "deed": "again"})
    words = asked.content.decode()
    assert "Send 2 messages again?" in words
    assert first.customer.external_key in words
    assert third.customer.external_key not in words
    assert set(campaign.deliveries.values_list("state", flat=True)) == {"in_doubt"}
    # Somebody else decided while it was asked.
    browser.post(page, {"delivery": [first.pk], "deed": "sent"})
    late = browser.post(page, {"delivery": [first.pk], "deed": "again"})
    assert "Nothing of it is in doubt any more" in late.content.decode()


def test_all_that_a_page_showed_is_decided_at_once_and_nothing_else(browser: Client) -> None:
    campaign = make_mailed()
    shown, later = doubtful(campaign, 2)
    page = f"/campaigns/{campaign.key}/in-doubt/"
    browser.post(page, {"shown": [shown.pk], "all": "on", "deed": "sent"})
    shown.refresh_from_db()
    later.refresh_from_db()
    assert (shown.state, later.state) == ("sent", "in_doubt")


@pytest.mark.parametrize("design", DESIGNS)
def test_a_design_is_read_as_it_was_written(design: str) -> None:
    plain = Plain(
        design, "A -- {{ offer.name }} <b>", "One\n\nTwo\nthree & -->", "Go", "https://x/"
    )
    source = to_mjml(plain)
    assert read_plain(source) == plain
    assert read_plain(source.replace(">Go<", ">Come<")) is None
    assert read_plain("<mjml></mjml>") is None
    assert read_plain('<!-- offerlab {"a": 1} -->\n<mjml></mjml>') is None
    assert "<mj-button" not in to_mjml(Plain(design))
    assert '<mj-image src="https://x/i.png"' in to_mjml(Plain(design, image="https://x/i.png"))
    step = Step.objects.create(
        campaign=make_campaign(placement=make_mail_placement(), started_at=None), name="x"
    )
    add = add_step(step.campaign, 1, 0, subject="x", body=source)
    html = add.messages.get().html
    assert "offerlab {" not in html
    assert "Two<br" in html


def test_a_step_is_for_whom_its_author_says(browser: Client) -> None:
    audience = Audience.objects.create(key="vips", name="VIPs", rule={"all": []})
    campaign = make_campaign(placement=make_mail_placement(), started_at=None)
    page = f"/campaigns/{campaign.key}/messages/"
    asked = {"name": "Reminder", "wait_minutes": "60"}
    refused = browser.post(page, {**asked, "condition": "no_member"})
    assert "Choose the audience." in refused.content.decode()
    browser.post(page, {**asked, "condition": "no_member", "audience": audience.key})
    step = campaign.steps.get()
    assert step.only_if == {"not": {"audience": "vips"}}
    assert "Only if not (is in VIPs)" in browser.get(page).content.decode()
    shown = browser.get(address(step, "settings/")).content.decode()
    assert '<option value="vips" selected>' in shown
    browser.post(address(step, "settings/"), {**asked, "condition": "clicked"})
    step.refresh_from_db()
    rule = parse_rule(step.only_if)
    clicked = Happening("Message Clicked", timezone.now(), None, {"campaign": campaign.key})
    elsewhere = Happening("Message Clicked", timezone.now(), None, {"campaign": "other"})
    for events, is_for in (([clicked], True), ([elsewhere], False), ([], False)):
        assert holds(rule, Person(events=events), now=timezone.now()) is is_for


def test_a_rule_that_the_page_cannot_show_is_kept(browser: Client, step: Step) -> None:
    rule = {"attribute": "country", "is": "one of", "value": ["DE"]}
    Step.objects.update(only_if=rule)
    kept = {"name": "Renamed", "wait_minutes": "5", "condition": "other"}
    assert "cannot show" in browser.get(address(step, "settings/")).content.decode()
    browser.post(address(step, "settings/"), kept)
    step.refresh_from_db()
    assert (step.name, step.only_if) == ("Renamed", rule)


def test_a_message_is_taken_out_only_when_it_is_said_twice(browser: Client, step: Step) -> None:
    browser.post(address(step), WRITTEN)
    settings_page = browser.get(address(step, "settings/")).content.decode()
    assert f'href="{address(step, "remove/")}"' in settings_page
    assert 'value="remove"' not in settings_page
    asked = browser.get(address(step, "remove/")).content.decode()
    assert f"Take “{step.name}” out of “{step.campaign.name}”?" in asked
    assert "What is written of it goes for good" in asked
    assert Message.objects.filter(step=step).exists()
    answer = browser.post(address(step, "remove/"), follow=True).content.decode()
    assert f"“{step.name}” is taken out." in answer
    assert not step.campaign.steps.exists()


def test_no_message_is_taken_out_of_a_campaign_that_was_started(browser: Client) -> None:
    campaign = make_campaign(placement=make_mail_placement(), started_at=None)
    step = Step.objects.create(campaign=campaign, name="First")
    Campaign.objects.update(status="running")
    for ask in (browser.get, browser.post):
        answer = ask(address(step, "remove/"), follow=True).content.decode()
        assert "“First” stays: the campaign is running by now." in answer
    assert campaign.steps.exists()


def test_a_copys_condition_is_about_the_clicks_in_the_copy(browser: Client, step: Step) -> None:
    Step.objects.update(only_if=Condition(Kind.NOT_CLICKED).to_rule(step.campaign.key))
    copy = clone_campaign(step.campaign, by=make_user(), now=timezone.now())
    assert read_condition(copy.steps.get()).kind is Kind.NOT_CLICKED


def test_a_condition_about_an_audience_that_is_gone_blocks(step: Step) -> None:
    Step.objects.update(only_if={"audience": "gone"})
    issues = find_issues(step.campaign, now=timezone.now())
    assert "condition" in {issue.code for issue in issues if issue.is_blocking}
    assert read_condition(Step.objects.get()) == Condition(Kind.MEMBER, "gone")
    Step.objects.update(only_if={"no": "rule"})
    assert read_condition(Step.objects.get()).kind is Kind.OTHER
    assert [says for _, says in describe_steps(step.campaign)] == [
        "Nobody: its condition means nothing"
    ]
