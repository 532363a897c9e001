"""What a campaign was worth, read in Chromium."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from campaigns.results.computing import compute_result
from experiments.analysing.analysis import analyse
from tests.browser.conftest import check_access, listen
from tests.campaigns.results.shop import LATER, open_shop
from tests.makers import make_holdout, make_metric
from tests.worlds import fill_arms

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_a_campaign_was_worth_is_read(
    log_in: Callable[..., Page], complaints: list[str]
) -> None:
    campaign = open_shop(600, seed=7).campaign
    analyse(campaign.experiment, now=LATER)
    compute_result(campaign, now=LATER)
    page = log_in("maria")
    listen(page, complaints)
    page.goto(campaign.get_absolute_url())
    worth = page.locator("#worth")
    assert "per customer against no offer" in worth.inner_text()
    worth.get_by_text("By country").click()
    assert worth.get_by_role("heading", name="de: ").is_visible()
    check_access(page)
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert complaints == []


def test_what_all_campaigns_came_to_is_read(
    log_in: Callable[..., Page], complaints: list[str]
) -> None:
    revenue = make_metric(kind="mean", of="value", currency="EUR")
    holdout = make_holdout(percent=20, others=[revenue], planned_customers=1000)
    fill_arms(holdout, **{"held-out": (200, 40), "open": (800, 240)})
    analyse(holdout, now=LATER)
    page = log_in("maria")
    listen(page, complaints)
    page.goto("/campaigns/all/holdout/")
    assert page.locator(f"code:text('{holdout.seed}')").is_visible()
    check_access(page)
    page.click("text=Set up the next hold-out")
    page.wait_for_selector("text=Its held-out customers get no offer from any campaign")
    check_access(page)
    assert complaints == []
