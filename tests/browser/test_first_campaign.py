"""A marketer's first campaign, clicked through in Chromium."""

import json
import urllib.request
from base64 import b64encode
from typing import Any

import pytest
from django.utils import timezone
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions as condition
from selenium.webdriver.support.ui import Select, WebDriverWait

from audience.models import Scope
from campaigns.models import Campaign, Status
from experiments.lifecycle import request_analysis
from experiments.tasks import analyse_due
from tests.makers import make_customers, make_metric, make_offer, make_placement, make_source

pytestmark = pytest.mark.django_db(transaction=True)


def follow(browser: webdriver.Chrome, element: WebElement) -> None:
    """Click what leads to another page and wait until it is there."""
    element.click()
    WebDriverWait(browser, 15).until(condition.staleness_of(element))


def choose_offer(browser: webdriver.Chrome, *, row: int, name: str) -> None:
    """Pick an offer in a row of the campaign's form, by typing its name."""
    browser.find_element(By.CSS_SELECTOR, f"#id_choices-{row}-offer + .select2").click()
    browser.find_element(By.CSS_SELECTOR, ".select2-search__field").send_keys(name)
    browser.find_element(
        By.XPATH, f"//li[contains(@class, 'select2-results__option') and text()='{name}']"
    ).click()


def errors(browser: webdriver.Chrome) -> list[str]:
    """Return what the browser's console complained about."""
    return [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"]  # type: ignore[no-untyped-call]


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
    site_url: str, marketer: webdriver.Chrome
) -> None:
    make_metric()
    make_customers(3, attributes={"segment": "gold"})
    make_customers(3, attributes={"segment": "new"})
    placement = make_placement()
    offers = [make_offer(name="Free shipping"), make_offer(name="Ten per cent off")]
    _, key = make_source(Scope.DECIDE)
    browser = marketer

    browser.get(f"{site_url}/admin/campaigns/campaign/add/")
    browser.find_element(By.ID, "id_name").send_keys("Winter sale" + Keys.TAB)
    Select(browser.find_element(By.ID, "id_placement")).select_by_visible_text(placement.name)
    Select(browser.find_element(By.ID, "id_goal")).select_by_index(1)
    Select(browser.find_element(By.ID, "id_learns_from")).select_by_value("segment")
    choose_offer(browser, row=0, name=offers[0].name)
    browser.find_element(By.PARTIAL_LINK_TEXT, "Add another").click()
    choose_offer(browser, row=1, name=offers[1].name)
    follow(browser, browser.find_element(By.NAME, "_continue"))
    # A theme that fails under our policy shows empty inputs, and a save would wipe them.
    assert browser.find_element(By.ID, "id_name").get_attribute("value") == "Winter sale"

    follow(browser, browser.find_element(By.PARTIAL_LINK_TEXT, "Start"))
    browser.find_element(By.ID, "reason").send_keys("the season")
    follow(browser, browser.find_element(By.CSS_SELECTOR, "button.primary"))
    assert "Winter sale is running." in browser.page_source
    campaign = Campaign.objects.get(key="winter-sale")
    assert campaign.status == Status.RUNNING
    assert {o.pk for o in offers} == set(campaign.offers.values_list("pk", flat=True))

    answers = [
        ask(site_url, key, placement=placement.key, customer=f"c{number}") for number in range(30)
    ]
    assert {answer["campaign"] for answer in answers} == {"winter-sale"}
    request_analysis(campaign.experiment, now=timezone.now())
    assert analyse_due() == 1
    browser.get(f"{site_url}/campaigns/winter-sale/")
    page = browser.find_element(By.TAG_NAME, "main").text
    assert "Winter sale" in page
    assert "the season" in page
    assert errors(browser) == []
