"""A campaign's report and steps, for those who may see and take them."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audience.models import Scope
from campaigns.models import Campaign, Status
from campaigns.results.computing import compute_result
from campaigns.results.outcome import say_outcome
from campaigns.tasks import evaluate_campaign
from experiments.analysing.analysis import analyse
from experiments.models import Experiment
from recommender.delays import DelayCurve
from recommender.models import Policy, PolicyEvaluation, PolicyVersion
from tests.makers import (
    DAY,
    NOW,
    make_campaign,
    make_customers,
    make_decision,
    make_source,
    make_user,
)

pytestmark = pytest.mark.django_db

Queries = Callable[[int], AbstractContextManager[Any]]
VIEW, CHANGE = "campaigns.view_campaign", "campaigns.change_campaign"
HOSTILE = "<script>alert(1)</script>"
LATER = NOW + 30 * DAY


def browse(*permissions: str, **account: bool) -> Client:
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user(*permissions, **account))
    return client


def judge(campaign: Campaign, *, integrity: dict[str, Any] | None = None) -> None:
    """Publish a version and store what it would have earned."""
    PolicyVersion.objects.create(
        policy=campaign.policy, number=3, odds=b"", learned_from=1234, published_at=NOW
    )
    value = {"estimate": 0.2, "low": 0.1, "high": 0.3}
    rows = [
        {"policy": "Learned policy", "snips": value, "dr": value, "advantage": None},
        {"policy": f"{HOSTILE} to all", "snips": value, "dr": value, "advantage": value},
    ]
    PolicyEvaluation.objects.create(
        campaign=campaign.key,
        computed_at=NOW,
        population="500 decisions",
        rows=rows,
        integrity=integrity or {},
    )


def test_of_a_policy_that_decides_over_time_it_says_what_customers_would_bring() -> None:
    campaign = make_campaign(bandit="sequential")
    assert evaluate_campaign(campaign) is None, "there is no version yet"
    analyse(campaign.experiment, now=LATER)
    judge(campaign)
    page = browse(VIEW).get(campaign.get_absolute_url()).content.decode()
    assert "would have earned per customer, late rewards faded" in page
    assert "Per-decision IPS" in page
    # A customer brings a sum, which is no share of anything.
    assert "0.200 (0.100 to 0.300)" in page
    assert "Shrunk" not in page


def test_the_report_shows_the_experiment_and_what_policies_would_have_earned() -> None:
    campaign = make_campaign(name=HOSTILE)
    analyse(campaign.experiment, now=LATER)
    judge(campaign)
    page = browse(VIEW).get(campaign.get_absolute_url()).content.decode()
    assert "version 3 has learned from 1,234 decisions" in page
    assert "The learned policy beats the best simple one" in page
    assert "500 decisions" in page
    assert HOSTILE not in page


def test_a_broken_log_is_shown_red() -> None:
    campaign = make_campaign()
    analyse(campaign.experiment, now=LATER)
    worst = {"offer": HOSTILE, "n": 300, "expected": 150.0, "drawn": 170, "z": 9.0}
    judge(campaign, integrity={"is_broken": True, "worst": worst})
    page = browse(VIEW).get(campaign.get_absolute_url()).content.decode()
    assert "Integrity error" in page
    assert "The log is broken" in page
    assert HOSTILE not in page


def test_what_policies_earned_is_hidden_with_the_results() -> None:
    campaign = make_campaign()
    Experiment.objects.filter(pk=campaign.experiment_id).update(
        started_at=timezone.now(), minimum_days=7
    )
    analyse(campaign.experiment, now=timezone.now())
    judge(campaign)
    page = browse(VIEW).get(campaign.get_absolute_url()).content.decode()
    peeked = browse(VIEW, "experiments.peek_at_results").get(campaign.get_absolute_url())
    assert "Results are hidden until" in page
    assert "The learned policy beats the best simple one" not in page
    assert "The learned policy beats the best simple one" in peeked.content.decode()


def test_a_young_campaign_has_a_report_too() -> None:
    page = browse(VIEW).get(make_campaign().get_absolute_url()).content.decode()
    assert "The policy has learned nothing yet." in page
    assert "There is no analysis yet." in page


def test_the_report_takes_few_queries(django_assert_num_queries: Queries) -> None:
    campaign = make_campaign()
    analyse(campaign.experiment, now=LATER)
    judge(campaign)
    client = browse(is_superuser=True)
    # Session, user, campaign, evaluation, version, result, and of the report: analysis, plan,
    # timeline, looks, changes.
    with django_assert_num_queries(11):
        client.get(campaign.get_absolute_url())


def test_the_button_asks_for_an_analysis() -> None:
    campaign = make_campaign()
    response = browse(VIEW, "experiments.analyse_experiment").post(
        reverse("campaign-refresh", args=[campaign.key])
    )
    assert response["location"] == campaign.get_absolute_url()
    campaign.experiment.refresh_from_db()
    assert campaign.experiment.analysis_requested_at is not None


def test_a_step_out_of_turn_says_why_not() -> None:
    campaign = make_campaign()
    client = browse(VIEW, CHANGE)
    response = client.post(reverse("campaign-step", args=[campaign.key, "start"]), follow=True)
    assert f"{campaign.name} is running: it cannot be started." in response.content.decode()


def test_a_page_of_a_step_out_of_turn_leads_to_the_report() -> None:
    campaign = make_campaign()
    client = browse(VIEW, CHANGE)
    response = client.get(reverse("campaign-step", args=[campaign.key, "start"]), follow=True)
    assert response.redirect_chain == [(campaign.get_absolute_url(), HTTPStatus.FOUND)]
    assert "Start: that cannot be done." in response.content.decode()


def test_the_report_offers_the_steps_that_somebody_may_take() -> None:
    campaign = make_campaign()
    for rights, verbs in (((VIEW, CHANGE), ["pause", "finish"]), ((VIEW,), [])):
        body = browse(*rights).get(campaign.get_absolute_url()).content.decode()
        offered = [
            verb
            for verb in ("start", "pause", "finish")
            if reverse("campaign-step", args=[campaign.key, verb]) in body
        ]
        assert offered == verbs
        assert "Analyse now" not in body


def test_a_step_is_confirmed_in_words() -> None:
    campaign = make_campaign()
    client = browse(VIEW, CHANGE)
    response = client.post(reverse("campaign-step", args=[campaign.key, "pause"]), follow=True)
    assert f"{campaign.name} is paused." in response.content.decode()


def test_a_reason_is_kept_without_what_the_database_cannot_hold() -> None:
    campaign = make_campaign()
    address = reverse("campaign-step", args=[campaign.key, "pause"])
    browse(VIEW, CHANGE).post(address, {"reason": "wrong\0 price"})
    assert campaign.experiment.changes.filter(reason="wrong price").exists()


def test_a_step_that_there_is_not_is_not_found() -> None:
    address = reverse("campaign-step", args=[make_campaign().key, "explode"])
    assert browse(CHANGE).post(address).status_code == HTTPStatus.NOT_FOUND


def addresses(campaign: Campaign) -> list[str]:
    steps = [reverse("campaign-step", args=[campaign.key, v]) for v in ("start", "finish")]
    return [campaign.get_absolute_url(), *steps]


def test_strangers_are_sent_to_the_log_in() -> None:
    client = Client(headers={"x-forwarded-proto": "https"})
    for address in addresses(make_campaign()):
        response = client.get(address)
        assert response.status_code == HTTPStatus.FOUND
        assert response["location"].startswith(reverse("admin:login"))


def test_staff_without_the_permission_are_refused() -> None:
    for address in addresses(make_campaign()):
        assert browse().get(address).status_code == HTTPStatus.FORBIDDEN


def test_who_may_only_look_changes_nothing() -> None:
    campaign = make_campaign()
    response = browse(VIEW).post(reverse("campaign-step", args=[campaign.key, "finish"]))
    assert response.status_code == HTTPStatus.FORBIDDEN
    campaign.refresh_from_db()
    assert campaign.status == Status.RUNNING


def test_the_outcome_in_a_terminal_says_the_same() -> None:
    campaign = make_campaign()
    assert list(say_outcome(campaign)) == ["There is no analysis yet."]
    analyse(campaign.experiment, now=LATER)
    judge(campaign)
    said = "\n".join(say_outcome(campaign))
    assert said.startswith("Nothing to read yet.")
    assert "(goal)" in said
    assert "The checks found nothing wrong." in said
    assert "The learned policy beats the best simple one" in said


def await_rewards(campaign: Campaign) -> None:
    """Let half of the reward come within an hour, and wait for two decisions of an hour ago."""
    curve = DelayCurve(ages=[3_600, 259_200], arrived=[0.5, 1.0], earned=812)
    Policy.objects.filter(pk=campaign.policy_id).update(delays=curve.to_json())
    campaign.policy.refresh_from_db()
    for customer in make_customers(2):
        make_decision(
            campaign.policy,
            customer,
            None,
            at=timezone.now() - timedelta(hours=1),
            campaign=campaign.key,
        )


def test_the_report_says_how_much_of_the_reward_has_come() -> None:
    campaign = make_campaign()
    client = browse(VIEW)
    assert "Has it come yet?" not in client.get(campaign.get_absolute_url()).content.decode()
    await_rewards(campaign)
    page = client.get(campaign.get_absolute_url()).content.decode()
    assert "About 50" in page
    assert "of what 2 decisions will have earned when their 3 days are over" in page
    assert "812 settled decisions" in page
    assert "chart-arrivals" in page


def test_the_api_says_how_much_of_the_reward_has_come() -> None:
    campaign = make_campaign()
    compute_result(campaign, now=LATER)
    _, key = make_source(Scope.READ)
    headers = {"x-forwarded-proto": "https", "authorization": f"Bearer {key}"}
    address = f"/api/v1/campaigns/{campaign.key}/results"
    assert Client().get(address, headers=headers).json()["maturity"] is None
    await_rewards(campaign)
    maturity = Client().get(address, headers=headers).json()["maturity"]
    assert (maturity["waiting"], maturity["curve"]["earned"]) == (2, 812)
    assert maturity["arrived"] == pytest.approx(0.5, abs=0.01)
