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
from tests.browser.conftest import check_access, listen
from tests.makers import make_customers, make_metric, make_offer, make_placement, make_source

pytestmark = pytest.mark.django_db(transaction=True)


def ask(site_url: str, key: str, *, placement: str, customer: str) -> Any:
    """Ask the running site for an offer."""
    body = json.dumps({"customer": customer, "placements": [placement]}).encode()
    token = b64encode(f"{key}:".encode()).decode()
    request = urllib.request.Request(
        f"{site_url}/api/v1/decide", body, {"Authorization": f"Basic {token}"}
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["decisions"][0]


def set_up(page: Page) -> None:
    """Go through the steps, as a marketer does, and ask for a review."""
    page.goto("/admin/campaigns/campaign/")
    page.click("a[href$='/campaign/add/']")
    check_access(page)
    page.fill("[name=name]", "Winter sale")
    page.select_option("[name=placement]", index=1)
    page.select_option("[name=goal]", index=1)
    page.click("button.primary")
    page.wait_for_selector("text=Everybody who comes by.")
    check_access(page)
    page.click("button.primary")
    page.check("text=Free shipping")
    page.check("text=Ten per cent off")
    check_access(page)
    page.click("button.primary")
    page.check("text=segment")
    check_access(page)
    page.click("button.primary")
    check_access(page)
    page.click("button.primary")
    page.wait_for_selector("text=Before it starts")
    check_access(page)
    page.click("text=Ask for review")
    page.wait_for_selector("text=Somebody else can approve it now.")


def test_a_campaign_is_set_up_approved_started_asked_and_reported(
    site_url: str, log_in: Callable[..., Page], complaints: list[str]
) -> None:
    make_metric()
    make_customers(3, attributes={"segment": "gold"})
    make_customers(3, attributes={"segment": "new"})
    placement = make_placement()
    offers = [make_offer(name="Free shipping"), make_offer(name="Ten per cent off")]
    _, key = make_source(Scope.DECIDE)
    page, reviewer = log_in("maria"), log_in("rita")
    listen(page, complaints)
    listen(reviewer, complaints)
    set_up(page)

    reviewer.goto("/campaigns/all/approvals/")
    check_access(reviewer)
    reviewer.click("text=Winter sale")
    reviewer.click("text=Approve")
    reviewer.wait_for_selector("text=Winter sale is approved.")
    page.goto("/campaigns/winter-sale/setup/")
    page.fill("#note", "the season")
    page.click("text=Start now")
    page.wait_for_selector("text=Winter sale is running.")
    campaign = Campaign.objects.get(key="winter-sale")
    assert campaign.status == Status.RUNNING
    assert {o.pk for o in offers} == set(campaign.offers.values_list("pk", flat=True))
    page.goto("/campaigns/all/calendar/")
    check_access(page)
    # A theme that fails under our policy shows empty inputs, and a save would wipe them.
    page.goto(f"/admin/campaigns/campaign/{campaign.pk}/change/")
    assert page.input_value("#id_name") == "Winter sale"

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
