"""Who hears the admin's pages hears what each input is for."""

from collections.abc import Callable

import pytest
from django.urls import reverse
from playwright.sync_api import Page

from tests.browser.conftest import check_access, listen
from tests.makers import make_campaign, make_offer

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_is_searched_has_its_fields_name(
    log_in: Callable[..., Page], complaints: list[str]
) -> None:
    first, second = make_offer(name="Boat"), make_offer(name="Lamp")
    draft = make_campaign(started_at=None, offers=[first])
    page = log_in("maria")
    listen(page, complaints)
    page.goto(reverse("admin:campaigns_campaign_change", args=[draft.pk]))
    check_access(page)
    fallback = page.get_by_role("combobox", name="Fallback")
    fallback.click()
    check_access(page)
    page.get_by_role("searchbox", name="Search: Fallback").fill("lam")
    page.get_by_role("option", name="Lamp").click()
    # With what is chosen, as of any other select.
    assert page.get_by_role("combobox", name="Fallback Lamp", exact=True).is_visible()
    assert fallback.get_attribute("aria-describedby") == "id_fallback_helptext"
    assert page.get_by_role("combobox", name="Offer Boat", exact=True).is_visible()
    page.get_by_role("link", name="Add another Offer").click()
    assert page.get_by_role("combobox", name="Offer", exact=True).is_visible()
    assert page.get_by_role("spinbutton", name="Baseline weight", exact=True).count() == 2
    check_access(page)
    page.click("[name=_continue]")
    page.get_by_role("combobox", name="Fallback Lamp", exact=True).wait_for()
    draft.refresh_from_db()
    assert draft.fallback == second
    assert complaints == []
