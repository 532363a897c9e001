"""A marketer's first campaign, clicked through in Chromium."""

import json
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from playwright.sync_api import Page

from audience.audiences.saving import save_rule
from audience.models import Audience, Scope
from campaigns.models import Campaign, Status
from campaigns.sending.enrolling import enrol_due
from campaigns.sending.worker import Worker
from experiments.lifecycle.status import request_analysis
from experiments.tasks import analyse_due
from tests.browser.conftest import ROOT, check_access, listen
from tests.campaigns.mailed import (
    mail_server,
    make_mail_placement,
    make_readers,
    use_mail_server,
)
from tests.makers import make_customers, make_metric, make_offer, make_placement, make_source

pytestmark = pytest.mark.django_db(transaction=True)

MOST_INTERACTIONS = 30
PICTURES = ROOT / ".data" / "screenshots"


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


class Hand:
    """Does what a person does on a page, and counts it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        # A log-in is three: name, password, Enter.
        self.count = 3

    def click(self, what: str) -> None:
        self.count += 1
        self.page.click(what)

    def fill(self, field: str, value: str) -> None:
        self.count += 1
        self.page.fill(f"[name={field}]", value)

    def choose(self, field: str, label: str) -> None:
        self.count += 1
        self.page.select_option(f"[name={field}]", label=label)

    def check(self, what: str) -> None:
        self.count += 1
        self.page.check(what)

    def go_on(self) -> None:
        self.click("form.setup button.primary")

    def keep(self, name: str) -> None:
        """Keep a picture for review, and refuse a page that keeps somebody out."""
        check_access(self.page)
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{name}.png", full_page=True)


def set_up_mail(maria: Hand, placement: str, goal: str, audience: str) -> None:
    """Go from the list of campaigns to a review, without JSON and without a reload."""
    page = maria.page
    maria.click("a[href$='/campaigns/campaign/']")
    maria.click("a[href$='/campaign/add/']")
    maria.fill("name", "Welcome")
    maria.choose("placement", placement)
    maria.choose("goal", goal)
    maria.keep("mail-1-idea")
    maria.go_on()
    maria.choose("audience", audience)
    page.wait_for_selector("text=exactly, as of")
    maria.keep("mail-2-audience")
    maria.go_on()
    maria.check("text=Free shipping")
    maria.check("text=Ten per cent off")
    maria.keep("mail-3-offers")
    maria.go_on()
    maria.fill("name", "Hello")
    maria.click("text=Add and write it")
    maria.fill("subject", 'Welcome, {{ customer.first_name | default("friend") }}')
    page.wait_for_selector("iframe")
    maria.keep("mail-4-message")
    maria.click("text=Save")
    page.wait_for_selector("text=The message is saved.")
    maria.click("text=Go on to the proof")
    maria.keep("mail-5-proof")
    maria.go_on()
    maria.keep("mail-6-schedule")
    maria.go_on()
    page.wait_for_selector("text=Before it starts")
    maria.keep("mail-7-review")
    maria.click("text=Ask for review")
    page.wait_for_selector("text=Somebody else can approve it now.")


def send_all(settings: Any) -> tuple[int, int]:
    """Send what is due to a mail server; return how many joined and how many mails came."""
    with mail_server() as sink:
        use_mail_server(settings, sink.port)
        joined = enrol_due(now=timezone.now())
        with Worker() as worker:
            worker.send_due()
        connection.close()
        return joined, len(sink.mails)


def test_a_first_mail_campaign_takes_at_most_thirty_interactions(
    site_url: str, log_in: Callable[..., Page], complaints: list[str], settings: Any
) -> None:
    goal, placement = make_metric(), make_mail_placement()
    readers = make_readers(5, first_name="Ana")
    audience = save_rule(Audience.objects.create(key="all", name="Everybody known"), {})
    for name in ("Free shipping", "Ten per cent off"):
        make_offer(name=name, link="https://shop.example/")
    maria, rita = Hand(log_in("maria", by_form=True)), Hand(log_in("rita"))
    for hand in (maria, rita):
        listen(hand.page, complaints)
    set_up_mail(maria, placement.name, goal.name, audience.name)

    rita.page.goto("/campaigns/all/approvals/")
    rita.click("text=Welcome")
    rita.keep("mail-8-approval")
    rita.click("text=Approve")
    rita.page.wait_for_selector("text=Welcome is approved.")
    maria.page.reload()
    maria.click("text=Start now")
    maria.page.wait_for_selector("text=Welcome is running.")
    maria.keep("mail-9-running")
    assert maria.count + rita.count <= MOST_INTERACTIONS

    campaign = Campaign.objects.get(key="welcome")
    assert campaign.status == Status.RUNNING
    # Else nobody is written to at night.
    Campaign.objects.update(quiet_from=None, quiet_until=None)
    # The browser's driver has this thread's event loop.
    with ThreadPoolExecutor(1) as beside:
        joined, came = beside.submit(send_all, settings).result()
    assert joined == len(readers)
    assert came == len(readers) - campaign.deliveries.filter(reason="hold-out").count()
    maria.page.goto("/campaigns/welcome/progress/")
    maria.keep("mail-10-sent")
    assert complaints == []
