"""What it costs to import the statistics."""

import subprocess
import sys

MODULES = "lift, proportions, ratio, quantile, many, adjustment, poststratification, tails"


def test_no_statistics_package_is_loaded() -> None:
    # They take seconds, in every worker and on every page that shows a report.
    code = f"import sys; from experiments.stats import {MODULES}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "experiments.stats.intervals" in loaded
    assert not {"statsmodels", "pandas", "scipy.stats", "scipy.integrate"} & set(loaded)
