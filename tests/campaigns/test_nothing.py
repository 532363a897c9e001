"""To show nothing is an offer like any other: drawn by chance, logged and learned from."""

from collections import Counter
from dataclasses import replace

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audience.models import Scope
from campaigns.client_draws.growthbook import to_extras
from campaigns.lifecycle.drafting import Split, find_nothing
from campaigns.lifecycle.preflight import check_offers
from campaigns.models import DeliveryState
from campaigns.sending.deciding import CHOSE_NOTHING
from campaigns.sending.enrolling import enrol_due
from campaigns.sending.worker import Worker
from campaigns.setup.offers import OffersStep
from recommender.models import Decision
from tests.asgi import open_site
from tests.campaigns.client_draws import leaved
from tests.campaigns.mailed import make_mailed, make_readers
from tests.makers import NOW, make_campaign, make_offer, make_source, make_user


@pytest.mark.django_db
def test_all_campaigns_share_what_stands_for_nothing() -> None:
    make_offer(key="nothing")
    nothing = find_nothing()
    assert find_nothing() == nothing
    assert nothing.key != "nothing", "somebody's own offer has that key"
    nothing.cost_cents = 5
    with pytest.raises(ValidationError, match="says and costs nothing"):
        nothing.full_clean()


@pytest.mark.django_db
def test_a_marketer_lets_a_policy_show_nothing() -> None:
    campaign, tea = make_campaign(started_at=None, offers=[]), make_offer(key="tea")
    step = OffersStep(campaign, {"offers": [tea.pk], "may_be_nothing": True})
    assert step.is_valid(), step.errors
    step.write()
    shares = dict(campaign.choices.values_list("offer__key", "baseline_weight"))
    assert shares == {"tea": 1, "nothing": 0}
    read = OffersStep.read(campaign)
    assert (read["offers"], read["may_be_nothing"], read["fallback"]) == ([tea.pk], True, None)
    again = OffersStep(campaign)
    assert "nothing" not in {offer.key for offer in again.fields["offers"].queryset}  # type: ignore[attr-defined]
    step = OffersStep(campaign, {"offers": [tea.pk]})
    assert step.is_valid()
    step.write()
    assert OffersStep.read(campaign)["may_be_nothing"] is False


@pytest.mark.django_db
def test_beside_nothing_a_campaign_needs_an_offer() -> None:
    alone = make_campaign(started_at=None, offers=[find_nothing()])
    assert {issue.code for issue in check_offers(alone, NOW)} == {"offers", "shares"}
    both = make_campaign(started_at=None, offers=[make_offer(), find_nothing()])
    assert not list(check_offers(both, NOW))


@pytest.mark.django_db
def test_nobody_writes_words_into_it() -> None:
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user(is_superuser=True))
    nothing = find_nothing()
    page = client.get(reverse("admin:campaigns_offer_change", args=[nothing.pk]))
    assert 'name="headline"' not in page.content.decode()
    said = {"name": "Nothing", "headline": "Buy!"}
    client.post(reverse("admin:campaigns_offer_change", args=[nothing.pk]), said)
    nothing.refresh_from_db()
    assert nothing.headline == ""
    preview = client.get(reverse("offer-preview", args=[nothing.key]))
    assert preview.status_code == 200


@pytest.mark.django_db(transaction=True)
def test_it_is_drawn_logged_and_kept_like_any_offer() -> None:
    campaign = make_campaign(
        started_at=timezone.now(),
        offers=[make_offer(key="tea"), find_nothing()],
        split=Split(5, 20),
    )
    _, key = make_source(Scope.DECIDE)
    given: Counter[tuple[str, bool]] = Counter()
    with open_site() as site:
        for number in range(60):
            body = {"customer": f"c{number}", "placements": [campaign.placement.key]}
            made = site.post("/api/v1/decide", body, key=key).json()["decisions"][0]
            again = site.post("/api/v1/decide", body, key=key).json()["decisions"][0]
            assert again == made, "what was drawn holds"
            given[made["arm"], made["offer"] is None] += 1
            if made["arm"] == "personalised":
                assert made["propensity"] == 0.5
    assert given["personalised", True] > 5
    assert given["personalised", False] > 5
    assert given["control", True] == 0, "by fixed shares everybody gets something"
    logged = Decision.objects.filter(arm="personalised", offer="nothing")
    assert logged.count() == given["personalised", True]
    for decision in logged:
        assert dict(zip(decision.eligible, decision.weights, strict=True))["nothing"] == 0.5
        assert decision.policy_id == campaign.policy_id, "the policy learns from it"
    campaign.policy.refresh_from_db()
    assert set(campaign.policy.offers) == {"tea", "nothing"}


@pytest.mark.usefixtures("transactional_db")
@pytest.mark.django_db(transaction=True)
def test_whoever_drew_nothing_is_sent_nothing_and_goes_on() -> None:
    readers = make_readers(40)
    campaign = make_mailed(
        offers=[make_offer(key="tea"), find_nothing()], steps=(0, 60), started_at=timezone.now()
    )
    enrol_due(now=timezone.now())
    with Worker() as worker:
        worker.send_due()
    first = campaign.deliveries.filter(step__position=0)
    skipped = first.filter(reason=CHOSE_NOTHING)
    assert 5 < skipped.count() < len(readers)
    assert set(skipped.values_list("state", "offer")) == {(DeliveryState.SKIPPED, "nothing")}
    assert all(each.decision_id is not None for each in skipped)
    following = campaign.deliveries.filter(step__position=1).values_list("customer_id", flat=True)
    assert set(skipped.values_list("customer_id", flat=True)) <= set(following)


def test_clients_that_draw_by_themselves_get_null() -> None:
    nothing = replace(leaved.make_offer("trial"), content=None)
    campaign = leaved.make_campaign(leaved.make_offer("gift"), nothing)
    extras = to_extras(leaved.make_snapshot(campaign), now=leaved.NOW)
    shown: Counter[str | None] = Counter()
    for number in range(300):
        told = leaved.evaluate(extras, "summer", id=f"c{number}").tracks
        drawn = {track["experiment"]["key"]: track["result"]["key"] for track in told}
        value = leaved.value_of(extras, id=f"c{number}")
        shown[value and value["key"]] += 1
        if drawn.get("summer:12") == "trial":
            assert value is None
            shown["drew nothing"] += 1
    assert shown["drew nothing"] > 10
    assert "trial" not in shown
