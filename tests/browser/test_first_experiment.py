"""A first experiment from idea to shipped arm, clicked through in Chromium, and by keyboard."""

import json
import time
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page

from audience.models import Customer, Scope
from experiments.lifecycle.status import request_analysis
from experiments.models import Experiment, Status
from experiments.replays.runs import run_due
from experiments.tasks import analyse_due
from tests.browser.conftest import check_access, listen
from tests.makers import HOUR, event_row, make_customers, make_events, make_metric, make_source

pytestmark = pytest.mark.django_db(transaction=True)

VISITORS = 400
# What was started is served within this time.
SEEN_SECONDS = 10


def post(site_url: str, path: str, key: str, document: Any) -> Any:
    """Ask the running site as an application does."""
    request = urllib.request.Request(
        f"{site_url}{path}",
        json.dumps(document).encode(),
        {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def prepare() -> None:
    """Have customers of two countries, who do what the metrics count."""
    now = timezone.now()
    people = make_customers(150, attributes={"country": "de"})
    people += make_customers(50, attributes={"country": "fr"})
    make_events(
        [event_row(person, "Order Completed", at=now - 30 * 24 * HOUR) for person in people]
        + [event_row(person, "Cart Viewed", at=now - HOUR) for person in people]
        + [event_row(people[0], "Order Completed", at=now - HOUR)]
    )
    goal, guardrail = make_metric(), make_metric("Cart Viewed")
    goal.name, guardrail.name, goal.key = "Orders", "Carts", "orders"
    goal.save()
    guardrail.save()


def order(visitors: dict[str, str]) -> None:
    """Let those who saw the new arm order more often."""
    now = timezone.now()
    rows = []
    seen = dict.fromkeys(visitors.values(), 0)
    for customer, arm in visitors.items():
        seen[arm] += 1
        if seen[arm] % (2 if arm == "treatment" else 8) == 0:
            person = Customer.objects.get(external_key=customer)
            rows.append(event_row(person, "Order Completed", at=now))
    make_events(rows)


def visit(site_url: str, experiment: str) -> dict[str, str]:
    """Let visitors ask for their arm, as an application does for them."""
    _, key = make_source(Scope.DECIDE)

    def ask(customer: str) -> dict[str, Any]:
        question = {
            "customer": customer,
            "experiments": [experiment],
            "attributes": {"country": "de"},
        }
        found: dict[str, Any] = post(site_url, "/api/v1/assign", key, question)
        answer: dict[str, Any] = found["assignments"][experiment]
        return answer

    deadline = time.monotonic() + SEEN_SECONDS
    while ask("visitor-0")["reason"] == "unknown" and time.monotonic() < deadline:
        time.sleep(0.1)
    found = {}
    for number in range(VISITORS):
        customer = f"visitor-{number}"
        answer = ask(customer)
        assert answer["payload"] == {"banner": answer["arm"] == "treatment"}
        found[customer] = answer["arm"]
    return found


def set_up(page: Page) -> None:
    """Go through the steps, as a marketer does, and ask for a review."""
    page.goto("/experiments/")
    check_access(page)
    page.click("text=New experiment")
    check_access(page)
    page.fill("[name=name]", "Free shipping")
    page.fill("[name=hypothesis]", "A banner sells more.")
    page.click("button.primary")
    check_access(page)
    for field, value in {"name": "banner", "0": "false", "1": "true"}.items():
        page.fill(f"[name=variable_0_{field}]", value)
    page.click("button.primary")
    page.fill("[name=attribute_0]", "country")
    page.fill("[name=value_0]", "de")
    page.press("[name=value_0]", "Tab")
    page.wait_for_selector("text=150 customers today")
    check_access(page)
    page.click("button.primary")
    page.select_option("[name=goal]", label="Orders")
    page.select_option("[name=guardrail_0]", label="Carts")
    check_access(page)
    page.click("button.primary")
    page.wait_for_selector("text=How many does it take?")
    page.fill("[name=planned_customers]", str(VISITORS))
    page.fill("[name=minimum_days]", "1")
    check_access(page)
    page.click("form.setup button.primary")
    check_access(page)
    page.click("text=Ask for review")
    page.wait_for_selector("text=Somebody else can approve it now.")


def approve_and_start(page: Page, reviewer: Page) -> Experiment:
    """Let somebody else agree, and let customers in."""
    reviewer.goto("/setup/free-shipping/")
    reviewer.click("text=Approve")
    reviewer.wait_for_selector("text=is approved")

    page.goto("/setup/free-shipping/")
    page.click("text=Start …")
    check_access(page)
    page.fill("[name=reason]", "ready")
    page.click("button.primary")
    page.wait_for_selector("text=Free shipping: done.")
    experiment = Experiment.objects.get(key="free-shipping")
    assert experiment.status == Status.RUNNING
    return experiment


def test_an_experiment_goes_from_idea_to_shipped_arm(
    site_url: str, log_in: Callable[..., Page], complaints: list[str]
) -> None:
    prepare()
    page, reviewer = log_in("ann"), log_in("rita")
    listen(page, complaints)
    listen(reviewer, complaints)
    set_up(page)
    experiment = approve_and_start(page, reviewer)

    order(visit(site_url, "free-shipping"))
    # A day later, as far as the experiment is concerned.
    day = timedelta(days=1, minutes=5)
    assert experiment.started_at is not None
    Experiment.objects.filter(pk=experiment.pk).update(started_at=experiment.started_at - day)
    request_analysis(experiment, now=timezone.now())
    assert analyse_due() == 1
    page.goto("/experiments/free-shipping/")
    assert "wins" in page.inner_text(".verdict")
    check_access(page)
    bare = log_in("bob", javascript=False)
    bare.goto("/experiments/free-shipping/")
    assert bare.inner_text("main") == page.inner_text("main")

    page.click("text=Ship an arm")
    page.select_option("[name=arm]", label="Treatment")
    page.fill("[name=reason]", "it won")
    page.click("button.primary")
    page.wait_for_selector("text=Everybody in the audience gets Treatment.")
    page.wait_for_timeout(2000)
    _, key = make_source(Scope.DECIDE)
    newcomer = {
        "customer": "late",
        "experiments": ["free-shipping"],
        "attributes": {"country": "de"},
    }
    answer = post(site_url, "/api/v1/assign", key, newcomer)["assignments"]["free-shipping"]
    assert (answer["arm"], answer["payload"]) == ("treatment", {"banner": True})
    for address in (
        "/calendar/",
        "/programme/",
        "/metrics/",
        "/metrics/new/",
        "/metrics/new/mean/",
        "/metrics/of/orders/",
        f"/experiments/free-shipping/analyses/{experiment.analyses.latest().pk}/",
        "/experiments/free-shipping/do/undo/",
        "/replays/",
    ):
        page.goto(address)
        check_access(page)
    watch_a_replay(page)
    assert complaints == []


def watch_a_replay(page: Page) -> None:
    """Ask for an A/A replay, and see the page come to life when a worker has done it."""
    page.check("[name=metrics]")
    page.fill("[name=entry]", "Order Completed")
    page.fill("[name=splits]", "100")
    page.click("button.primary")
    page.wait_for_selector("text=of 100 splits")
    check_access(page)
    assert run_due() == 1
    page.wait_for_selector("text=/random splits of|In no split/")
    check_access(page)


def test_setting_up_takes_a_keyboard_and_no_script(log_in: Callable[..., Page]) -> None:
    prepare()
    page = log_in("kim", javascript=False)
    page.goto("/setup/")

    def type_into(name: str, words: str = "") -> None:
        """Press Tab until a field has the focus, and write there."""
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.locator(f"[name={name}]:focus").count():
                page.keyboard.type(words)
                return
        pytest.fail(f"{name} cannot be reached by Tab")

    def go_on(to: str) -> None:
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/{to}/")

    type_into("hypothesis", "It works.")
    page.keyboard.press("Shift+Tab")
    page.keyboard.type("By keyboard")
    go_on("arms")
    type_into("variable_0_name", "banner")
    type_into("variable_0_1", "true")
    go_on("audience")
    type_into("traffic")
    go_on("metrics")
    type_into("goal", "Ord")
    type_into("guardrail_0", "Car")
    type_into("margin_0")
    go_on("plan")
    type_into("planned_customers")
    go_on("by-keyboard")
    type_into("note", "please")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Somebody else can approve it now.")
    experiment = Experiment.objects.get(key="by-keyboard")
    assert experiment.status == Status.IN_REVIEW
    assert experiment.arms.get(key="treatment").payload == {"banner": True}
