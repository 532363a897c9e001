"""Roots are found, and what no web process needs is loaded for them alone."""

import math
import subprocess
import sys

import pytest

from experiments.stats.roots import find_root


def test_a_root_is_found_to_the_last_digits() -> None:
    assert find_root(lambda x: x * x - 2, 0.0, 2.0) == pytest.approx(math.sqrt(2), rel=1e-14)


def test_without_a_change_of_sign_there_is_no_root() -> None:
    with pytest.raises(ValueError, match="different signs"):
        find_root(lambda x: x * x + 1, 0.0, 2.0)


def test_the_sites_process_loads_no_optimizer() -> None:
    script = "import sys; from config import asgi; print('scipy.optimize' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
