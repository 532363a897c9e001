"""Real client libraries deliver every event once, to a site that is killed meanwhile."""

import subprocess
from pathlib import Path

import pytest
from django.conf import settings

from benchmarks.delivery.clients import Libraries
from benchmarks.delivery.delivery import deliver


@pytest.fixture(scope="session")
def libraries() -> Path:
    """The client libraries, fetched once into the project's own data."""
    directory: Path = settings.DATA_DIR / "clients"
    found = Libraries(directory)
    try:
        for language in found.languages:
            found.install(language)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the client libraries cannot be fetched: {error}")
    return directory


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_whatever_is_killed(tmp_path: Path, libraries: Path) -> None:
    told: list[str] = []
    delivery = deliver(4000, directory=tmp_path, libraries=libraries, report=told.append)
    assert {"kill -9 of the server", "kill -9 of PostgreSQL, for 1 s"} <= set(told)
    assert (delivery.sent, delivery.stored) == (4000, 4000)
    assert (delivery.lost, delivery.doubled, delivery.given_up) == (0, 0, ())
