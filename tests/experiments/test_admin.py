"""Experiments and metrics in the admin: to look at, and kept once something depends on them."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from http import HTTPStatus
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from experiments.models import Metric
from tests.makers import make_experiment, make_metric

pytestmark = pytest.mark.django_db

Queries = Callable[[int], AbstractContextManager[Any]]
ADD_METRIC = "admin:experiments_metric_add"
METRIC = {"name": "Orders", "key": "orders", "kind": "conversion", "higher_is_better": "on"}


def error_in(response: Any, field: str) -> str:
    errors: list[str] = response.context["adminform"].form.errors[field]
    return " ".join(errors)


def test_a_metric_is_made_by_its_form(admin: Client) -> None:
    params = '{"event": "Order Completed", "window_days": 7}'
    response = admin.post(reverse(ADD_METRIC), {**METRIC, "params": params})
    assert response.status_code == HTTPStatus.FOUND
    metric = Metric.objects.get(key="orders")
    assert metric.params == {"event": "Order Completed", "window_days": 7}


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ('{"window_days": 7}', "missing required field `event`"),
        ('{"event": "Order", "window_days": -1}', "> 0"),
        ('{"event": "Order", "window_days": 1e300}', "<= 3660"),
        ('{"event": "Order", "windowdays": 7}', "unknown field `windowdays`"),
        ("[1]", "Expected `object`"),
        ("{", "valid JSON"),
        ('{"event": "Order", "where": [{"property": "a", "op": ">", "value": 1e999}]}', "finite"),
        ('{"event": "Order", "where": [{"property": "a", "op": ">", "value": NaN}]}', "finite"),
        (r'{"event": "Order\u0000"}', "character zero"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(admin: Client, params: str, says: str) -> None:
    response = admin.post(reverse(ADD_METRIC), {**METRIC, "params": params})
    assert response.status_code == HTTPStatus.OK
    assert says in error_in(response, "params")
    assert not Metric.objects.exists()


def test_an_unknown_kind_is_refused(admin: Client) -> None:
    response = admin.post(reverse(ADD_METRIC), {**METRIC, "kind": "magic", "params": "{}"})
    assert "magic" in error_in(response, "kind")


def change(admin: Client, metric: Metric, **values: str) -> Any:
    address = reverse("admin:experiments_metric_change", args=[metric.pk])
    return admin.post(address, {**METRIC, "params": '{"event": "Refund"}', **values})


def test_a_metric_can_be_changed_until_a_started_experiment_measures_it(admin: Client) -> None:
    metric = make_metric("Order Completed")
    make_experiment(goal=metric, started_at=None)
    assert change(admin, metric).status_code == HTTPStatus.FOUND
    metric.refresh_from_db()
    assert metric.params == {"event": "Refund"}


def test_what_a_started_experiment_is_judged_by_stays(admin: Client) -> None:
    metric = make_metric("Order Completed")
    make_experiment(goal=metric)
    assert change(admin, metric, name="A better name").status_code == HTTPStatus.FOUND
    metric.refresh_from_db()
    assert (metric.name, metric.params) == ("A better name", {"event": "Order Completed"})


def test_the_planned_end_of_a_running_experiment_stays(admin: Client) -> None:
    experiment = make_experiment(planned_customers=1000)
    address = reverse("admin:experiments_experiment_change", args=[experiment.pk])
    values = {"name": "Renamed", "hypothesis": "", "planned_customers": "10"}
    assert admin.post(address, values | inline_forms()).status_code == HTTPStatus.FOUND
    experiment.refresh_from_db()
    assert (experiment.name, experiment.planned_customers) == ("Renamed", 1000)


def test_the_planned_end_of_a_draft_can_be_moved(admin: Client) -> None:
    experiment = make_experiment(planned_customers=1000, started_at=None)
    address = reverse("admin:experiments_experiment_change", args=[experiment.pk])
    values = {"name": "Renamed", "hypothesis": "", "planned_customers": "10"}
    assert admin.post(address, values | inline_forms()).status_code == HTTPStatus.FOUND
    experiment.refresh_from_db()
    assert experiment.planned_customers == 10


def inline_forms() -> dict[str, str]:
    return {
        f"{prefix}-{name}_FORMS": "0"
        for prefix in ("arms", "measured")
        for name in ("TOTAL", "INITIAL")
    }


def test_an_experiment_is_shown_with_arms_metrics_and_report(admin: Client) -> None:
    experiment = make_experiment()
    address = reverse("admin:experiments_experiment_change", args=[experiment.pk])
    page = admin.get(address).content.decode()
    assert "Control" in page
    assert experiment.get_absolute_url() in page


def test_experiments_begin_with_their_campaign(admin: Client) -> None:
    address = reverse("admin:experiments_experiment_add")
    assert admin.get(address).status_code == HTTPStatus.FORBIDDEN


@pytest.mark.parametrize("name", ["experiment", "metric"])
def test_lists_take_as_many_queries_for_two_rows_as_for_ten(
    admin: Client, name: str, django_assert_max_num_queries: Queries
) -> None:
    address = reverse(f"admin:experiments_{name}_changelist")
    for _ in range(10):
        make_experiment()
    with django_assert_max_num_queries(8):
        page = admin.get(address).content.decode()
    assert len(set(re.findall(rf"/admin/experiments/{name}/\d+/change/", page))) == 10


def test_only_a_draft_can_be_deleted(admin: Client) -> None:
    draft, running = make_experiment(started_at=None), make_experiment()
    for experiment, status in ((running, HTTPStatus.FORBIDDEN), (draft, HTTPStatus.OK)):
        address = reverse("admin:experiments_experiment_delete", args=[experiment.pk])
        assert admin.get(address).status_code == status
    everything = reverse("admin:experiments_experiment_changelist")
    assert "delete_selected" not in admin.get(everything).content.decode()
