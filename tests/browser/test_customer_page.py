"""A customer's page, looked at and asked in Chromium."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page

from audience.models import Channel, Consent, ConsentChange, ConsentState, Identity
from tests.browser.conftest import check_access, listen
from tests.makers import (
    event_row,
    make_campaign,
    make_customer,
    make_decision,
    make_events,
    make_offer,
)

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_customer_is_found_read_and_explained(
    log_in: Callable[..., Page], complaints: list[str]
) -> None:
    now = timezone.now()
    offers = [make_offer(name="Free shipping"), make_offer(name="Ten per cent off")]
    campaign = make_campaign(name="Winter sale", offers=offers, started_at=now)
    ann = make_customer(attributes={"segment": "gold", "country": "DE"})
    Identity.objects.create(customer=ann, kind="email", value="ann@example.com")
    said = {"channel": Channel.EMAIL, "purpose": "marketing", "state": ConsentState.OPTED_IN}
    Consent.objects.create(customer=ann, changed_at=now, **said)
    ConsentChange.objects.create(customer=ann, changed_at=now, source="form", **said)
    make_events(
        [event_row(ann, f"Page {n} Viewed", at=now - timedelta(hours=n)) for n in range(60)]
    )
    make_decision(campaign.policy, ann, offers[0].key, at=now, campaign=campaign.key)
    page = log_in("maria")
    listen(page, complaints)

    page.goto("/customers/")
    check_access(page)
    page.fill("#q", "ann@example.com")
    page.press("#q", "Enter")
    page.wait_for_selector("h1:has-text('customer-')")
    assert page.locator(".timeline li.event").count() < 60
    page.focus("text=Show earlier entries")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Page 59 Viewed")
    assert page.locator(".timeline li.event").count() == 60

    page.select_option("#about", label="Winter sale")
    page.click("text=Explain")
    page.wait_for_selector("text=“Free shipping”, in “Personalised”. Its chance was 50.0%.")
    check_access(page)
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert complaints == []


def test_without_scripts_earlier_entries_are_a_page(log_in: Callable[..., Page]) -> None:
    ann, now = make_customer(), timezone.now()
    make_events(
        [event_row(ann, f"Page {n} Viewed", at=now - timedelta(hours=n)) for n in range(60)]
    )
    page = log_in("maria", javascript=False)
    page.goto(f"/customers/{ann.pk}/")
    page.click("text=Show earlier entries")
    page.wait_for_selector("h2:has-text('What happened before')")
    assert "Page 59 Viewed" in page.inner_text("main")
