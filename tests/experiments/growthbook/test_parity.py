"""The unmodified SDKs give the arms that our own evaluation does; they are installed on demand."""

import shutil

import pytest

from benchmarks.parity.__main__ import compare

# Enough to meet every experiment in every way; `python -m benchmarks.parity` asks for 10,000.
CUSTOMERS = 1_000


@pytest.mark.slow
def test_no_client_gives_another_arm_or_exposure_than_the_server() -> None:
    if shutil.which("npm") is None:
        pytest.skip("needs Node 20 with npm: https://nodejs.org")
    found = compare(CUSTOMERS)
    assert found == dict.fromkeys(found, 0)
    assert len(found) >= 4
