"""Reports are handed out as files, to whoever may see them."""

from http import HTTPStatus

import pytest
from django.test import Client
from django.utils import timezone

from experiments.models import Experiment
from tests.makers import make_experiment, make_user

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("pdf", "application/pdf"),
        ("csv", "text/csv; charset=utf-8"),
        ("ipynb", "application/x-ipynb+json"),
        ("sql", "application/sql"),
    ],
)
def test_every_format_is_handed_out(experiment: Experiment, name: str, kind: str) -> None:
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user("experiments.view_experiment"))
    answer = client.get(f"{experiment.get_absolute_url()}export.{name}")
    assert (answer.status_code, answer["content-type"]) == (HTTPStatus.OK, kind)
    assert answer["content-disposition"] == f'attachment; filename="{experiment.key}.{name}"'
    assert f"export.{name}" in client.get(experiment.get_absolute_url()).content.decode()


def test_nothing_is_handed_out_before_its_time(experiment: Experiment) -> None:
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user("experiments.view_experiment"))
    missing = f"{make_experiment().get_absolute_url()}export.csv"
    assert client.get(missing).status_code == HTTPStatus.NOT_FOUND
    assert client.get(f"{experiment.get_absolute_url()}export.exe").status_code == 404
    Experiment.objects.filter(pk=experiment.pk).update(started_at=timezone.now())
    hidden = f"{experiment.get_absolute_url()}export.csv"
    assert client.get(hidden).status_code == HTTPStatus.FORBIDDEN
