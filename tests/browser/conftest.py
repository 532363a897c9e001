"""A real server and a real browser, on the test's own database."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.db.backends.postgresql.creation import DatabaseCreation
from django.test import Client
from playwright.sync_api import Browser, Page, sync_playwright

from tests.asgi import database_url

ROOT = Path(__file__).resolve().parents[2]
# What a check for accessibility may find without being a bar to anybody.
MINOR = ("minor", "moderate", None)


@pytest.fixture
def site_url(transactional_db: None) -> Iterator[str]:
    """Serve the whole site the way it is served in production, but for TLS."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--no-ws"]
    server = subprocess.Popen(
        [*command, "--port", str(port), "config.asgi:application"],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": database_url(),
            "HTTPS": "no",
            # The same, so that a session that a test makes is one of the site.
            "SECRET_KEY": settings.SECRET_KEY,
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(url)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=20)


def wait_for(url: str) -> None:
    for _ in range(150):
        try:
            urllib.request.urlopen(f"{url}/healthz").close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    pytest.fail("The site did not start.")


def drop_by_force(creation: Any, name: str, verbosity: int) -> None:
    """Drop a test database that sessions are left in.

    What runs beside the driver's event loop has connections of its own, which Django does not see
    any more, and PostgreSQL drops no database that somebody is in.
    """
    with creation._nodb_cursor() as cursor:
        cursor.execute(f"DROP DATABASE {creation._quote_name(name)} WITH (FORCE)")


@pytest.fixture
def chromium(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    """Start Debian's Chromium, or skip where it is not installed."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("needs chromium")
    # Until the end of the session, when the database is dropped.
    setattr(DatabaseCreation, "_destroy_test_db", drop_by_force)  # noqa: B010 - not in its stubs
    # The driver has an event loop in this thread, and Django takes the tests' queries for its.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "yes")
    with sync_playwright() as driver:
        # Beside the loop, queries have a connection of their own, left by the browser test before;
        # a test since then may have ended it.
        connection.close()
        browser = driver.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield browser
        browser.close()


@pytest.fixture
def log_in(site_url: str, chromium: Browser) -> Callable[..., Page]:
    """Open a window of their own for somebody who may do everything, and is logged in."""

    def open_window(name: str, *, javascript: bool = True, by_form: bool = False) -> Page:
        password = secrets.token_hex(8)
        user = User.objects.create_superuser(name, f"{name}@example.com", password)
        window = chromium.new_context(
            base_url=site_url,
            java_script_enabled=javascript,
            viewport={"width": 1280, "height": 1600},
        )
        window.set_default_timeout(20_000)
        page = window.new_page()
        if not by_form:
            client = Client()
            client.force_login(user)
            cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
            window.add_cookies(
                [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": site_url}]
            )
            return page
        page.goto("/admin/")
        page.fill("#id_username", name)
        page.fill("#id_password", password)
        page.press("#id_password", "Enter")
        page.wait_for_url("**/admin/")
        return page

    return open_window


@pytest.fixture
def complaints() -> list[str]:
    """What browsers' consoles said, of the pages that were listened to."""
    return []


def listen(page: Page, complaints: list[str]) -> None:
    """Keep what the console of a page complains about."""
    page.on(
        "console",
        lambda message: complaints.append(message.text) if message.type == "error" else None,
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))


def check_access(page: Page) -> None:
    """Refuse a page that keeps somebody out, by axe-core's rules.

    What is being loaded is dimmed, so a page is looked at when it is at rest, and once more if
    something was found, because a request may have begun meanwhile.
    """
    for _ in range(2):
        page.wait_for_selector(".htmx-request", state="detached")
        found = [
            f"{violation['id']} ({violation['impact']}): {violation['nodes'][0]['html'][:200]}"
            for violation in Axe().run(page).response["violations"]
            if violation["impact"] not in MINOR
        ]
        if not found:
            return
        page.wait_for_timeout(1_000)
    assert found == [], page.url
