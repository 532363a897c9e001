"""Train a torch model epoch by epoch, so that a killed training goes on as if nothing had been.

Every epoch begins with random generators seeded by the plan's seed and its own number, and ends
with a checkpoint that replaces the one before at once. So whatever kills a training, starting it
again with the same data takes up the last whole epoch, and ends with the same weights on the same
machine.
"""

import os
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from recommender.artifacts import AnyArray, pack_any, unpack_any

KIND = "training"
MOMENTS = ("exp_avg", "exp_avg_sq")  # what Adam remembers of each parameter, besides its steps

Weights = dict[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to train.

    Attributes:
        epochs: At most so many.
        patience: It stops after so many epochs without a better validation.
        rate: Of Adam.
        seed: Of everything random.
        device: Where the model is; on CUDA, products are made in bfloat16.
    """

    epochs: int
    patience: int
    rate: float
    seed: int
    device: str = "cpu"


class Task(Protocol):
    """What is trained."""

    model: nn.Module

    def batches(self, rng: np.random.Generator) -> Iterable[Any]:
        """Give an epoch's batches; the same for the same generator."""

    def loss(self, batch: Any, rng: np.random.Generator) -> Tensor:
        """Return what a batch costs, a scalar to be made small."""

    def validate(self) -> float:
        """Return how good the model is now: more is better."""


class Progress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far a training is: whole epochs, the best validation and the epoch that had it."""

    epochs: int = 0
    best: float = float("-inf")
    best_epoch: int = 0
    steps: int = 0


Report = Callable[[Progress, Plan], None]


def train(
    task: Task, plan: Plan, *, checkpoint: Path | None = None, report: Report | None = None
) -> Progress:
    """Train until the plan ends or validation gets no better, and leave the best weights.

    Args:
        task: Its model is trained in place.
        plan: How.
        checkpoint: Where to keep what an interrupted training needs; it goes on from there if there
            is one, of the same plan and model. The caller removes it.
        report: Is told after every epoch.

    Raises:
        ValueError: The checkpoint is damaged, or of another model.
    """
    optimizer = torch.optim.Adam(task.model.parameters(), lr=plan.rate)
    progress, best = Progress(), _copy(task.model)
    if checkpoint is not None and checkpoint.exists():
        progress, best = _load(checkpoint, task.model, optimizer)
    with torch.random.fork_rng():
        while progress.epochs < plan.epochs and (
            progress.epochs - progress.best_epoch < plan.patience
        ):
            steps = _run_epoch(task, plan, optimizer, epoch=progress.epochs)
            value = task.validate()
            is_best = value > progress.best
            progress = Progress(
                epochs=progress.epochs + 1,
                best=value if is_best else progress.best,
                best_epoch=progress.epochs + 1 if is_best else progress.best_epoch,
                steps=progress.steps + steps,
            )
            if is_best:
                best = _copy(task.model)
            if checkpoint is not None:
                _save(checkpoint, progress, task.model, optimizer, best)
            if report is not None:
                report(progress, plan)
    task.model.load_state_dict(best)
    task.model.eval()
    return progress


def _run_epoch(task: Task, plan: Plan, optimizer: torch.optim.Adam, *, epoch: int) -> int:
    rng = np.random.default_rng((plan.seed, epoch))
    torch.manual_seed(int(rng.integers(2**62)))
    task.model.train()
    steps = 0
    for batch in task.batches(rng):
        kind = torch.device(plan.device).type
        with torch.autocast(kind, dtype=torch.bfloat16, enabled=kind == "cuda"):
            loss = task.loss(batch, rng)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch publishes no type for it
        optimizer.step()
        steps += 1
    task.model.eval()
    return steps


def _copy(model: nn.Module) -> Weights:
    return deepcopy(model.state_dict())


def _save(
    path: Path, progress: Progress, model: nn.Module, optimizer: torch.optim.Adam, best: Weights
) -> None:
    """Write a checkpoint beside the last one, and put it in its place when it is on the disk."""
    arrays: dict[str, AnyArray] = {}
    for name, parameter in model.named_parameters():
        arrays[f"now/{name}"] = _array(parameter)
        remembered = optimizer.state[parameter]
        for moment in MOMENTS:
            arrays[f"{moment}/{name}"] = _array(remembered[moment])
    arrays |= {f"best/{name}": _array(value) for name, value in best.items()}
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        file.write(pack_any(arrays, kind=KIND, facts=progress))
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def _load(path: Path, model: nn.Module, optimizer: torch.optim.Adam) -> tuple[Progress, Weights]:
    arrays, progress = unpack_any(path.read_bytes(), kind=KIND, facts=Progress)
    try:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(torch.from_numpy(arrays[f"now/{name}"]))
                optimizer.state[parameter] = {
                    "step": torch.tensor(float(progress.steps)),
                    **{
                        moment: torch.from_numpy(arrays[f"{moment}/{name}"]).to(parameter.device)
                        for moment in MOMENTS
                    },
                }
        best = {name: torch.from_numpy(arrays[f"best/{name}"]) for name in model.state_dict()}
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"This checkpoint is of another model: {error}.") from error
    return progress, best


def _array(tensor: Tensor) -> AnyArray:
    array: AnyArray = tensor.detach().cpu().numpy()
    return array
