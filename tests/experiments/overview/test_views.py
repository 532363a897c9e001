"""Pages over all experiments say what is known, and keep back what is hidden."""

from datetime import timedelta
from http import HTTPStatus

import pytest
from django.test import Client
from django.utils import timezone

from experiments.analysing.analysis import analyse
from experiments.lifecycle.shipping import ship_arm
from experiments.lifecycle.status import stop_experiment
from experiments.models import Arm, Experiment, Metric, Prerequisite
from experiments.overview.programme import find_impact
from tests.makers import DAY, NOW, make_experiment, make_metric, make_user
from tests.worlds import fill_arms

pytestmark = pytest.mark.django_db

LATER = NOW + 30 * DAY
VIEW = "experiments.view_experiment"


def browse(*permissions: str) -> Client:
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user(VIEW, "experiments.view_metric", *permissions))
    return client


def page(address: str, *permissions: str) -> str:
    answer = browse(*permissions).get(address)
    assert answer.status_code == HTTPStatus.OK
    return answer.content.decode()


def analysed(
    *, new: int, control: int = 100, goal: Metric | None = None, size: int = 400, **plan: object
) -> Experiment:
    experiment = make_experiment(
        goal=goal,
        planned_customers=2 * size,
        is_standalone=True,
        **plan,  # type: ignore[arg-type]
    )
    fill_arms(experiment, control=(size, control), new=(size, new))
    analyse(experiment, now=LATER)
    return experiment


def test_the_list_is_sorted_by_the_size_of_the_effect() -> None:
    small, large = analysed(new=110), analysed(new=40)
    idle = make_experiment(started_at=None)
    text = page("/experiments/?sort=impact")
    places = [text.index(e.get_absolute_url()) for e in (large, small, idle)]
    assert places == sorted(places)
    assert "New loses" in text
    by_name = page("/experiments/?sort=name")
    assert by_name.index(small.get_absolute_url()) < by_name.index(large.get_absolute_url())
    assert large.get_absolute_url() not in page("/experiments/?status=draft")
    assert idle.get_absolute_url() in page("/experiments/?status=draft")
    assert page("/experiments/?sort=nonsense&status=nonsense").count("<tr>") == 4


def test_the_list_shows_no_effect_before_its_time_but_to_those_who_may_peek() -> None:
    experiment = make_experiment(started_at=timezone.now() - DAY, is_standalone=True)
    fill_arms(experiment, control=(100, 20), new=(100, 60))
    analyse(experiment, now=timezone.now())
    hidden = page("/experiments/")
    assert "Results are hidden yet." in hidden
    shrunk = experiment.analyses.latest().summary["arms"]["new"]["shrunk"]
    assert f"+{100 * shrunk:.0f}%" not in hidden
    assert f"+{100 * shrunk:.0f}%" in page("/experiments/", "experiments.peek_at_results")
    metric = experiment.measured.get(role="goal").metric
    assert "No experiment with results to show" in page(f"/metrics/of/{metric.key}/")


def test_health_is_told_in_the_list() -> None:
    lopsided = make_experiment(planned_customers=100)
    fill_arms(lopsided, control=(90, 10), new=(20, 10))
    analyse(lopsided, now=LATER)
    assert "untrustworthy" in page("/experiments/")


def test_the_calendar_tells_what_ran_and_until_when_the_rest_will() -> None:
    over = analysed(new=110)
    ship_arm(over, "new", by=None, now=LATER, reason="")
    planned = make_experiment(planned_end=(NOW + 50 * DAY).date())
    text = page("/calendar/")
    assert "2 Mar 2026" in text
    assert "1 Apr 2026" in text
    assert f"{(NOW + 50 * DAY):%-d %b %Y}" in text
    assert "<svg" in text
    assert planned.name in text


def test_a_calendar_without_anything_says_so() -> None:
    assert "Nothing was started yet." in page("/calendar/")


def test_a_metric_names_the_experiments_that_moved_it() -> None:
    goal = make_metric()
    analysed(new=180, goal=goal)
    analysed(new=104, goal=goal)
    text = page(f"/metrics/of/{goal.key}/")
    assert text.count("yes, for the better") == 1
    assert text.count("not surely") == 1
    assert browse().get("/metrics/of/nowhere/").status_code == HTTPStatus.NOT_FOUND
    assert goal.name in page("/metrics/")


def test_what_was_shipped_adds_up_and_is_shrunk() -> None:
    goal = make_metric()
    for new in (150, 130):
        shipped = analysed(new=new, goal=goal)
        ship_arm(shipped, "new", by=None, now=LATER, reason="")
    (impact,), prior = find_impact()
    assert impact.naive == pytest.approx(1.5 * 1.3 - 1)
    assert [one.measured for one in impact.shipped] == pytest.approx([0.5, 0.3])
    weights = [one.believed < one.measured for one in impact.shipped]
    assert weights == [True, True]
    product = (1 + impact.shipped[0].believed) * (1 + impact.shipped[1].believed)
    assert impact.totals[-1].lift == pytest.approx(product - 1)
    text = page("/programme/")
    assert "2 shipped experiments changed it by" in text
    assert "2 points in time. The last:" in text
    assert "No hold-out measures this metric" in text
    assert prior.source in text.replace("&#x27;", "'")


@pytest.mark.parametrize(("open_orders", "agrees"), [(130, True), (20, False)])
def test_a_hold_out_checks_the_sum(open_orders: int, agrees: bool) -> None:  # a column of a table
    goal = make_metric()
    holdout = make_experiment(
        goal=goal, is_standalone=True, is_holdout=True, planned_customers=800,
        started_at=NOW - timedelta(days=1),
    )  # fmt: skip
    fill_arms(holdout, control=(400, 100), new=(400, open_orders))
    analyse(holdout, now=LATER)
    shipped = analysed(new=130, goal=goal)
    Prerequisite.objects.create(
        experiment=shipped, arm=Arm.objects.get(experiment=holdout, key="new")
    )
    ship_arm(shipped, "new", by=None, now=LATER, reason="")
    (impact,), _ = find_impact()
    (says,) = impact.holdouts
    assert (says.shipped, says.agrees) == (1, agrees)
    text = page("/programme/")
    assert ("Both agree" in text) is agrees
    assert ("disagree by" in text) is not agrees


def test_a_hold_out_is_held_against_what_it_withholds_and_nothing_else() -> None:
    goal = make_metric()
    holdout = make_experiment(
        goal=goal, is_standalone=True, is_holdout=True, planned_customers=800, started_at=NOW - DAY
    )
    fill_arms(holdout, control=(400, 100), new=(400, 130))
    analyse(holdout, now=LATER)
    stop_experiment(holdout, by=None, now=LATER)
    one, two, later, before, free = (analysed(new=130, goal=goal) for _ in range(5))
    required = Arm.objects.get(experiment=holdout, key="new")
    for keeping in (one, two, later, before):
        Prerequisite.objects.create(experiment=keeping, arm=required)
    for shipped, at in (
        (one, LATER), (two, LATER), (later, LATER + DAY), (before, NOW - 2 * DAY), (free, LATER),
    ):  # fmt: skip
        ship_arm(shipped, "new", by=None, now=at, reason="")
    (impact,), _ = find_impact()
    assert len(impact.shipped) == 5
    (says,) = impact.holdouts
    assert (says.shipped, says.others) == (2, 1)
    text = page("/programme/")
    assert "whose customers get none of the 2 shipped while it lasted that keep to it" in text
    assert "1 more, which does not keep to it, went to both of its sides" in text
    # Without any that keeps to it, there is nothing to hold it against.
    Prerequisite.objects.all().delete()
    (impact,), _ = find_impact()
    assert impact.holdouts == []


def test_a_hold_out_measures_what_was_shipped_while_it_lasted_whenever_that_was_stopped() -> None:
    goal = make_metric()
    holdout = make_experiment(
        goal=goal, is_standalone=True, is_holdout=True, planned_customers=800, started_at=NOW - DAY
    )
    fill_arms(holdout, control=(400, 100), new=(400, 130))
    analyse(holdout, now=LATER)
    stop_experiment(holdout, by=None, now=LATER)
    required = Arm.objects.get(experiment=holdout, key="new")
    first_stopped, late, first_shipped = (analysed(new=130, goal=goal) for _ in range(3))
    for keeping, stopped, shipped in (
        (first_stopped, NOW - 2 * DAY, NOW + DAY),
        (late, NOW, LATER + DAY),
        (first_shipped, NOW, NOW),
    ):
        Prerequisite.objects.create(experiment=keeping, arm=required)
        stop_experiment(keeping, by=None, now=stopped)
        ship_arm(keeping, "new", by=None, now=shipped, reason="")
    (impact,), _ = find_impact()
    assert [one.experiment for one in impact.shipped] == [first_shipped, first_stopped, late]
    (says,) = impact.holdouts
    assert says.shipped == 2
    assert f"{LATER + DAY:%-d %b %Y}" in page("/programme/")


def test_nothing_shipped_is_said_in_words() -> None:
    assert "Nothing was shipped yet." in page("/programme/")
