"""A served ranker is looked after: what it meets, what it is worth, and when it learned."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import pytest
from django.test import Client

from audience.models import Customer
from recommender.decision_ids import decision_id
from recommender.decisions import Logged
from recommender.models import RankerCheck, RankerVersion, Ranking, TopPicks
from recommender.models.rankings import Status
from recommender.ranking import monitoring
from recommender.ranking.monitoring import check_due, check_version
from recommender.ranking.outcomes import read_outcome
from recommender.tasks import check_rankings
from tests.makers import (
    DAY,
    HOUR,
    NOW,
    event_row,
    log_all,
    make_customers,
    make_events,
    make_user,
    merge,
)
from tests.recommender.ranking.shops import make_ranking, make_shop, serve_markov, viewed

pytestmark = pytest.mark.django_db


def found(check: RankerCheck) -> dict[str, tuple[float | None, bool]]:
    return {one["name"]: (one["value"], one["is_alarm"]) for one in check.findings}


def visits(
    people: Sequence[Customer], *, first: int, last: int, at: datetime, seed: int = 4
) -> None:
    """Let people look at some products, in the days before a time."""
    rng = np.random.default_rng(seed)
    start = NOW - 60 * DAY
    days = ((at - start) / DAY) - rng.uniform(0.1, 6.5, size=(len(people), 4))
    make_events(
        [
            viewed(customer, int(rng.integers(first, last)), day=float(day))
            for customer, row in zip(people, days, strict=True)
            for day in row
        ]
    )


def serve(*, refresh_hours: int = 24) -> tuple[list[Customer], RankerVersion]:
    people = make_shop()
    visits(people, first=0, last=24, at=NOW)
    return people, serve_markov(make_ranking(refresh_hours=refresh_hours))


def test_where_nothing_has_changed_nothing_is_wrong() -> None:
    people, version = serve()
    visits(people, first=0, last=24, at=NOW + DAY, seed=9)
    check = check_version(version, now=NOW + DAY)
    assert check.alarms == []
    measures = found(check)
    assert measures["age in days"] == (1.0, False)
    assert measures["unknown products"] == (0.0, False)
    assert measures["coverage"][0] == 1.0
    assert {"kinds of events", "categories", "prices", "events per customer", "scores"} <= set(
        measures
    )


def test_other_products_and_prices_than_before_raise_an_alarm(
    caplog: pytest.LogCaptureFixture,
) -> None:
    people, version = serve()
    # A week later everybody looks at one shelf, and at products that came meanwhile.
    now = NOW + 8 * DAY
    visits(people, first=18, last=40, at=now)
    with caplog.at_level(logging.ERROR, logger="recommender"):
        check = check_version(version, now=now)
    measures = found(check)
    assert measures["categories"][1]
    assert measures["prices"][1]
    assert measures["unknown products"][1]
    assert measures["age in days"][1]
    assert any("are about products that it does not know" in words for words in check.alarms)
    assert len(caplog.records) == len(check.alarms) >= 4


def test_silence_raises_an_alarm() -> None:
    _, version = serve(refresh_hours=0)
    later = check_version(version, now=NOW + 20 * DAY)
    assert found(later)["coverage"] == (None, True)
    assert found(later)["prices"] == (None, False)
    assert not found(later)["age in days"][1]
    never = check_version(version, now=NOW + 400 * DAY)
    assert found(never)["events"] == (0.0, True)
    assert found(never)["age in days"][1]


def show(version: RankerVersion, people: Sequence[Customer], *, at: datetime) -> None:
    """Log that people were shown their lists."""
    lists = dict(TopPicks.objects.filter(version=version).values_list("customer", "items"))
    log_all(
        [
            Logged(
                id=decision_id(at, entropy=number),
                decided_at=at,
                customer_key=one.external_key,
                campaign="picks",
                placement="home",
                arm="personalised",
                policy_id=None,
                policy_version=None,
                offer="picks",
                propensity=1.0,
                due_at=at,
                eligible=["picks"],
                weights=[1.0],
                products=lists[one.pk],
                ranker_version=version.pk,
            )
            for number, one in enumerate(people)
        ]
    )


def test_what_people_did_is_held_against_the_trial() -> None:
    people, version = serve()
    shown_at = NOW + HOUR
    show(version, people, at=shown_at)
    lists = dict(TopPicks.objects.filter(version=version).values_list("customer", "items"))
    rows = []
    for number, one in enumerate(people):
        name = "Order Completed" if number % 4 == 0 else "Product Viewed"
        item = lists[one.pk][1] if number % 2 == 0 else "elsewhere"
        rows.append(event_row(one, name, at=shown_at + HOUR, properties={"product_id": item}))
    make_events(rows)
    outcome = read_outcome(version, now=shown_at + 2 * DAY)
    assert (outcome.shown, outcome.followed, outcome.bought) == (240, 120, 60)
    assert (outcome.places, outcome.recalls.mean()) == (5.0, 0.5)
    check = check_version(version, now=shown_at + 2 * DAY)
    measures = found(check)
    assert measures["click-through rate"] == (0.5, False)
    assert measures["conversion"] == (0.25, False)
    assert measures["recall of what was shown"] == (0.5, False)
    # It promised twice what it keeps, and more.
    version.metrics["this version"]["recall@10"] = 3.0
    version.save()
    assert found(check_version(version, now=shown_at + 2 * DAY))["recall of what was shown"][1]
    # The day is not over for anybody yet.
    assert read_outcome(version, now=shown_at + HOUR).shown == 0


def test_a_visitor_s_deeds_are_those_of_the_customer_and_few_prove_nothing() -> None:
    people, version = serve()
    show(version, people[:3], at=NOW)
    (visitor,) = make_customers(1)
    merge(visitor, into=people[0])
    listed = TopPicks.objects.get(version=version, customer=people[0]).items
    make_events(
        [event_row(visitor, "Product Viewed", at=NOW + HOUR, properties={"sku": listed[0]})]
    )
    outcome = read_outcome(version, now=NOW + 2 * DAY)
    assert (outcome.shown, outcome.followed, len(outcome.recalls)) == (3, 1, 1)
    check = check_version(version, now=NOW + 2 * DAY)
    assert found(check)["recall of what was shown"] == (None, False)


def test_each_served_version_is_checked_once_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    _, version = serve()
    assert check_due(now=NOW + HOUR) == 0
    assert check_due(now=NOW + 2 * HOUR) == 0
    assert version.checks.count() == 1
    check_due(now=NOW + DAY)
    assert version.checks.count() == 2
    monkeypatch.setattr(monitoring, "KEPT", 1)
    check_due(now=NOW + 2 * DAY)
    assert [check.checked_at for check in version.checks.all()] == [NOW + 2 * DAY]
    RankerVersion.objects.update(status=Status.RETIRED)
    assert check_due(now=NOW + 9 * DAY) == 0
    assert version.checks.count() == 1


def test_a_damaged_ranker_keeps_none_from_being_checked(caplog: pytest.LogCaptureFixture) -> None:
    _, version = serve()
    RankerVersion.objects.update(followers=b"damaged")
    with caplog.at_level(logging.ERROR, logger="recommender"):
        assert check_due(now=NOW + HOUR) == 0
    assert "could not be checked" in caplog.text
    assert version.checks.count() == 0


def test_the_task_checks_what_is_due() -> None:
    _, version = serve()
    # It is long ago for the clock of the machine that runs this.
    assert check_rankings() == 1
    assert version.checks.count() == 1


def test_the_page_says_what_is_wrong() -> None:
    people, version = serve()
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user("recommender.view_ranking"))
    ranking = Ranking.objects.get()
    assert "How it does" not in client.get(ranking.get_absolute_url()).content.decode()
    check_version(version, now=NOW + HOUR)
    assert "Nothing is wrong." in client.get(ranking.get_absolute_url()).content.decode()
    visits(people, first=24, last=40, at=NOW + 8 * DAY)
    check_version(version, now=NOW + 8 * DAY)
    page = client.get(ranking.get_absolute_url()).content.decode()
    assert "Look at this" in page
    assert "learned from events until 8.0 days ago" in page


def test_a_version_from_before_there_were_profiles_is_checked_by_the_rest() -> None:
    _, version = serve()
    RankerVersion.objects.update(profile=None)
    version.refresh_from_db()
    check = check_version(version, now=NOW + timedelta(hours=1))
    assert set(found(check)) == {"age in days", "shown"}
