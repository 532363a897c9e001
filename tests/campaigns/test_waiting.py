"""Waiting for the workers ends when they are done, and says so when there are none."""

from datetime import timedelta

import pytest
from django.utils import timezone

from campaigns.models import Campaign
from campaigns.tasks import evaluate_due
from campaigns.waiting import NoWorker, wait_for_learning, wait_for_report
from experiments.tasks import analyse_due
from recommender.models import PolicyVersion
from recommender.tasks import learn_due
from tests.makers import NOW, log_all, logged, make_campaign, make_customers
from tests.racing import other_sessions

pytestmark = pytest.mark.django_db(transaction=True)

IMPATIENT = 0.01


def decide(campaign: Campaign, n: int, *, held_back: bool = False) -> None:
    """Log decisions whose rewards are due."""
    campaign.policy.refresh_from_db()
    at = timezone.now() - timedelta(days=30)
    offers = campaign.policy.offers
    log_all(
        [
            logged(
                campaign.policy,
                customer,
                offers[index % len(offers)],
                at=at,
                campaign=campaign.key,
                held_back=held_back,
            )
            for index, customer in enumerate(make_customers(n))
        ]
    )


def test_without_rewards_there_is_nothing_to_wait_for() -> None:
    wait_for_learning(make_campaign(), patience_seconds=IMPATIENT)


def test_learning_is_waited_for_and_its_progress_told() -> None:
    campaign = make_campaign()
    decide(campaign, 7)
    told: list[int] = []
    with other_sessions(1) as run:
        worker = run(learn_due)
        wait_for_learning(campaign, progress=told.append, patience_seconds=20)
        assert worker.result(timeout=10) == 7
    assert sum(told) in {0, 7}  # 0 where the worker was done before the first look


def test_without_a_worker_the_waiting_ends_in_words() -> None:
    campaign = make_campaign()
    decide(campaign, 2)
    with pytest.raises(NoWorker, match="is a worker running"):
        wait_for_learning(campaign, patience_seconds=IMPATIENT)
    with pytest.raises(NoWorker, match="is a worker running"):
        wait_for_report(campaign, patience_seconds=IMPATIENT)


def test_a_report_is_waited_for() -> None:
    campaign = make_campaign()
    wait_for_report_with_worker(campaign)
    assert campaign.experiment.analyses.count() == 1


def wait_for_report_with_worker(campaign: Campaign) -> None:
    def work() -> None:
        deadline = timezone.now() + timedelta(seconds=10)
        while timezone.now() < deadline:
            campaign.experiment.refresh_from_db()
            if campaign.experiment.analysis_requested_at is not None:
                analyse_due()
                evaluate_due()
                return

    with other_sessions(1) as run:
        worker = run(work)
        wait_for_report(campaign, patience_seconds=20)
        worker.result(timeout=10)


def test_a_policy_that_cannot_be_judged_yet_is_not_waited_for() -> None:
    campaign = make_campaign(held_back_share=0.5)
    PolicyVersion.objects.create(
        policy=campaign.policy, number=1, odds=b"", learned_from=1, published_at=NOW
    )
    decide(campaign, 3, held_back=True)
    wait_for_report_with_worker(campaign)
