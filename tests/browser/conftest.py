"""A real server and a real browser, on the test's own database."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from tests.asgi import database_url

ROOT = Path(__file__).resolve().parents[2]


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
            "SECRET_KEY": secrets.token_hex(32),
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


@pytest.fixture
def browser() -> Iterator[webdriver.Chrome]:
    """Start a browser, or skip where Debian's chromium and chromium-driver are not installed."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    with tempfile.TemporaryDirectory() as profile:
        for argument in (
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--window-size=1280,2400",
            f"--user-data-dir={profile}",
        ):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        chrome = webdriver.Chrome(options=options, service=Service(driver))
        chrome.implicitly_wait(5)
        yield chrome
        chrome.quit()


@pytest.fixture
def marketer(site_url: str, browser: webdriver.Chrome) -> webdriver.Chrome:
    """Log a superuser in."""
    password = secrets.token_hex(8)
    User.objects.create_superuser("maria", "", password)
    browser.get(f"{site_url}/admin/")
    browser.find_element(By.ID, "id_username").send_keys("maria")
    browser.find_element(By.ID, "id_password").send_keys(password + "\n")
    browser.find_element(By.CSS_SELECTOR, "a[href='/admin/campaigns/campaign/']")
    return browser
