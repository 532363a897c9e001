"""The Content-Security-Policy of our own pages and of the admin."""

import pytest
from django.test import Client

from tests.makers import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(client: Client) -> Client:
    client.force_login(make_user(is_superuser=True))
    return client


def test_our_own_pages_run_only_our_own_files(browser: Client) -> None:
    policy = browser.get("/experiments/none/", secure=True).headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_the_admin_may_evaluate_what_its_theme_needs(browser: Client) -> None:
    policy = browser.get("/admin/", secure=True).headers["Content-Security-Policy"]
    assert "'unsafe-eval'" in policy
    assert "frame-ancestors 'none'" in policy


def test_no_page_may_be_framed_or_sniffed(browser: Client) -> None:
    answer = browser.get("/admin/", secure=True)
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
