"""A training that is killed goes on, and ends as if it had not been."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recommender.training.checkpoints import Progress
from recommender.training.epochs import Part, Plan, train

PLAN = Plan(epochs=6, patience=6, rate=0.05, seed=1)


class Line:
    """Fits a line by noisy points; its validation may be told in advance."""

    def __init__(self, told: list[float] | None = None, *, dropout: float = 0.2) -> None:
        torch.manual_seed(0)
        self.model: nn.Module = nn.Sequential(nn.Linear(1, 1), nn.Dropout(dropout))
        self._told = told

    def batches(self, rng: np.random.Generator) -> Iterable[Tensor]:
        for _ in range(4):
            x = rng.normal(size=8)
            y = 3 * x + 1 + rng.normal(scale=0.1, size=8)
            yield torch.from_numpy(np.column_stack([x, y]).astype(np.float32))

    def size(self, batch: Tensor) -> int:
        return len(batch)

    def loss(self, batch: Tensor, part: Part) -> Tensor:
        own = batch[part.rows(len(batch))]
        loss: Tensor = ((self.model(own[:, :1]) - own[:, 1:]) ** 2).sum() / len(batch)
        return loss

    def validate(self) -> float:
        if self._told is not None:
            return self._told.pop(0)
        points = torch.linspace(-1, 1, 9)[:, None]
        return -float(((self.model(points) - (3 * points + 1)) ** 2).mean().detach())


def weights(task: Line) -> list[float]:
    return [
        float(value) for value in torch.cat([p.detach().flatten() for p in task.model.parameters()])
    ]


def test_training_makes_the_loss_small() -> None:
    task = Line()
    before = task.validate()
    progress = train(task, Plan(epochs=60, patience=60, rate=0.05, seed=1))
    assert progress.best > before / 20
    assert task.validate() == progress.best


def test_training_stops_when_nothing_gets_better_and_keeps_the_best() -> None:
    task, seen = Line([1.0, 3.0, 2.0, 2.0, 2.0, 9.0]), []
    plan = Plan(epochs=10, patience=3, rate=0.05, seed=1)
    progress = train(task, plan, report=lambda now, _: seen.append(weights(task)))
    assert progress == Progress(epochs=5, best=3.0, best_epoch=2, steps=20)
    assert weights(task) == seen[1]


def test_a_resumed_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole = Line()
    ended = train(whole, PLAN)
    first = Line()
    train(first, Plan(epochs=2, patience=6, rate=0.05, seed=1), checkpoint=tmp_path / "line")
    second = Line()
    assert train(second, PLAN, checkpoint=tmp_path / "line") == ended
    assert weights(second) == weights(whole)


def limit_memory(task: Line, *, rows: int) -> list[int]:
    """Let the model run out of memory where it is given more rows; return what it is given."""
    given: list[int] = []

    def refuse(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        given.append(len(inputs[0]))
        if module.training and len(inputs[0]) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    task.model.register_forward_pre_hook(refuse)
    return given


def test_batches_are_cut_when_memory_runs_out_and_the_same_is_learned() -> None:
    whole, cut = Line(dropout=0.0), Line(dropout=0.0)
    given = limit_memory(cut, rows=3)
    assert train(cut, PLAN).steps == train(whole, PLAN).steps
    assert weights(cut) == pytest.approx(weights(whole), abs=1e-5)
    # It does not try again what did not work: 8 and 4 rows once, then 2 at a time.
    assert given[:4] == [8, 4, 2, 2]
    assert max(given[2 : 4 * 4]) == 2


def test_memory_that_does_not_suffice_for_a_row_ends_a_training() -> None:
    task = Line()
    limit_memory(task, rows=0)
    with pytest.raises(torch.OutOfMemoryError, match="a single row"):
        train(task, PLAN)


def test_parts_have_every_row_once() -> None:
    for n in (0, 1, 5, 8):
        rows = [row for number in range(3) for row in range(n)[Part(number, 3).rows(n)]]
        assert rows == list(range(n))


def test_training_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    task = Line()
    torch.manual_seed(5)
    train(task, PLAN)
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "line"
    train(Line(), PLAN, checkpoint=path)
    other = Line()
    other.model = nn.Linear(2, 1)
    with pytest.raises(ValueError, match="of another model"):
        train(other, PLAN, checkpoint=path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="Not a readable artifact"):
        train(Line(), PLAN, checkpoint=path)


SCRIPT = """
import sys
from pathlib import Path
import numpy as np
import torch
from recommender.rankers import make_ranker
from recommender.rankers.base import TrainingContext
from recommender.rankers.storing import to_bytes
from tests.recommender.rankers.worlds import make_histories

torch.set_num_threads(1)
ranker = make_ranker("transformer", {"size": 16, "epochs": 6, "patience": 6, "batch": 16})
ranker.prepare(TrainingContext(checkpoint=Path(sys.argv[1])))
Path(sys.argv[2]).write_bytes(to_bytes(ranker.fit(make_histories(300))))
"""


def start(directory: Path) -> "subprocess.Popen[bytes]":
    arguments = [str(directory / "checkpoint"), str(directory / "ranker")]
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    return subprocess.Popen([sys.executable, "-c", SCRIPT, *arguments], env=environment)


@pytest.mark.slow
def test_a_killed_training_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    quiet, killed = tmp_path / "quiet", tmp_path / "killed"
    quiet.mkdir()
    killed.mkdir()
    assert start(quiet).wait(timeout=120) == 0
    process = start(killed)
    deadline = time.monotonic() + 60
    while not (killed / "checkpoint").exists():
        assert time.monotonic() < deadline, "no checkpoint was written"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)
    assert not (killed / "ranker").exists(), "it was too late to kill it"
    assert start(killed).wait(timeout=120) == 0
    assert (killed / "ranker").read_bytes() == (quiet / "ranker").read_bytes()
