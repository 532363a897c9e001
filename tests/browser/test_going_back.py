"""Whoever goes back to a form in the browser can go on from there."""

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.makers import make_campaign

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def keeping(chromium: Browser) -> Iterator[Browser]:
    """Start a browser that keeps pages as they are left, as people's do and tests' do not."""
    browser = chromium.browser_type.launch(
        executable_path=shutil.which("chromium"),
        args=["--no-sandbox", "--disable-background-networking"],
        ignore_default_args=["--disable-back-forward-cache"],
    )
    yield browser
    browser.close()


def wait_for(page: Page, address: str) -> None:
    # The driver's own ways wait until a page is loaded, and one that was kept never is.
    page.wait_for_function("address => location.pathname === address", arg=address)
    page.wait_for_timeout(500)


def go_back(page: Page, *, to: str) -> None:
    page.evaluate("void setTimeout(() => history.back(), 0)")
    wait_for(page, to)


def test_a_form_can_be_saved_again_after_going_back(
    keeping: Browser, site_url: str, log_in: Callable[..., Page]
) -> None:
    draft = make_campaign(started_at=None)
    window = keeping.new_context(base_url=site_url)
    window.add_cookies([{**cookie} for cookie in log_in("maria").context.cookies()])  # type: ignore[typeddict-item]
    page = window.new_page()
    schedule = f"/campaigns/{draft.key}/setup/schedule/"
    for before, amount in ((False, "5.00"), (True, "7.00")):
        if before:
            go_back(page, to=schedule)
            assert page.input_value("[name=budget]") == "5.00"
        else:
            page.goto(schedule)
        page.fill("[name=budget]", amount)
        page.click("button.primary")
        wait_for(page, f"/campaigns/{draft.key}/setup/")
    draft.refresh_from_db()
    assert draft.budget_cents == 700
    # What was typed and not sent is still there.
    page.goto(schedule)
    page.fill("[name=budget]", "9.00")
    page.click("text=Calendar of experiments")
    wait_for(page, "/calendar/")
    go_back(page, to=schedule)
    expect(page.locator("[name=budget]")).to_have_value("9.00")
    window.close()
