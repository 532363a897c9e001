"""A marketer's first campaign, clicked through in Chromium."""

import json
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page

from audience.models import Scope
from campaigns.models import Campaign, Status
from experiments.lifecycle import request_analysis
from experiments.tasks import analyse_due
from tests.browser.conftest import listen
from tests.makers import make_customers, make_metric, make_offer, make_placement, make_source

pytestmark = pytest.mark.django_db(transaction=True)


def choose_offer(page: Page, *, row: int, name: str) -> None:
    """Pick an offer in a row of the campaign's form, by typing its name."""
    page.click(f"#id_choices-{row}-offer + .select2")
    page.fill(".select2-search__field", name)
    page.click(f".select2-results__option:text-is('{name}')")


def ask(site_url: str, key: str, *, placement: str, customer: str) -> Any:
    """Ask the running site for an offer."""
    body = json.dumps({"customer": customer, "placements": [placement]}).encode()
    token = b64encode(f"{key}:".encode()).decode()
    request = urllib.request.Request(
        f"{site_url}/api/v1/decide", body, {"Authorization": f"Basic {token}"}
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["decisions"][0]


def test_a_campaign_is_drafted_started_asked_and_reported(
    site_url: str, log_in: Callable[..., Page], complaints: list[str]
) -> None:
    make_metric()
    make_customers(3, attributes={"segment": "gold"})
    make_customers(3, attributes={"segment": "new"})
    placement = make_placement()
    offers = [make_offer(name="Free shipping"), make_offer(name="Ten per cent off")]
    _, key = make_source(Scope.DECIDE)
    page = log_in("maria")
    listen(page, complaints)

    page.goto("/admin/campaigns/campaign/add/")
    page.locator("#id_name").press_sequentially("Winter sale")
    page.select_option("#id_placement", label=placement.name)
    page.select_option("#id_goal", index=1)
    page.select_option("#id_learns_from", "segment")
    choose_offer(page, row=0, name=offers[0].name)
    page.click("text=Add another")
    choose_offer(page, row=1, name=offers[1].name)
    page.click("[name=_continue]")
    page.wait_for_url("**/change/**")
    # A theme that fails under our policy shows empty inputs, and a save would wipe them.
    assert page.input_value("#id_name") == "Winter sale"

    page.click("a:has-text('Start')")
    page.fill("#reason", "the season")
    page.click("button.primary")
    page.wait_for_selector("text=Winter sale is running.")
    campaign = Campaign.objects.get(key="winter-sale")
    assert campaign.status == Status.RUNNING
    assert {o.pk for o in offers} == set(campaign.offers.values_list("pk", flat=True))

    answers = [
        ask(site_url, key, placement=placement.key, customer=f"c{number}") for number in range(30)
    ]
    assert {answer["campaign"] for answer in answers} == {"winter-sale"}
    request_analysis(campaign.experiment, now=timezone.now())
    assert analyse_due() == 1
    page.goto("/campaigns/winter-sale/")
    text = page.inner_text("main")
    assert "Winter sale" in text
    assert "the season" in text
    assert complaints == []
