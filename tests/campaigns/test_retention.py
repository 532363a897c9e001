"""What is older than it has to be kept goes, by whole months, unless something still needs it."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from pytest_django import Settings

from audience.models import Event
from campaigns.retention import forget_old
from campaigns.tasks import forget_old as forget_task
from recommender.models import Decision, Reward
from tests.makers import make_customer, make_decision, make_event, make_experiment, make_policy

pytestmark = pytest.mark.django_db
OLD = datetime(2024, 1, 20, tzinfo=UTC)
YOUNG = datetime(2026, 2, 20, tzinfo=UTC)
NOW = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture(autouse=True)
def short(settings: Settings) -> None:
    """Keep everything for a year, and forget the months that tests before this one made."""
    settings.KEEP_EVENTS_DAYS = settings.KEEP_DECISIONS_DAYS = 365
    forget_old(now=NOW)


def make_history() -> None:
    ann, policy = make_customer(), make_policy()
    for at in (OLD, YOUNG):
        make_event(ann, "Seen", at=at)
        make_decision(policy, ann, at=at)
    with connection.cursor() as cursor:
        # As after a commit: nothing of a month that is emptied waits to be checked.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def count() -> tuple[int, ...]:
    models = (Event, Decision, Reward)
    return tuple(model.objects.count() for model in models)


def test_what_is_old_goes_and_what_is_young_stays() -> None:
    make_history()
    assert count() == (2, 2, 2)
    forgotten = forget_old(now=NOW)
    assert count() == (1, 1, 1)
    assert forgotten["months of events"] == forgotten["months of decisions"] == 1
    assert Event.objects.get().occurred_at == Decision.objects.get().decided_at == YOUNG
    assert forget_old(now=NOW) == {}


def test_a_month_that_was_emptied_takes_events_again() -> None:
    make_history()
    forget_old(now=NOW)
    make_event(make_customer(), "Seen", at=OLD)
    assert Event.objects.count() == 2


def test_a_month_goes_only_as_a_whole() -> None:
    make_history()
    forget_old(now=OLD + timedelta(days=366))
    assert count() == (2, 2, 2)


def test_nothing_goes_that_a_running_experiment_needs() -> None:
    make_history()
    make_experiment(started_at=OLD + timedelta(days=100))
    forget_old(now=NOW)
    assert count() == (2, 2, 2)


def test_without_a_number_everything_is_kept(settings: Settings) -> None:
    settings.KEEP_EVENTS_DAYS = settings.KEEP_DECISIONS_DAYS = None
    make_history()
    forget_task()
    assert count() == (2, 2, 2)
