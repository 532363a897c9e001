"""A ranking, trained and served by clicking, on a page that everybody can read."""

from collections.abc import Callable

from django.utils import timezone
from playwright.sync_api import Page

from recommender.models.rankings import Status
from recommender.ranking.learning import train_next
from tests.browser.conftest import check_access, listen
from tests.recommender.ranking.shops import make_ranking, make_shop


def test_a_ranking_is_trained_and_served_by_clicking(
    site_url: str, log_in: Callable[..., Page], complaints: list[str]
) -> None:
    make_shop()
    ranking = make_ranking(window_days=3650)
    page = log_in("ann")
    listen(page, complaints)
    page.goto(ranking.get_absolute_url())
    check_access(page)
    page.select_option("[name=kind]", "markov")
    page.click("button:has-text('Train it')")
    page.wait_for_selector("text=Version 1 waits for a worker.")
    train_next(now=timezone.now())
    page.reload()
    check_access(page)
    page.click("button:has-text('Serve version 1')")
    page.wait_for_selector("text=Version 1 is served from now on.")
    assert ranking.versions.get().status == Status.SERVED
    assert complaints == []
