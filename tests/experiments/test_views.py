"""The report page, for those who may see it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from http import HTTPStatus
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from experiments.analysing.analysis import analyse
from experiments.lifecycle.adjusting import halt_arm
from experiments.lifecycle.drafting import ArmPlan
from experiments.lifecycle.status import request_analysis, stop_experiment
from experiments.models import Experiment
from tests.makers import (
    DAY,
    HOUR,
    NOW,
    event_row,
    expose,
    make_customers,
    make_events,
    make_experiment,
    make_metric,
    make_user,
)

pytestmark = pytest.mark.django_db

LATER = NOW + 30 * DAY
VIEW = "experiments.view_experiment"
ANALYSE = "experiments.analyse_experiment"
HOSTILE = "<script>alert(1)</script>"

Queries = Callable[[int], AbstractContextManager[Any]]


def browse(*permissions: str, **account: bool) -> Client:
    """Log somebody in, over HTTPS as in production."""
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user(*permissions, **account))
    return client


def page_of(experiment: Experiment, *, client: Client | None = None) -> str:
    response = (client or browse(VIEW)).get(experiment.get_absolute_url())
    assert response.status_code == HTTPStatus.OK
    return response.content.decode()


def fill(experiment: Experiment, *, control: tuple[int, int], new: tuple[int, int]) -> None:
    """Let customers meet the arms, and some of them order; then analyse."""
    for arm, (customers, orders) in (("control", control), ("new", new)):
        people = make_customers(customers)
        expose(experiment, people, arm, at=NOW)
        make_events([event_row(p, "Order Completed", at=NOW + HOUR) for p in people[:orders]])
    analyse(experiment, now=LATER)


@pytest.mark.parametrize(
    ("kind", "control", "new", "planned", "says"),
    [
        ("win", (80, 8), (80, 40), 160, "New wins: "),
        ("loss", (80, 40), (80, 8), 160, "New loses: "),
        ("flat", (80, 20), (80, 21), 160, "No difference from Control was found"),
        ("early", (80, 8), (80, 14), 1000, "An early look, with no verdict"),
        ("unsound", (120, 8), (40, 30), 160, "Do not trust these numbers"),
    ],
)
def test_every_kind_of_verdict_has_its_page(
    kind: str, control: tuple[int, int], new: tuple[int, int], planned: int, says: str
) -> None:
    experiment = make_experiment(planned_customers=planned)
    fill(experiment, control=control, new=new)
    page = page_of(experiment)
    assert f'<section class="verdict {kind}"' in page
    assert says in page


def test_means_of_arms_that_were_halted_are_said_to_be_of_all_times() -> None:
    experiment = make_experiment(planned_customers=160)
    fill(experiment, control=(80, 20), new=(80, 21))
    assert ", of all times" not in page_of(experiment)
    halt_arm(experiment, "new", by=None, now=LATER, reason="it looked broken")
    expose(experiment, make_customers(40), "control", at=LATER + HOUR)
    analyse(experiment, now=LATER + DAY)
    # In the table's head, and at both means where it is read on a phone.
    assert page_of(experiment).count("Mean, of all times") == 3


def test_an_experiment_that_nobody_met_has_a_page() -> None:
    experiment = make_experiment()
    analyse(experiment, now=LATER)
    page = page_of(experiment)
    assert "Nothing to read yet." in page
    assert "<svg" not in page


def test_before_the_first_analysis_the_page_says_how_to_get_one() -> None:
    experiment = make_experiment()
    assert "Ask for one with the button." in page_of(experiment)
    request_analysis(experiment, now=NOW)
    page = page_of(experiment)
    assert "A worker is on it" in page
    assert 'http-equiv="refresh"' in page


def test_the_newest_analysis_is_shown_with_who_did_what() -> None:
    experiment = make_experiment(planned_customers=2)
    analyse(experiment, now=LATER)
    fill(experiment, control=(80, 8), new=(80, 40))
    page = page_of(experiment)
    assert "New wins" in page
    assert "started" in page


def test_hostile_names_are_escaped() -> None:
    goal = make_metric()
    goal.name = HOSTILE
    goal.save()
    arms = [
        ArmPlan("control", "Control", 5000, is_control=True),
        ArmPlan("new", HOSTILE, 5000),
    ]
    experiment = make_experiment(goal=goal, arms=arms, planned_customers=160)
    experiment.name = experiment.hypothesis = HOSTILE
    experiment.save()
    fill(experiment, control=(80, 8), new=(80, 40))
    page = page_of(experiment)
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("arms", [2, 6])
def test_the_page_takes_the_same_few_queries_however_many_arms_and_metrics(
    arms: int, django_assert_num_queries: Queries
) -> None:
    plans = [ArmPlan(f"arm-{i}", f"Arm {i}", 1000, is_control=i == 0) for i in range(arms)]
    experiment = make_experiment(arms=plans, others=[make_metric() for _ in range(arms)])
    analyse(experiment, now=LATER)
    client = browse(is_superuser=True)
    # Session, user, experiment, analysis, plan, timeline, looks, changes.
    with django_assert_num_queries(8):
        page_of(experiment, client=client)


def address(verb: str) -> str:
    return reverse(f"experiment-{verb}", args=[make_experiment().key])


def test_strangers_are_sent_to_the_log_in() -> None:
    client = Client(headers={"x-forwarded-proto": "https"})
    for response in (client.get(address("report")), client.post(address("refresh"))):
        assert response.status_code == HTTPStatus.FOUND
        assert response["location"].startswith(reverse("admin:login"))


def test_customers_with_an_account_are_sent_to_the_log_in() -> None:
    response = browse(VIEW, is_staff=False).get(address("report"))
    assert response.status_code == HTTPStatus.FOUND


def test_staff_without_the_permission_are_refused() -> None:
    client = browse("campaigns.view_campaign")
    assert client.get(address("report")).status_code == HTTPStatus.FORBIDDEN
    assert client.post(address("refresh")).status_code == HTTPStatus.FORBIDDEN


def test_an_unknown_experiment_is_not_found() -> None:
    response = browse(VIEW).get(reverse("experiment-report", args=["nowhere"]))
    assert response.status_code == HTTPStatus.NOT_FOUND


def test_the_button_asks_for_an_analysis() -> None:
    experiment = make_experiment()
    before = timezone.now()
    response = browse(VIEW, ANALYSE).post(reverse("experiment-refresh", args=[experiment.key]))
    assert response["location"] == experiment.get_absolute_url()
    experiment.refresh_from_db()
    assert experiment.analysis_requested_at is not None
    assert experiment.analysis_requested_at >= before


def test_following_a_link_asks_for_nothing() -> None:
    assert (
        browse(VIEW, ANALYSE).get(address("refresh")).status_code == HTTPStatus.METHOD_NOT_ALLOWED
    )


# --- hidden until the minimum duration -----------------------------------------------------------


def look_early(*, new: tuple[int, int], **promises: Any) -> Experiment:
    """Let customers come today to an experiment that is to run for a week at least."""
    experiment = make_experiment(
        planned_customers=160, started_at=timezone.now() - HOUR, minimum_days=7, **promises
    )
    for arm, (customers, orders) in (("control", (80, 30)), ("new", new)):
        people = make_customers(customers)
        expose(experiment, people, arm, at=timezone.now() - HOUR)
        make_events(
            [event_row(p, "Order Completed", at=timezone.now() - HOUR) for p in people[:orders]]
        )
    analyse(experiment, now=timezone.now())
    return experiment


def test_results_are_hidden_before_the_minimum_duration() -> None:
    experiment = look_early(new=(80, 60))
    page = page_of(experiment)
    assert "Results are hidden until" in page
    assert "Share" in page  # the arms' sizes are no secret
    assert "+100%" not in page
    assert "Lift" not in page


def test_a_finding_that_tells_the_effect_is_hidden_with_it() -> None:
    experiment = look_early(new=(80, 60))
    analysis = experiment.analyses.get()
    shown = {"severity": "warning", "detail": "", "evidence": {}}
    analysis.report["findings"] = [
        {**shown, "code": "effect_grows", "title": "The effect grows with time"},
        {**shown, "code": "bots", "title": "Some customers do more"},
    ]
    analysis.save()
    page = page_of(experiment)
    peeked = page_of(experiment, client=browse(VIEW, "experiments.peek_at_results"))
    assert ("The effect grows" in page, "Some customers do more" in page) == (False, True)
    assert "The effect grows" in peeked


def test_who_may_peek_sees_them_and_that_others_do_not() -> None:
    experiment = look_early(new=(80, 60))
    page = page_of(experiment, client=browse(VIEW, "experiments.peek_at_results"))
    assert "hidden from others until" in page
    assert "+100%" in page
    assert "No verdict yet: it has run for 0 of at least 7 days." in page


def test_harm_is_never_hidden() -> None:
    page = page_of(look_early(new=(80, 2)))
    assert "New loses" in page
    assert "Results are hidden until" in page


def test_after_the_end_nothing_is_hidden() -> None:
    experiment = look_early(new=(80, 60))
    stop_experiment(experiment, by=None, now=timezone.now())
    assert "Results are hidden" not in page_of(experiment)


def test_segments_and_the_plan_are_shown() -> None:
    experiment = make_experiment(planned_customers=160, segments=["country"])
    for country in ("GB", "FR"):
        for arm, orders in (("control", 15), ("new", 30)):
            people = make_customers(40, attributes={"country": country})
            expose(experiment, people, arm, at=NOW)
            make_events([event_row(p, "Order Completed", at=NOW + HOUR) for p in people[:orders]])
    analyse(experiment, now=LATER)
    page = page_of(experiment)
    assert "<h3>country</h3>" in page
    assert page.count('<th scope="row">GB</th>') == 1
    version = experiment.plans.get()
    assert version.digest in page
