"""Several processes learn what one would have learned."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recommender.rankers import make_ranker
from recommender.rankers.base import Ranker
from recommender.rankers.storing import from_bytes
from recommender.rankers.transformer import Transformer
from recommender.training.epochs import Plan, train
from tests.recommender.rankers.worlds import N_ITEMS, make_facts, make_histories

# Nothing is left out at random: of that, each process draws its own.
SETTINGS: dict[str, dict[str, Any]] = {
    "transformer": {"size": 16, "epochs": 3, "batch": 30, "dropout": 0.0, "rate": 0.01},
    "two_tower": {"size": 16, "epochs": 3, "batch": 101, "dropout": 0.0, "rate": 0.01},
}
SCRIPT = """
import json
import sys
from pathlib import Path
import torch
from recommender.rankers import make_ranker
from recommender.rankers.base import TrainingContext
from recommender.rankers.storing import to_bytes
from recommender.training import parallel
from tests.recommender.rankers.worlds import make_facts, make_histories
from tests.recommender.training.test_parallel import SETTINGS, find_losses

torch.set_num_threads(1)
directory, epochs = Path(sys.argv[1]), int(sys.argv[2])
with parallel.joined("cpu") as device:
    for name, settings in SETTINGS.items():
        ranker = make_ranker(name, settings | {"epochs": epochs})
        ranker.prepare(TrainingContext(checkpoint=directory / f"{name}.checkpoint", device=device))
        blob = to_bytes(ranker.fit(make_histories(101), make_facts()))
        (directory / f"{name}.{parallel.number()}.{parallel.count()}").write_bytes(blob)
    (directory / f"losses.{parallel.number()}").write_text(json.dumps(find_losses()))
"""


def learn_together(directory: Path, *, epochs: int) -> None:
    script = directory / "learn.py"
    script.write_text(SCRIPT)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    subprocess.run(
        [*torchrun, "--nproc-per-node", "2", str(script), str(directory), str(epochs)],
        env=os.environ | {"PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"},
        check=True,
        timeout=120,
    )


def learn_alone(name: str) -> Ranker:
    return make_ranker(name, SETTINGS[name]).fit(make_histories(101), make_facts())


def find_losses() -> list[float]:
    """Return the losses of two epochs, as this process is told them."""
    ranker = Transformer(**SETTINGS["transformer"])
    torch.manual_seed(4)
    task = ranker.task(ranker.make(n_items=N_ITEMS), make_histories(101))
    losses: list[float] = []
    plan = Plan(epochs=2, patience=2, rate=0.01, seed=1)
    train(task, plan, report=lambda epoch, _: losses.append(epoch.loss))
    return losses


def assert_alike(first: Ranker, second: Ranker) -> None:
    asked = make_histories(20, seed=8)
    np.testing.assert_allclose(first.score(asked), second.score(asked), atol=2e-4)


@pytest.mark.slow
def test_two_processes_learn_what_one_does_and_go_on_from_a_checkpoint(tmp_path: Path) -> None:
    learn_together(tmp_path, epochs=2)
    shorter = {name: (tmp_path / f"{name}.0.2").read_bytes() for name in SETTINGS}
    learn_together(tmp_path, epochs=3)
    for name in SETTINGS:
        first, second = ((tmp_path / f"{name}.{number}.2").read_bytes() for number in (0, 1))
        assert first == second
        assert first != shorter[name]
        assert_alike(from_bytes(first), learn_alone(name))
    for number in (0, 1):
        told = json.loads((tmp_path / f"losses.{number}").read_text())
        assert told == pytest.approx(find_losses(), rel=1e-4)
