"""No page is wider than a phone's screen: what is wide scrolls inside of it."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from audience.audiences.saving import save_rule
from audience.models import Audience
from campaigns.models import Step
from experiments.analysing.analysis import analyse
from experiments.models import Experiment
from tests.browser.conftest import check_access
from tests.campaigns.mailed import make_mail_placement
from tests.makers import DAY, NOW, make_campaign, make_customer, make_experiment, make_offer
from tests.worlds import fill_arms

pytestmark = pytest.mark.django_db(transaction=True)

WIDTH, HEIGHT = 390, 800
STEPS = ("idea", "audience", "offers", "proof", "schedule")


def is_too_wide(page: Page, address: str, *, than: int = WIDTH) -> bool:
    page.goto(address)
    width: int = page.evaluate("document.documentElement.scrollWidth")
    return width > than


def test_pages_of_campaigns_and_experiments_fit_a_phone(log_in: Callable[..., Page]) -> None:
    draft, running = make_campaign(started_at=None), make_campaign()
    planned: Experiment = make_experiment(is_standalone=True, started_at=None)
    page = log_in("ann")
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    addresses = [
        running.get_absolute_url(),
        *(f"/campaigns/{running.key}/{verb}/" for verb in ("pause", "finish", "audience")),
        f"/campaigns/{draft.key}/setup/",
        *(f"/campaigns/{draft.key}/setup/{name}/" for name in STEPS),
        f"/setup/{planned.key}/",
        *(f"/setup/{planned.key}/{name}/" for name in ("arms", "audience", "metrics", "plan")),
    ]
    assert [address for address in addresses if is_too_wide(page, address)] == []


def test_names_of_one_long_word_fit_a_phone(log_in: Callable[..., Page]) -> None:
    """As long as a name may be, without a place to break it."""
    name = "W" * 100
    offers = [make_offer(name=name)]
    mailed = make_campaign(
        name=name, offers=offers, placement=make_mail_placement(), started_at=None
    )
    step = Step.objects.create(campaign=mailed, name=name)
    running = make_campaign(name=name, offers=offers)
    save_rule(Audience(key="long", name=name), {"all": []})
    customer = make_customer(attributes={"note": name * 3})
    page = log_in("ann")
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    addresses = [
        running.get_absolute_url(),
        f"/campaigns/{running.key}/pause/",
        f"/campaigns/{mailed.key}/setup/",
        f"/campaigns/{mailed.key}/setup/offers/",
        f"/campaigns/{mailed.key}/messages/",
        f"/campaigns/{mailed.key}/messages/{step.pk}/",
        f"/campaigns/{mailed.key}/messages/{step.pk}/remove/",
        "/audiences/",
        "/audiences/of/long/",
        f"/customers/{customer.pk}/?about=campaign:{running.key}",
    ]
    assert [address for address in addresses if is_too_wide(page, address)] == []


@pytest.mark.parametrize("width", [WIDTH, 1280])
def test_accounts_are_no_wider_than_the_screen(log_in: Callable[..., Page], width: int) -> None:
    page = log_in("ann")
    page.set_viewport_size({"width": width, "height": HEIGHT})
    addresses = ["/admin/auth/user/add/", "/admin/auth/group/add/"]
    assert [each for each in addresses if is_too_wide(page, each, than=width)] == []


def test_what_a_table_is_about_is_read_without_scrolling(log_in: Callable[..., Page]) -> None:
    draft = make_campaign(started_at=None)
    page = log_in("ann")
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    page.goto(f"/campaigns/{draft.key}/setup/schedule/")
    caption = page.locator("caption").bounding_box()
    assert caption is not None
    assert caption["x"] + caption["width"] <= WIDTH


def test_a_number_and_its_interval_stand_below_each_other_on_a_phone(
    log_in: Callable[..., Page],
) -> None:
    experiment = make_experiment(is_standalone=True)
    fill_arms(experiment, control=(300, 60), new=(300, 90))
    analyse(experiment, now=NOW + 30 * DAY)
    page = log_in("ann")
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    page.goto(experiment.get_absolute_url())
    for label in ("Lift", "Difference", "Among all comparisons"):
        cell = page.locator(f".results td[data-label='{label}']").first
        interval = cell.locator("small").bounding_box()
        outer = cell.bounding_box()
        assert interval is not None
        assert outer is not None
        # Below the number, not beside it.
        assert interval["y"] > outer["y"] + outer["height"] / 3


def test_who_is_logged_in_and_the_way_out_fit_a_phone(log_in: Callable[..., Page]) -> None:
    """However long the name is: here the longest that an account may have."""
    name = "x" * 150
    page = log_in(name, by_form=True)
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    assert not is_too_wide(page, "/experiments/")
    assert page.locator("header").get_by_text(name).is_visible()
    check_access(page)
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/admin/logout/")
    assert page.goto("/experiments/") is not None
    assert "/admin/login/" in page.url
