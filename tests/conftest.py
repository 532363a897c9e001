"""Reads the reference material beside the repository, and settles what all tests share."""

import csv
import gc
import gzip
import os
from collections.abc import Callable
from pathlib import Path

# Before numpy and torch: tests run side by side, and threads of several wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.test import Client
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from numpy.typing import NDArray

from audience.columns.store import STORE
from tests.emptying import empty_by_deleting
from tests.makers import make_user

SHARED = Path(__file__).parents[2] / "shared"

# How long an example takes says how busy the machine is, and nothing of what it tests.
hypothesis_settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("patient")

empty_by_deleting()
# Each of the tests' clients would look through all static files anew.
settings.WHITENOISE_AUTOREFRESH = True
# A password of a test's own needs no million rounds, which take a third of a second.
PBKDF2PasswordHasher.iterations = 1000

# Nothing of what is imported, and of the tests that are found, is ever garbage.
gc.disable()

Arms = dict[str, dict[str, NDArray[np.float64]]]


def pytest_collection_finish() -> None:
    """Look for garbage from now on, and not among what is there by now."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def forget_columns() -> None:
    """Let no test find what another one's database held."""
    STORE.forget()


@pytest.fixture(scope="session")
def shared_file() -> Callable[[str], Path]:
    """Find a file of the shared folder, or skip."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"needs {path}: reference material that is not part of the project")
        return path

    return find


@pytest.fixture(scope="session")
def hillstrom(shared_file: Callable[[str], Path]) -> Arms:
    """Hillstrom's e-mail experiment: raw visit, conversion and spend of every customer, by arm."""
    rows: dict[str, list[tuple[float, float, float]]] = {}
    with gzip.open(shared_file("data/hillstrom.csv.gz"), "rt", newline="") as file:
        for row in csv.DictReader(file):
            rows.setdefault(row["segment"], []).append(
                (float(row["visit"]), float(row["conversion"]), float(row["spend"]))
            )
    return {
        arm: dict(zip(("visit", "conversion", "spend"), np.array(values).T, strict=True))
        for arm, values in rows.items()
    }


@pytest.fixture
def admin(db: None) -> Client:
    """An administrator's browser, which is asked by HTTPS as in production."""
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user(is_superuser=True))
    return client
