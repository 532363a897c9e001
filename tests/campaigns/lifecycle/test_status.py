"""Campaigns start, pause and finish in turn, with their experiment, and leave a trace."""

from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.conf import settings
from django.core.exceptions import ValidationError

from campaigns.lifecycle.drafting import CampaignPlan, Split, add_offers, draft_campaign, reward_of
from campaigns.lifecycle.status import (
    divide_campaign,
    finish_campaign,
    pause_campaign,
    start_campaign,
    tell_policy_its_offers,
)
from campaigns.models import Campaign, CampaignOffer, Status
from experiments.models import Experiment
from experiments.models import Status as ExperimentStatus
from recommender.models import Policy, RewardKind
from tests.makers import (
    DAY,
    NOW,
    make_campaign,
    make_metric,
    make_offer,
    make_placement,
)
from wire.current import CHANGES_KEY

pytestmark = pytest.mark.django_db


def start(campaign: Campaign) -> None:
    start_campaign(campaign, by=None, now=NOW, reason="ready")


def pause(campaign: Campaign) -> None:
    pause_campaign(campaign, by=None, now=NOW, reason="wrong price")


def finish(campaign: Campaign) -> None:
    finish_campaign(campaign, by=None, now=NOW, reason="enough")


def test_a_draft_has_an_experiment_with_a_hold_out_and_a_policy() -> None:
    goal = make_metric(kind="mean", of="value")
    campaign = make_campaign(goal=goal, started_at=None, split=Split(5, 15))
    arms = {arm.key: (arm.weight, arm.is_control) for arm in campaign.experiment.arms.all()}
    assert arms == {
        "control": (1500, True),
        "personalised": (8000, False),
        "hold-out": (500, False),
    }
    assert (campaign.policy.reward_event, campaign.policy.reward_kind) == (
        "Order Completed",
        RewardKind.SUM,
    )


@pytest.mark.parametrize("split", [Split(0, 20), Split(10, 0), Split(50, 51)])
def test_a_split_that_proves_nothing_is_refused(split: Split) -> None:
    with pytest.raises(ValidationError, match=r"at least 1% each|more than 100%"):
        make_campaign(split=split, started_at=None)
    assert not Experiment.objects.exists()
    assert not Policy.objects.exists()


def test_the_longest_key_will_do() -> None:
    plan = CampaignPlan("k" * 60, "Long", make_placement(), make_metric(), planned_customers=100)
    campaign = draft_campaign(plan)
    add_offers(campaign, [make_offer()])
    start(campaign)
    assert campaign.status == Status.RUNNING


def test_rewards_follow_the_goal() -> None:
    assert reward_of(make_metric("Visit")) == ("Visit", RewardKind.ANY)
    assert reward_of(make_metric("Visit", kind="mean", of="count")) == ("Visit", RewardKind.COUNT)


def test_a_policy_cannot_learn_from_one_currency_alone() -> None:
    spend = make_metric(kind="mean", currency="EUR", only_in_currency=True)
    with pytest.raises(ValidationError, match="cannot learn"):
        reward_of(spend)


def test_starting_starts_the_experiment_and_tells_the_policy_its_offers() -> None:
    campaign = make_campaign(started_at=None, offers=[make_offer(key="tea"), make_offer(key="jam")])
    start(campaign)
    assert campaign.status == Status.RUNNING
    assert Experiment.objects.get(pk=campaign.experiment_id).status == ExperimentStatus.RUNNING
    assert Policy.objects.get(pk=campaign.policy_id).offers == ["tea", "jam"]


def test_a_campaign_goes_through_its_life_and_every_step_is_written_down() -> None:
    campaign = make_campaign(started_at=None)
    for step in (start, pause, start, finish):
        step(campaign)
    experiment = Experiment.objects.get(pk=campaign.experiment_id)
    assert (campaign.status, experiment.status) == (Status.FINISHED, ExperimentStatus.STOPPED)
    assert [(c.action, c.reason) for c in experiment.changes.order_by("id")] == [
        ("started", "ready"),
        ("campaign started", "ready"),
        ("campaign paused", "wrong price"),
        ("campaign started", "ready"),
        ("campaign finished", "enough"),
        ("stopped", "enough"),
    ]


def test_a_paused_campaign_goes_on_measuring() -> None:
    campaign = make_campaign()
    pause(campaign)
    assert Experiment.objects.get(pk=campaign.experiment_id).status == ExperimentStatus.RUNNING


@pytest.mark.parametrize(
    ("before", "step", "message"),
    [
        ([], pause, "is draft: it cannot be paused"),
        ([], finish, "is draft: it cannot be finished"),
        ([start], start, "is running: it cannot be started"),
        ([start, pause], pause, "is paused: it cannot be paused"),
        ([start, finish], start, "is finished: it cannot be started"),
        ([start, finish], pause, "is finished: it cannot be paused"),
        ([start, finish], finish, "is finished: it cannot be finished"),
    ],
)
def test_steps_out_of_turn_are_refused(
    before: list[Callable[[Campaign], None]], step: Callable[[Campaign], None], message: str
) -> None:
    campaign = make_campaign(started_at=None)
    for earlier in before:
        earlier(campaign)
    with pytest.raises(ValidationError, match=message):
        step(campaign)


@pytest.mark.parametrize(
    "values", [[], [{"is_active": False}], [{"starts_at": NOW - DAY, "ends_at": NOW}]]
)
def test_a_campaign_without_anything_to_show_is_refused(values: list[dict[str, Any]]) -> None:
    offers = [make_offer(**each) for each in values]
    campaign = make_campaign(offers=offers, started_at=None)
    with pytest.raises(ValidationError, match="at least one offer that can be shown"):
        start(campaign)


def test_the_control_arm_needs_something_to_show() -> None:
    campaign = make_campaign(started_at=None)
    campaign.choices.update(baseline_weight=0)
    with pytest.raises(ValidationError, match="needs a share of the control arm"):
        start(campaign)


def test_an_offer_that_is_switched_off_is_no_share_of_the_control_arm() -> None:
    on, off = make_offer(), make_offer(is_active=False)
    campaign = make_campaign(offers=[on, off], started_at=None)
    CampaignOffer.objects.filter(offer=on).update(baseline_weight=0)
    with pytest.raises(ValidationError, match="needs a share of the control arm"):
        start(campaign)


def test_a_campaign_whose_end_has_passed_is_refused() -> None:
    campaign = make_campaign(started_at=None, ends_at=NOW)
    with pytest.raises(ValidationError, match="end has passed"):
        start(campaign)
    assert Experiment.objects.get(pk=campaign.experiment_id).status == ExperimentStatus.DRAFT


def test_an_offer_that_is_added_comes_after_those_already_known() -> None:
    campaign = make_campaign(offers=[make_offer(key="tea"), make_offer(key="jam")])
    CampaignOffer.objects.filter(offer__key="tea").delete()
    CampaignOffer.objects.create(campaign=campaign, offer=make_offer(key="bun"))
    tell_policy_its_offers(campaign)
    assert Policy.objects.get(pk=campaign.policy_id).offers == ["tea", "jam", "bun"]


@pytest.mark.django_db(transaction=True)
def test_every_step_is_announced() -> None:
    campaign = make_campaign(started_at=None)
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        for step in (start, pause, finish):
            before = announced(client)
            step(campaign)
            assert announced(client) > before


def announced(client: "redis.Redis") -> int:
    value: Any = client.get(CHANGES_KEY)
    return int(value or 0)


@pytest.mark.django_db(transaction=True)
def test_a_campaign_can_be_divided_anew_and_that_is_announced() -> None:
    campaign = make_campaign(split=Split(10, 20))
    shares = {"control": 1000, "personalised": 8000}
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        before = announced(client)
        divide_campaign(campaign, shares, by=None, now=NOW, reason="it does well")
        assert announced(client) > before
    weights = dict(campaign.experiment.arms.values_list("key", "weight"))
    assert weights == {"control": 1000, "personalised": 8000, "hold-out": 1000}
