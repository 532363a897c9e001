"""Products are looked at by a marketer wherever customers will see them."""

from collections.abc import Callable

from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page

from campaigns.mail.starters import Plain, to_mjml
from recommender.models import Ranking
from recommender.ranking.catalogue import update_products
from recommender.ranking.monitoring import check_due
from tests.browser.conftest import check_access, listen
from tests.campaigns.mailed import add_step, make_mail_placement
from tests.makers import make_campaign, make_offer
from tests.recommender.ranking.shops import make_ranking, make_shop, serve_markov


def test_products_are_seen_at_the_ranking_the_offer_the_message_and_the_campaign(
    site_url: str, log_in: Callable[..., Page], complaints: list[str]
) -> None:
    people, ranking = make_shop(), make_ranking(shown=12)
    serve_markov(ranking)
    update_products(now=timezone.now())
    check_due(now=timezone.now())
    Ranking.objects.update(
        boosts=[{"attribute": "category", "value": "shelf 1", "factor": 3}], most_of_category=2
    )
    offer = make_offer(ranking=ranking, name="Top picks for you")
    page = log_in("ann")
    listen(page, complaints)
    # The shop's pictures, which are nowhere.
    page.route("https://shop.example/**", lambda route: route.fulfill(content_type="image/gif"))

    page.goto(ranking.get_absolute_url())
    page.wait_for_selector("text=Shown now, by the rules")
    page.wait_for_selector("text=The category “shelf 1” counts 3 times.")
    page.wait_for_selector("text=Look at this")
    check_access(page)

    page.goto(reverse("offer-preview", args=[offer.key]))
    page.fill("#as_customer", people[0].external_key)
    page.click("button:has-text('Show')")
    page.wait_for_selector("a[href^='https://shop.example/p']")
    check_access(page)

    mailed = make_campaign(placement=make_mail_placement(), offers=[offer], started_at=None)
    design = Plain("products", headline="For you", text="Have a look", button="", link="")
    step = add_step(mailed, 0, 0, subject="For you", body=to_mjml(design))
    page.goto(reverse("message", args=[mailed.key, step.pk]))
    page.fill("[name=as_customer]", people[0].external_key)
    frame = page.frame_locator("#preview iframe")
    frame.locator("td a b", has_text="Product").first.wait_for()
    check_access(page)

    campaign = make_campaign(started_at=None)
    page.goto(reverse("campaign-setup-step", args=[campaign.key, "offers"]))
    while page.locator("[name=offers]:checked").count():
        page.locator("[name=offers]:checked").first.click()
    page.click("summary:has-text('Show products instead')")
    page.select_option("[name=ranking]", label=ranking.name)
    page.fill("[name=places]", "3")
    check_access(page)
    page.click("button:has-text('Save and go on')")
    page.goto(reverse("campaign-setup", args=[campaign.key]))
    page.wait_for_selector("text=3 products of")
    check_access(page)
    assert complaints == []
