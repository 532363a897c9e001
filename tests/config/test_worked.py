"""Whoever watches the site sees which tasks are done, and which fail."""

import time
from collections.abc import Iterator

import pytest
import redis
from django.conf import settings
from django.test import Client

from config.celery import app
from config.worked import DONE_KEY, FAILED_KEY
from experiments.tasks import thin_all
from tests.asgi import Site
from tests.config.test_health import read_metrics
from tests.makers import make_user

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def notes() -> Iterator["redis.Redis"]:
    """Begin as a site of which nothing was done yet."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.delete(DONE_KEY, FAILED_KEY)
        yield client


def test_how_long_ago_a_task_was_done_is_measured(
    site: Site,
    admin_key: str,
    notes: "redis.Redis",
) -> None:
    name = thin_all.name
    assert ("offerlab_task_done_seconds", (name,)) not in read_metrics(site, admin_key)
    thin_all.apply().get()
    assert 0 <= read_metrics(site, admin_key)["offerlab_task_done_seconds", (name,)] < 10
    notes.hset(DONE_KEY, name, time.time() - 3600)
    assert read_metrics(site, admin_key)["offerlab_task_done_seconds", (name,)] > 3599
    assert ("offerlab_task_failures_total", (name,)) not in read_metrics(site, admin_key)


def test_a_task_that_fails_is_counted_and_not_done(
    site: Site,
    admin_key: str,
    notes: "redis.Redis",
) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    broken = app.task(fail, name="tests.broken")
    try:
        for _ in range(3):
            assert broken.apply().failed()
        metrics = read_metrics(site, admin_key)
    finally:
        app.tasks.unregister("tests.broken")
    assert metrics["offerlab_task_failures_total", ("tests.broken",)] == 3
    assert ("offerlab_task_done_seconds", ("tests.broken",)) not in metrics


def page(address: str = "/experiments/") -> str:
    client = Client()
    client.force_login(make_user("experiments.view_experiment", "campaigns.view_campaign"))
    return client.get(address, headers={"x-forwarded-proto": "https"}).content.decode()


# Also the admin's, which are built by its theme.
@pytest.mark.parametrize("address", ["/experiments/", "/admin/", "/admin/campaigns/campaign/"])
def test_a_page_says_that_no_worker_has_done_anything(address: str, notes: "redis.Redis") -> None:
    assert page(address).count("No worker has done anything yet.") == 1
    thin_all.apply()
    assert "No worker" not in page(address)
    for name in notes.hkeys(DONE_KEY):
        notes.hset(DONE_KEY, name, time.time() - 3 * 3600)
    assert "No worker has finished anything for 3\xa0hours." in page(address)


def test_who_is_not_logged_in_is_not_told(notes: "redis.Redis") -> None:
    answer = Client().get("/admin/login/", headers={"x-forwarded-proto": "https"})
    assert "No worker" not in answer.content.decode()


def test_pages_are_shown_where_redis_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = redis.Redis(port=1)
    monkeypatch.setattr("config.worked._client", lambda: nowhere)
    assert "No worker" not in page()


def test_a_worker_goes_on_where_redis_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = redis.Redis(port=1)
    monkeypatch.setattr("config.worked._client", lambda: nowhere)
    assert thin_all.apply().successful()
    assert "Nobody can be told what was done" in caplog.text
