"""A marketer writes a mail in a browser, sees it as a customer does, and sends a test of it."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from campaigns.models import Message
from tests.browser.conftest import check_access, listen
from tests.campaigns.mailed import make_mail_placement, make_readers
from tests.makers import make_campaign, make_offer

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_mail_is_written_without_any_mjml(
    site_url: str, log_in: Callable[..., Page], complaints: list[str]
) -> None:
    (reader,) = make_readers(1, first_name="Ana")
    campaign = make_campaign(
        key="spring",
        placement=make_mail_placement(),
        offers=[make_offer(text="Only this week.", link="https://shop.example/spring")],
        started_at=None,
    )
    page = log_in("maria")
    listen(page, complaints)
    page.goto(f"/campaigns/{campaign.key}/messages/")
    check_access(page)
    page.get_by_label("Name").fill("First mail")
    page.get_by_role("button", name="Add and write it").click()
    page.get_by_label("Subject").fill('Hi {{ customer.first_name | default("there") }}')
    page.select_option("#id_design", "offer")
    page.get_by_label("As customer").fill(reader.external_key)
    expect(page.locator("#preview")).to_contain_text("Hi Ana")
    mail = page.frame_locator("iframe")
    expect(mail.get_by_text("Dear Ana,")).to_be_visible()
    expect(mail.get_by_text("Only this week.")).to_be_visible()
    page.get_by_role("textbox", name="Headline").fill("{{ offer.hedline }}")
    expect(page.locator("#preview")).to_contain_text("“offer.hedline” is none of")
    page.get_by_role("textbox", name="Headline").fill("Spring is here")
    expect(mail.get_by_text("Spring is here")).to_be_visible()
    check_access(page)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The message is saved.")).to_be_visible()
    assert Message.objects.get().html
    page.get_by_label("Send a test to").fill("me@shop.example")
    page.get_by_role("button", name="Send a test").click()
    expect(page.get_by_text("A test is on its way")).to_be_visible()
    page.goto(f"/campaigns/{campaign.key}/progress/")
    expect(page.get_by_text("Nobody was put down for it yet.")).to_be_visible()
    check_access(page)
    assert complaints == []
