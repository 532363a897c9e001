"""Runs the whole calibration, says what promises were not kept, and writes the page.

python -m experiments.calibration --write docs/calibration.md
"""

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tqdm import tqdm

from experiments.calibration.accrual import find_late_errors
from experiments.calibration.families import simulate_families
from experiments.calibration.page import Calibration, write_page
from experiments.calibration.peers import PATHS, all_rules, compare_rules
from experiments.calibration.promises import Row
from experiments.calibration.repetition import (
    find_broken,
    plan_tasks,
    pool,
    settle,
    try_scenarios,
)
from experiments.calibration.scenarios import SCENARIOS

RUNS = 300
# Reports of many metrics for each experiment with looks: they take a hundredth of the time.
_REPORTS_PER_RUN = 5


def run(*, runs: int, seed: int, show: bool) -> Calibration:
    """Run everything, with a progress bar if it is to be shown."""
    everything = list(range(len(SCENARIOS)))

    def try_again(places: list[int], *, attempt: int) -> list[Row]:
        seeds = seed, attempt
        total = sum(
            task.runs for place in places for task in plan_tasks(place, runs=runs, seed=seeds)
        )
        with tqdm(total=total, unit=" experiments", desc=f"try {attempt}", disable=not show) as bar:
            return try_scenarios(
                places, runs=runs, seed=seeds, executor=executor, report=bar.update
            )

    with ProcessPoolExecutor(os.cpu_count()) as executor:
        first = try_again(everything, attempt=1)
        second = try_again(find_broken(first), attempt=2)
    family_runs = _REPORTS_PER_RUN * runs
    return Calibration(
        runs=runs,
        seed=seed,
        rows=settle(first, second),
        pooled=pool(first),
        performances=compare_rules(all_rules(), paths=PATHS, seed=seed),
        late=list(find_late_errors()),
        together=simulate_families(runs=family_runs, seed=seed),
        family_runs=family_runs,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 1 where a promise was not kept."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.calibration", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--runs", type=int, default=RUNS, help="experiments to a scenario")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page here")
    options = parser.parse_args(arguments)
    found = run(runs=options.runs, seed=options.seed, show=True)
    if options.write:
        options.write.write_text(write_page(found))
    for line in found.broken:
        sys.stdout.write(f"not kept: {line}\n")
    sys.stdout.write(f"{len(found.rows)} rows, {len(found.broken)} promises not kept\n")
    return 1 if found.broken else 0


if __name__ == "__main__":
    sys.exit(main())
