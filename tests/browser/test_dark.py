"""Everything can be read by who prefers dark pages, by axe-core's measure of contrast."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse
from playwright.sync_api import Page

from experiments.analysing.analysis import analyse
from tests.makers import DAY, NOW, make_campaign, make_experiment, make_offer
from tests.worlds import fill_arms

pytestmark = pytest.mark.django_db(transaction=True)

CONTRAST = {"runOnly": ["color-contrast"]}


def find_faint(page: Page, address: str) -> list[str]:
    page.goto(address)
    page.wait_for_selector(".htmx-request", state="detached")
    violations = Axe().run(page, options=CONTRAST).response["violations"]
    return [f"{address}: {node['html']}" for each in violations for node in each["nodes"]]


def test_dark_pages_have_contrast(log_in: Callable[..., Page]) -> None:
    experiment = make_experiment(is_standalone=True)
    fill_arms(experiment, control=(300, 60), new=(300, 90))
    analyse(experiment, now=NOW + 30 * DAY)
    offer = make_offer(link="https://shop.example/")
    draft = make_campaign(started_at=None, offers=[offer])
    page = log_in("ann")
    page.emulate_media(color_scheme="dark")
    addresses = (
        experiment.get_absolute_url(),
        f"/campaigns/{draft.key}/setup/",
        f"/campaigns/{draft.key}/setup/schedule/",
        "/audiences/new/",
        reverse("admin:campaigns_offer_change", args=[offer.pk]),
    )
    assert [faint for address in addresses for faint in find_faint(page, address)] == []
    assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
