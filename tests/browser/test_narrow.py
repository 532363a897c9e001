"""No page is wider than a phone's screen: what is wide scrolls inside of it."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from experiments.models import Experiment
from tests.browser.conftest import check_access
from tests.makers import make_campaign, make_experiment

pytestmark = pytest.mark.django_db(transaction=True)

WIDTH, HEIGHT = 390, 800
STEPS = ("idea", "audience", "offers", "proof", "schedule")


def is_too_wide(page: Page, address: str) -> bool:
    page.goto(address)
    width: int = page.evaluate("document.documentElement.scrollWidth")
    return width > WIDTH


def test_pages_of_campaigns_and_experiments_fit_a_phone(log_in: Callable[..., Page]) -> None:
    draft, running = make_campaign(started_at=None), make_campaign()
    planned: Experiment = make_experiment(is_standalone=True, started_at=None)
    page = log_in("ann")
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    addresses = [
        running.get_absolute_url(),
        *(f"/campaigns/{running.key}/{verb}/" for verb in ("pause", "finish", "audience")),
        f"/campaigns/{draft.key}/setup/",
        *(f"/campaigns/{draft.key}/setup/{name}/" for name in STEPS),
        f"/setup/{planned.key}/",
        *(f"/setup/{planned.key}/{name}/" for name in ("arms", "audience", "metrics", "plan")),
    ]
    assert [address for address in addresses if is_too_wide(page, address)] == []


def test_who_is_logged_in_and_the_way_out_fit_a_phone(log_in: Callable[..., Page]) -> None:
    """However long the name is: here the longest that an account may have."""
    name = "x" * 150
    page = log_in(name, by_form=True)
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    assert not is_too_wide(page, "/experiments/")
    assert page.locator("header").get_by_text(name).is_visible()
    check_access(page)
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/admin/logout/")
    assert page.goto("/experiments/") is not None
    assert "/admin/login/" in page.url
