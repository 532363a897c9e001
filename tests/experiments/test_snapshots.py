"""Earlier analyses can be seen as they were, and what changed since."""

from http import HTTPStatus

import pytest
from django.test import Client
from django.utils import timezone

from experiments.analysing.analysis import analyse
from experiments.models import Experiment
from experiments.reports.differences import find_differences
from tests.makers import DAY, NOW, make_experiment, make_metric, make_user
from tests.worlds import fill_arms

pytestmark = pytest.mark.django_db


@pytest.fixture
def experiment() -> Experiment:
    """Two looks, with more customers in between."""
    made = make_experiment(
        planned_customers=1000, others=[make_metric("Cart Viewed")], is_standalone=True
    )
    for day, orders in ((10, 14), (20, 40)):
        fill_arms(made, control=(150, 12), new=(150, orders))
        analyse(made, now=NOW + day * DAY)
    return made


def browse(*permissions: str) -> Client:
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user("experiments.view_experiment", *permissions))
    return client


def test_differences_name_what_moved_and_nothing_else(experiment: Experiment) -> None:
    before, after = experiment.analyses.order_by("computed_at")
    found = {
        one.what: (one.before, one.after) for one in find_differences(before.report, after.report)
    }
    assert found["Customers"] == ("300", "600")
    goal = before.report["metrics"][0]["name"]
    assert found[f"{goal}, New"][0] != found[f"{goal}, New"][1]
    assert "Planned customers" not in found
    assert find_differences(after.report, after.report) == []


def test_a_check_that_was_silent_before_is_a_difference(experiment: Experiment) -> None:
    before, after = (a.report for a in experiment.analyses.order_by("computed_at"))
    finding = {
        "code": "bots",
        "title": "A bot",
        "severity": "warning",
        "detail": "",
        "evidence": {},
    }
    changed = {**after, "findings": [*after["findings"], finding]}
    assert ("Check", "fine", "A bot") in [
        (one.what, one.before, one.after) for one in find_differences(before, changed)
    ]
    gone = {**after, "metrics": after["metrics"][:1]}
    assert any(one.after == "not measured" for one in find_differences(before, gone))


def test_the_report_links_to_each_look_as_it_was(experiment: Experiment) -> None:
    client = browse()
    first = experiment.analyses.order_by("computed_at")[0]
    address = f"{experiment.get_absolute_url()}analyses/{first.pk}/"
    assert address in client.get(experiment.get_absolute_url()).content.decode()
    page = client.get(address).content.decode()
    assert "<td>300</td><td>600</td>" in page
    assert "300</b> of 1,000 planned customers" in page
    same = client.get(address, {"to": first.pk}).content.decode()
    assert "Nothing, to the digits shown." in same
    assert client.get(address, {"to": "x"}).status_code == HTTPStatus.OK
    missing = f"{experiment.get_absolute_url()}analyses/0/"
    assert client.get(missing).status_code == HTTPStatus.NOT_FOUND


def test_the_lift_is_drawn_over_its_looks(experiment: Experiment) -> None:
    page = browse().get(experiment.get_absolute_url()).content.decode()
    assert "chart-timeline" in page
    assert "2 points in time. The last:" in page
    assert "Would have been called" in page


def test_any_metric_can_be_seen_by_segment(experiment: Experiment) -> None:
    segmented = make_experiment(segments=["country"], others=[make_metric("Cart Viewed")])
    fill_arms(segmented, control=(60, 15), new=(60, 30))
    analyse(segmented, now=NOW + 30 * DAY)
    other = segmented.measured.get(role="secondary").metric
    page = browse().get(segmented.get_absolute_url(), {"by": other.key}).content.decode()
    assert f'<option value="{other.key}" selected>' in page


def test_hidden_looks_are_hidden(experiment: Experiment) -> None:
    Experiment.objects.filter(pk=experiment.pk).update(started_at=timezone.now())
    first = experiment.analyses.order_by("computed_at")[0]
    address = f"{experiment.get_absolute_url()}analyses/{first.pk}/"
    assert browse().get(address).status_code == HTTPStatus.FORBIDDEN
    assert browse("experiments.peek_at_results").get(address).status_code == HTTPStatus.OK
    assert "/analyses/" not in browse().get(experiment.get_absolute_url()).content.decode()
