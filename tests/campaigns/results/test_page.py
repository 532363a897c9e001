"""What a campaign was worth stands on its page, in words that say what is known."""

from http import HTTPStatus
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audience.models import Scope
from campaigns.models import Campaign, CampaignResult
from campaigns.results.computing import compute_result
from campaigns.results.page import say_result, to_result_page
from campaigns.tasks import compute_results
from experiments.analysing.analysis import analyse
from experiments.models import Experiment
from tests.campaigns.results.shop import LATER, draft_shop, open_shop, write
from tests.makers import (
    NOW,
    expose,
    log_all,
    make_campaign,
    make_customer,
    make_customers,
    make_source,
    make_user,
)

pytestmark = pytest.mark.django_db
VIEW, PEEK = "campaigns.view_campaign", "experiments.peek_at_results"


def browse(*permissions: str) -> Client:
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user(*permissions))
    return client


def read(campaign: Campaign, *permissions: str) -> str:
    answer = browse(VIEW, *permissions).get(campaign.get_absolute_url())
    assert answer.status_code == HTTPStatus.OK
    return answer.content.decode()


def report(low: float, high: float) -> dict[str, Any]:
    campaign = open_shop(60, seed=1).campaign
    stored = compute_result(campaign, now=LATER).report
    net = next(row for row in stored["rows"] if row["key"] == "net")
    net["result"]["difference"] = (low + high) / 2
    net["lasting"] = {"low": low, "high": high}
    return dict(stored)


def test_the_page_says_what_it_was_worth_and_from_what() -> None:
    campaign = open_shop(900, seed=7).campaign
    compute_result(campaign, now=LATER)
    page = read(campaign)
    for said in (
        "Whether the campaign earns more than its offers cost is not shown yet",
        "Computed on 1 Apr 2026, 12:00:00 UTC",
        "customers in arms with offers",
        "By country",
        "biased under adaptive allocation",
        "for 3 days",
        "Net per customer against no offer",
    ):
        assert said in page


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(1, 2, "has earned +€1.50"), (-2, -1, "has lost money"), (-1, 1, "is not shown yet")],
)
def test_the_sentence_says_which_way_it_went(low: float, high: float, said: str) -> None:
    assert said in say_result(report(low, high))


def test_nothing_is_claimed_of_numbers_that_are_not_to_be_trusted() -> None:
    campaign = draft_shop()
    expose(campaign.experiment, make_customers(60), "hold-out", at=NOW)
    expose(campaign.experiment, make_customers(20), "control", at=NOW)
    analyse(campaign.experiment, now=LATER)
    compute_result(campaign, now=LATER)
    page = read(campaign)
    assert "these numbers are not to be trusted, so nothing follows" in page
    assert "What the campaign was worth" not in page


def test_a_campaign_without_anybody_says_so() -> None:
    campaign = draft_shop()
    assert "there is none yet" in read(campaign)
    compute_result(campaign, now=NOW)
    page = read(campaign)
    assert "is not known: nobody has met an arm that gives offers yet." in page
    assert "No offer was given out yet." in page


def test_an_offer_with_few_decisions_is_withheld() -> None:
    campaign = make_campaign(reward_window_seconds=5400)
    ann = make_customer()
    expose(campaign.experiment, ann, "control", at=NOW)
    log_all([write(campaign, ann, "blue", at=NOW)])
    page = to_result_page(compute_result(campaign, now=LATER))
    assert page.days == "1.5 hours"
    assert [offer.name for offer in page.offers] == ["blue", "red"]
    assert page.offers[0].net_value.startswith("withheld: Its decisions tell as much as")
    assert page.offers[0].plain_goal == "0%"
    assert page.offers[1].plain_goal == "–"


def test_it_is_hidden_with_the_results() -> None:
    campaign = draft_shop()
    Experiment.objects.filter(pk=campaign.experiment_id).update(started_at=timezone.now())
    compute_result(campaign, now=NOW)
    assert "What was it worth?" not in read(campaign)
    assert "What was it worth?" in read(campaign, PEEK)


def test_a_worker_computes_it_after_each_analysis() -> None:
    campaign = draft_shop()
    assert compute_results() == 0
    analyse(campaign.experiment, now=NOW)
    assert compute_results() == 1
    assert compute_results() == 0
    assert CampaignResult.objects.get(campaign=campaign).report["served"] == 0


def test_one_damaged_campaign_does_not_keep_others_from_their_results() -> None:
    broken, sound = draft_shop(), make_campaign()
    for campaign in (broken, sound):
        analyse(campaign.experiment, now=NOW)
    version = broken.experiment.plans.get()
    version.plan = {}
    version.save()
    assert compute_results() == 1
    assert CampaignResult.objects.get().campaign == sound


def ask(campaign: str, key: str = "", client: Client | None = None) -> Any:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    client = client or Client()
    address = f"/api/v1/campaigns/{campaign}/results"
    return client.get(address, headers={"x-forwarded-proto": "https", **headers})


def test_a_key_with_the_scope_reads_it() -> None:
    campaign = draft_shop()
    _, key = make_source(Scope.READ)
    assert ask(campaign.key, key).status_code == HTTPStatus.NOT_FOUND
    stored = compute_result(campaign, now=NOW)
    document = ask(campaign.key, key).json()
    assert document["report"] == stored.report
    assert document["computed_at"] == NOW.isoformat()
    assert document["experiment"] == campaign.experiment.key


def test_who_may_not_read_and_what_is_not_there_are_refused() -> None:
    campaign = draft_shop()
    _, other = make_source(Scope.DECIDE)
    _, key = make_source(Scope.READ)
    assert ask(campaign.key).status_code == HTTPStatus.UNAUTHORIZED
    assert ask(campaign.key, other).status_code == HTTPStatus.UNAUTHORIZED
    assert ask("nothing", key).status_code == HTTPStatus.NOT_FOUND
    Experiment.objects.filter(pk=campaign.experiment_id).update(started_at=timezone.now())
    compute_result(campaign, now=NOW)
    assert ask(campaign.key, key).status_code == HTTPStatus.FORBIDDEN
    peeking = browse("experiments.view_experiment", PEEK)
    assert ask(campaign.key, client=peeking).status_code == HTTPStatus.OK


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (3, "3 seconds"),
        (60, "1 minute"),
        (5400, "1.5 hours"),
        (86_400, "1 day"),
        (90_000, "1.04 days"),
    ],
)
def test_a_time_is_said_in_a_unit_that_fits(seconds: int, says: str) -> None:
    campaign = make_campaign(reward_window_seconds=seconds)
    assert to_result_page(compute_result(campaign, now=LATER)).days == says
