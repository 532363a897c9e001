"""Whoever clicks twice, where the answer takes a while, makes one thing and sends once."""

from collections.abc import Callable

import pytest
from django.urls import reverse
from playwright.sync_api import Page

from campaigns.models import Campaign, Placement
from experiments.models import Metric
from tests.browser.conftest import listen
from tests.makers import make_customer, make_metric, make_placement

pytestmark = pytest.mark.django_db(transaction=True)

LATENCY_MS = 600


def click_twice(page: Page, button: str) -> None:
    """Click again while the browser waits for the answer, which comes slowly."""
    box = page.locator(button).first.bounding_box()
    assert box is not None
    network = page.context.new_cdp_session(page)
    slow = {"offline": False, "downloadThroughput": -1, "uploadThroughput": -1}
    network.send("Network.enable")
    network.send("Network.emulateNetworkConditions", {**slow, "latency": LATENCY_MS})
    for _ in range(2):
        page.mouse.click(box["x"] + 5, box["y"] + 5)
        page.wait_for_timeout(LATENCY_MS / 3)
    page.wait_for_timeout(3 * LATENCY_MS)
    network.send("Network.emulateNetworkConditions", {**slow, "latency": 0})
    network.detach()
    page.wait_for_load_state()


def test_two_clicks_make_one_thing(log_in: Callable[..., Page], complaints: list[str]) -> None:
    placement, goal = make_placement(), make_metric()
    page = log_in("maria")
    listen(page, complaints)
    page.goto("/campaigns/new/campaign/")
    page.fill("[name=name]", "Winter")
    page.select_option("[name=placement]", str(placement.pk))
    page.select_option("[name=goal]", str(goal.pk))
    click_twice(page, "button.primary")
    assert [campaign.name for campaign in Campaign.objects.all()] == ["Winter"]
    assert page.url.endswith("/setup/audience/")
    # Back at the form, it can be sent again: somebody wants a second one.
    page.go_back()
    page.click("button.primary")
    page.wait_for_url("**/setup/audience/")
    assert Campaign.objects.count() == 2

    page.goto("/metrics/new/conversion/")
    page.fill("[name=name]", "Orders")
    page.fill("[name=event]", "Order Completed")
    click_twice(page, "button:has-text('Define it')")
    assert Metric.objects.filter(name="Orders").count() == 1
    assert complaints == []


def test_two_clicks_save_once_in_the_admin(log_in: Callable[..., Page]) -> None:
    page = log_in("maria")
    page.goto(reverse("admin:campaigns_placement_add"))
    page.fill("[name=name]", "Home")
    click_twice(page, "[name=_save]")
    # The second click would find that there is such a key.
    assert page.get_by_text("was added successfully").count() == 1
    assert Placement.objects.get().key == "home"


def test_a_file_can_be_asked_for_again(log_in: Callable[..., Page]) -> None:
    page = log_in("maria")
    page.clock.install()
    page.goto(f"/customers/{make_customer().pk}/")
    for _ in range(2):
        with page.expect_download():
            page.click("text=Export all that is known")
        page.clock.fast_forward(11_000)
