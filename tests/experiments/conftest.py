"""Reads the numbers that others computed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def growthbook_cases(shared_file: Callable[[str], Path]) -> dict[str, list[Any]]:
    """GrowthBook's own cases for its SDKs."""
    cases: dict[str, list[Any]] = json.loads(
        shared_file("specs/growthbook-sdk-cases.json").read_text()
    )
    return cases


@pytest.fixture(scope="session")
def references(shared_file: Callable[[str], Path]) -> dict[str, Any]:
    """Numbers computed by scipy and statsmodels on raw rows; formulas stand in `_formulas`."""
    numbers: dict[str, Any] = json.loads(shared_file("data/reference_results.json").read_text())
    return numbers
