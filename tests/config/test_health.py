"""Whoever runs the site learns whether it lives, whether it can serve, and how it does."""

from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from audience.models import Scope
from config.asgi import build_application
from recommender.ranking.monitoring import check_version
from tests.asgi import Site, serve
from tests.makers import DAY, NOW, make_campaign, make_source
from tests.recommender.ranking.shops import make_ranking, make_shop, serve_markov

pytestmark = pytest.mark.django_db(transaction=True)


def read_metrics(site: Site, key: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """Read the metrics as Prometheus does: values by name and labels, these by their names."""
    answer = site.get("/metrics", headers={"Authorization": f"Bearer {key}"})
    assert answer.status == 200, answer.text
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_requests_are_counted_by_route_and_never_by_path(site: Site, admin_key: str) -> None:
    assert site.get("/healthz").status == 200
    assert site.get("/api/features/ada@example.com").status == 400
    metrics = read_metrics(site, admin_key)
    assert metrics["offerlab_requests_total", ("GET", "/healthz", "200")] == 1
    assert metrics["offerlab_requests_total", ("GET", "/api/features/{key}", "400")] == 1
    assert metrics["offerlab_request_seconds_count", ("/healthz",)] == 1
    assert not any("ada" in label for _, labels in metrics for label in labels)


def test_methods_that_somebody_makes_up_are_counted_as_one(site: Site, admin_key: str) -> None:
    for number in range(3):
        assert site.request(f"MAKE-UP-{number}", "/healthz").status == 405
    metrics = read_metrics(site, admin_key)
    assert metrics["offerlab_requests_total", ("other", "/healthz", "405")] == 3
    assert not any("MAKE-UP" in label for _, labels in metrics for label in labels)


def test_visits_are_counted_by_how_they_were_served(site: Site, admin_key: str) -> None:
    campaign = make_campaign(started_at=timezone.now())
    _, key = make_source(Scope.DECIDE)
    body = {"customer": "ada", "placements": [campaign.placement.key]}
    for _ in range(3):
        assert site.post("/api/v1/decide", body, key=key).status == 200
    metrics = read_metrics(site, admin_key)
    assert metrics["offerlab_visits_total", ("false", "true")] == 3
    assert metrics["offerlab_spooled_bytes", ()] == 0
    assert metrics["offerlab_rejected_bytes", ()] == 0
    assert metrics["offerlab_memory_age_seconds", ("campaigns",)] >= 0


def test_metrics_need_a_key_for_them(site: Site) -> None:
    _, key = make_source(Scope.READ)
    assert site.get("/metrics").status == 401
    assert site.get("/metrics", key=key).status == 403


def test_a_site_is_ready_once_everything_was_read(transactional_db: None, tmp_path: Path) -> None:
    nowhere = build_application("host=/nowhere", settings.REDIS_URL, tmp_path)
    with serve(nowhere) as site:
        assert site.get("/healthz").status == 200
        answer = site.get("/readyz")
    assert (answer.status, answer.json()["ready"]) == (503, False)
    assert set(answer.json()["checks"]) == {"keys", "campaigns", "experiments"}


def test_a_ready_site_says_how_fresh_it_is(site: Site) -> None:
    campaign = make_campaign(started_at=timezone.now())
    _, key = make_source(Scope.DECIDE)
    _, flags = make_source(Scope.FLAGS)
    body = {"customer": "ada", "placements": [campaign.placement.key]}
    site.post("/api/v1/decide", body, key=key)
    site.get(f"/api/features/{flags}")
    answer = site.get("/readyz")
    assert (answer.status, answer.json()["ready"]) == (200, True)
    assert all(check["database_answers"] for check in answer.json()["checks"].values())


def test_rankings_say_how_old_they_are_and_what_was_found(site: Site, admin_key: str) -> None:
    make_shop()
    version = serve_markov(make_ranking())
    key = version.ranking.key
    before = read_metrics(site, admin_key)
    assert before["offerlab_ranking_age_seconds", (key,)] > 0
    assert ("offerlab_ranking_checked_seconds", (key,)) not in before
    check_version(version, now=NOW + 8 * DAY)
    after = read_metrics(site, admin_key)
    assert after["offerlab_ranking_finding", (key, "age in days")] == 8.0
    assert after["offerlab_ranking_alarm", (key, "age in days")] == 1.0
    assert ("offerlab_ranking_finding", (key, "coverage")) not in after
    assert after["offerlab_ranking_alarm", (key, "coverage")] == 1.0
