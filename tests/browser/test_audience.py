"""An audience, clicked together in Chromium with the count beside it, without a line of JSON."""

from collections.abc import Callable
from pathlib import Path

from django.utils import timezone
from playwright.sync_api import Page

from audience.models import Audience
from tests.browser.conftest import check_access, listen
from tests.makers import DAY, event_row, make_customers, make_events


def prepare() -> None:
    """Let there be 300 customers, of whom 150 live in Germany and 60 of these ordered."""
    german = [
        make_customers(50, attributes={"country": "DE", "age": age, "scores": {"churn": 0.5}})
        for age in (25, 35, 65)
    ]
    make_customers(150, attributes={"country": "FR", "age": 40})
    now = timezone.now()
    make_events(
        [
            event_row(customer, "Order Completed", at=now - DAY, value=30.0)
            for group in german
            for customer in group[:20]
        ]
    )


def build(page: Page) -> None:
    """Put three conditions together and watch the count."""
    page.goto("/audiences/")
    check_access(page)
    page.click("text=New audience")
    page.wait_for_selector("text=300 of 300 people")
    page.fill("[name=name]", "Young German buyers")

    page.click("button:has-text('What is known of them')")
    page.fill("[name=row0-name]", "country")
    page.fill("[name=row0-value]", "DE")
    page.wait_for_selector("text=150 of 300 people")

    page.click("button:has-text('What they did')")
    page.fill("[name=row1-name]", "Order Completed")
    page.wait_for_selector("text=60 of 300 people")

    page.click("button:has-text('What is known of them')")
    page.fill("[name=row2-name]", "age")
    page.select_option("[name=row2-test]", label="is at most")
    page.fill("[name=row2-value]", "40")
    page.wait_for_selector("text=40 of 300 people")
    assert page.input_value("[name=name]") == "Young German buyers"
    assert "20 fewer" in page.inner_text("#look")
    check_access(page)


def test_an_audience_is_built_by_clicking(
    site_url: str, log_in: Callable[..., Page], complaints: list[str], tmp_path: Path
) -> None:
    prepare()
    page = log_in("ann")
    listen(page, complaints)
    build(page)
    page.check("[name=row2-negated]")
    page.wait_for_selector("text=20 of 300 people")
    page.uncheck("[name=row2-negated]")
    page.click("button:has-text('Compare')")
    page.wait_for_selector("text=There is no other audience.")
    page.click("button.primary:has-text('Save')")
    page.wait_for_selector("text=Young German buyers is saved.")
    page.wait_for_selector("text=40 of 300 people")
    page.screenshot(path=tmp_path / "builder.png", full_page=True)
    check_access(page)
    audience = Audience.objects.get()
    assert audience.rule == {
        "all": [
            {"attribute": "country", "is": "equal", "value": "DE"},
            {"event": "Order Completed", "at_least": 1, "days": 30},
            {"attribute": "age", "is": "at most", "value": 40},
        ]
    }

    page.set_viewport_size({"width": 390, "height": 900})
    page.screenshot(path=tmp_path / "phone.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.goto("/audiences/")
    check_access(page)
    page.screenshot(path=tmp_path / "list.png", full_page=True)
    assert complaints == []


def test_a_list_is_uploaded_and_builds_another_audience_without_scripts(
    site_url: str, log_in: Callable[..., Page], tmp_path: Path
) -> None:
    people = make_customers(3)
    page = log_in("ben", javascript=False)
    page.goto("/audiences/new/list/")
    page.fill("[name=name]", "Guests")
    file = tmp_path / "guests.csv"
    file.write_text("\n".join(["customer", people[0].external_key, "nobody"]))
    page.set_input_files("[name=file]", file)
    page.click("button.primary")
    page.wait_for_selector("text=line 3: nobody")

    page.goto("/audiences/new/")
    page.fill("[name=name]", "No guests")
    page.click("button:has-text('Another audience or list')")
    page.select_option("[name=row0-audience]", label="Guests")
    page.check("[name=row0-negated]")
    page.click("button:has-text('Count now')")
    page.wait_for_selector("text=2 of 3 people")
    page.click("button.primary:has-text('Save')")
    page.wait_for_selector("text=No guests is saved.")
    assert Audience.objects.get(key="no-guests").rule == {"not": {"audience": "guests"}}


def test_who_was_logged_out_meanwhile_is_told_and_keeps_what_is_typed(
    log_in: Callable[..., Page],
) -> None:
    prepare()
    page = log_in("ann")
    page.goto("/audiences/new/")
    page.wait_for_selector("text=300 of 300 people")
    page.fill("[name=name]", "Typed before")
    page.context.clear_cookies(name="sessionid")
    page.click("button:has-text('What is known of them')")
    page.wait_for_selector("#notice >> text=You are logged out")
    assert page.input_value("[name=name]") == "Typed before"
    assert "300 of 300 people" in page.inner_text("#look")
    check_access(page)
    page.click("#notice >> text=log in again")
    page.wait_for_url("**/admin/login/?next=*")
