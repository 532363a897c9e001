"""A whole audience is decided for, each customer once, as the site would have decided."""

import csv
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import duckdb
import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from campaigns.assigning.asking import ask_for_assignment, find_unfinished
from campaigns.assigning.deciding import NOT_RUNNING, Assigner
from campaigns.lifecycle.status import pause_campaign
from campaigns.models import Assigned, Assignment, Campaign, CampaignOffer, Offer
from campaigns.replaying import replay
from campaigns.tasks import assign_audiences
from experiments.models import Exposure
from recommender.learning.learn import learn_batch
from recommender.models import Decision, PolicyVersion, Reward
from recommender.weighing.features import FeatureSpec, NumberFeature
from tests.makers import HOUR, make_campaign, make_customer, make_customers, make_offer, merge
from tests.racing import locked_table, other_sessions, wait_for_blocked

pytestmark = pytest.mark.django_db(transaction=True)

FEATURES = FeatureSpec((NumberFeature("age", 40.0, 10.0),))


def open_campaign(**plan: Any) -> Campaign:
    """Start a campaign an hour ago whose policy looks at customers' age."""
    return make_campaign(started_at=timezone.now() - HOUR, features=FEATURES, **plan)


def make_audience(n: int) -> None:
    for age in range(n):
        make_customer(attributes={"age": 20 + age % 50})


def ask(campaign: Campaign) -> Assignment:
    return ask_for_assignment(campaign, by=None, now=timezone.now())


def assign(campaign: Campaign) -> Assignment:
    assignment = ask(campaign)
    with Assigner() as assigner:
        while assigner.assign_some(assignment) is not None:
            pass
    assignment.refresh_from_db()
    return assignment


@pytest.fixture
def campaign() -> Campaign:
    make_audience(60)
    return open_campaign()


def test_everybody_is_decided_for_once_and_every_draw_can_be_made_again(
    campaign: Campaign,
) -> None:
    assignment = assign(campaign)
    assert (assignment.total, assignment.done, assignment.problem) == (60, 60, "")
    assert assignment.finished_at is not None
    assert Decision.objects.count() == Exposure.objects.count() == Reward.objects.count() == 60
    rows = list(Assigned.objects.all())
    assert {row.decision_id for row in rows} == set(Decision.objects.values_list("pk", flat=True))
    for row in rows:
        assert row.decision_id is not None
        made = replay(row.decision_id)
        assert made.is_confirmed
        assert (row.offer, row.propensity) == (
            made.decision.offer or "",
            made.decision.propensity,
        )
    assert {row.arm for row in rows} == {"hold-out", "control", "personalised"}


def test_what_was_learned_decides_as_on_the_site(campaign: Campaign) -> None:
    assign(campaign)
    Reward.objects.update(due_at=timezone.now() - HOUR)
    learn_batch(campaign.policy_id, now=timezone.now())
    Campaign.objects.update(hold_minutes=0)
    assign(campaign)
    version = PolicyVersion.objects.get()
    chosen = Decision.objects.filter(policy_version=version.number, arm="personalised")
    assert chosen.exists()
    assert all(replay(decision.pk).is_confirmed for decision in chosen)


def test_who_has_an_offer_already_keeps_it(campaign: Campaign) -> None:
    first, second = assign(campaign), assign(campaign)
    kept = dict(Assigned.objects.filter(assignment=first).values_list("customer", "decision_id"))
    again = Assigned.objects.filter(assignment=second).values_list("customer", "decision_id")
    assert dict(again) == kept
    assert Decision.objects.count() == 60


def test_a_limit_holds_over_all_chunks(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("campaigns.assigning.deciding.TOGETHER_WHERE_LIMITED", 7)
    scarce = Offer.objects.filter(pk__in=CampaignOffer.objects.values("offer")).first()
    assert scarce is not None
    Offer.objects.filter(pk=scarce.pk).update(cap_total=5)
    assign(campaign)
    given = Counter(Assigned.objects.values_list("offer", flat=True))
    assert given[scarce.key] == 5
    assert all(replay(decision.pk).is_same for decision in Decision.objects.all())


def test_two_workers_share_an_audience(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("campaigns.assigning.deciding.TOGETHER", 4)
    ask(campaign)
    with other_sessions(2) as run:
        done = [run(assign_audiences) for _ in range(2)]
        assert sum(each.result(timeout=60) for each in done) <= 60
    while assign_audiences():
        pass
    assert find_unfinished() == []
    assert Decision.objects.count() == 60
    assert not Assigned.objects.filter(decision_id=None).exists()


def test_killed_in_the_middle_nobody_is_decided_for_twice(campaign: Campaign) -> None:
    ask(campaign)
    parts = urlsplit(settings.DATABASE_URL)
    name = quote(connection.settings_dict["NAME"])
    with locked_table("experiments_exposure"):
        process = subprocess.Popen(
            [sys.executable, "manage.py", "assign_audience", campaign.key],
            env={
                **os.environ,
                "DATABASE_URL": urlunsplit(parts._replace(path=f"/{name}")),
                "REDIS_URL": settings.REDIS_URL,
            },
            cwd=settings.BASE_DIR,
            stdout=subprocess.DEVNULL,
        )
        # Its decisions are written, and it stands before the rest of its transaction.
        wait_for_blocked(patience_seconds=60)
        process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=10) == -signal.SIGKILL
    assert not Decision.objects.exists()
    assert assign_audiences() == 60
    assert Decision.objects.count() == 60
    assert not Assigned.objects.filter(decision_id=None).exists()


def test_the_audience_is_that_of_the_moment_and_nobody_twice(campaign: Campaign) -> None:
    visitor, customer = make_customers(2)
    merge(visitor, into=customer)
    assignment = ask(campaign)
    make_customer()
    assert assignment.total == 61
    while assign_audiences():
        pass
    assert Decision.objects.count() == 61
    assert not Decision.objects.filter(customer=visitor).exists()


def test_a_campaign_that_is_paused_goes_on_later(campaign: Campaign) -> None:
    with pytest.raises(ValidationError, match="that runs"):
        ask(make_campaign(started_at=None))
    assignment = ask(campaign)
    with pytest.raises(ValidationError, match="already"):
        ask(campaign)
    pause_campaign(campaign, by=None, now=timezone.now(), reason="wrong price")
    assert assign_audiences() == 0
    assignment.refresh_from_db()
    assert (assignment.done, assignment.problem) == (0, NOT_RUNNING)


def test_what_is_damaged_is_written_down_and_keeps_nobody_else(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = open_campaign()
    policy = damaged.policy
    policy.hyperparameters = {"exploration": -1}
    policy.save()
    first = ask(damaged)
    ask(campaign)
    assert assign_audiences() == 60
    first.refresh_from_db()
    assert "exploration must be finite and above 0" in first.problem


def read(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_the_command_decides_and_writes_what_a_spreadsheet_may_open(tmp_path: Path) -> None:
    campaign = open_campaign(offers=[make_offer(), make_offer()])
    hostile = make_customer(attributes={"city": "=cmd()", "age": 30})
    make_audience(80)
    path = tmp_path / "out.csv"
    call_command(
        "assign_audience", campaign.key, out=path, attribute=["city"], everybody=True, verbosity=0
    )
    head, *rows = read(path)
    assert head == ["customer", "offer", "arm", "propensity", "decision_id", "city"]
    assert len(rows) == 81
    assert next(row for row in rows if row[0] == hostile.external_key)[5] == "'=cmd()"
    call_command("assign_audience", campaign.key, out=path, last=True, verbosity=0)
    with_offer = Assigned.objects.exclude(offer="").count()
    assert len(read(path)) - 1 == with_offer < 81
    assert Assignment.objects.count() == 1


def test_parquet_has_every_value_as_it_is(tmp_path: Path) -> None:
    campaign = open_campaign()
    make_customer(attributes={"city": "=cmd()"})
    make_customer(attributes={"city": ""})
    make_customer()
    path = tmp_path / "out.parquet"
    call_command(
        "assign_audience", campaign.key, out=path, attribute=["city"], everybody=True, verbosity=0
    )
    rows = duckdb.connect().sql(f"SELECT city, propensity FROM '{path}' ORDER BY city").fetchall()
    assert [row[0] for row in rows] == ["", "=cmd()", None]
    assert all(0 < row[1] <= 1 for row in rows)
    assert [file.name for file in tmp_path.iterdir()] == ["out.parquet"]


def test_what_cannot_be_done_is_said(campaign: Campaign, tmp_path: Path) -> None:
    refused: list[tuple[str, dict[str, Any], str]] = [
        ("nothing", {}, "No campaign has the key"),
        (campaign.key, {"out": tmp_path / "out.txt"}, "must end in .csv or .parquet"),
        (campaign.key, {"last": True}, "never decided for"),
        (
            campaign.key,
            {"out": tmp_path / "out.parquet", "attribute": ["offer"]},
            "names of their own",
        ),
    ]
    for key, options, words in refused:
        with pytest.raises(CommandError, match=words):
            call_command("assign_audience", key, verbosity=0, **options)
    Campaign.objects.update(ends_at=timezone.now() - timedelta(minutes=1))
    with pytest.raises(CommandError, match="does not decide now"):
        call_command("assign_audience", campaign.key, verbosity=0)
