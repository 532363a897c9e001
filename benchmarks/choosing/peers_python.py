"""Times other people's linear Thompson sampling on the arrays of a file, in CPU microseconds.

Run in an environment that has it: QUESTION ANSWERS, both JSON files (see `clients.py`).
"""

# mypy: disable-error-code="import-not-found, import-untyped, unused-ignore"

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bayesianbandits import Arm, ContextualAgent, NormalInverseGammaRegressor, ThompsonSampling
from mabwiser.mab import MAB, LearningPolicy

# MABWiser is timed on so many of the customers.
SAMPLED = 5_000


def microseconds(run: Callable[[], object], n: int, repetitions: int) -> float:
    """Return the least CPU time of some repetitions, for one of n customers."""
    times = []
    for _ in range(repetitions):
        begun = time.process_time()
        run()
        times.append(time.process_time() - begun)
    return 1e6 * min(times) / n


def main(asked: Path, answered: Path) -> None:
    """Let both learn, then time their choices."""
    question = json.loads(asked.read_text())
    log: Any = np.load(question["log"])
    x, shown, rewards, customers = (log[name] for name in ("x", "shown", "rewards", "customers"))
    agent = ContextualAgent(
        [Arm(k, learner=NormalInverseGammaRegressor()) for k in range(question["offers"])],
        ThompsonSampling(),
        random_seed=1,
    )
    for k in range(question["offers"]):
        mine = shown == k
        agent.select_for_update(k).update(x[mine], rewards[mine])
    mab = MAB(list(range(question["offers"])), LearningPolicy.LinTS(), seed=1)
    mab.fit(shown, rewards, x)
    few = customers[:SAMPLED]
    took = {
        "bayesianbandits": microseconds(lambda: agent.pull(customers), len(customers), 3),
        "MABWiser LinTS": microseconds(lambda: mab.predict(few), len(few), 2),
    }
    answered.write_text(json.dumps(took))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
