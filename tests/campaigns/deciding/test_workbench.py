"""A worker that decides connects as `DATABASE_URL` says."""

from typing import Any

import pytest
from django.db import connection

from campaigns.deciding.workbench import Workbench
from tests.makers import NOW

pytestmark = pytest.mark.django_db(transaction=True)


def connect(**options: Any) -> dict[str, str]:
    """Connect with these options in the address, and return what libpq was told."""
    before = connection.settings_dict["OPTIONS"]
    connection.settings_dict["OPTIONS"] = {**before, **options}
    try:
        with Workbench() as bench:
            return bench.runner.run(bench.connect(now=NOW)).info.get_parameters()
    finally:
        connection.settings_dict["OPTIONS"] = before


def test_how_a_server_is_chosen_and_trusted_is_heeded() -> None:
    told = connect(
        target_session_attrs="read-write", sslmode="prefer", application_name="bench",
        prepare_threshold=3,
    )  # fmt: skip
    assert told["target_session_attrs"] == "read-write"
    assert told["application_name"] == "bench"
    assert told["dbname"] == connection.settings_dict["NAME"]
