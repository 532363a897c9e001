"""The whole site, started and stopped by one command."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE")


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    environment = {name: value for name, value in os.environ.items() if name not in OURS}
    process = subprocess.Popen(
        [sys.executable, "manage.py", "dev", "--port", "21000", "--then", "check"],
        env=environment | {"OFFERLAB_DATA_DIR": str(tmp_path / "data")},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        yield process
        process.kill()


@pytest.mark.slow
def test_site_comes_up_runs_a_command_and_stops(dev: subprocess.Popen[str]) -> None:
    address = re.search(r"http://\S+", read_until(dev, "OfferLab is up"))
    assert address is not None
    with urlopen(f"{address.group()}healthz", timeout=10) as response:
        assert response.status == 200
    read_until(dev, "check has ended (status 0)")
    dev.send_signal(signal.SIGINT)
    read_until(dev, "Everything has stopped")
    assert dev.wait(30) == 0


def read_until(process: subprocess.Popen[str], words: str) -> str:
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if words in line:
            return line
    pytest.fail(f"{words!r} never came:\n{''.join(seen)}")
