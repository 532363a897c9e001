"""Train a torch model epoch by epoch, so that a killed training goes on as if nothing had been.

Every epoch begins with random generators seeded by the plan's seed and its own number, and ends
with a checkpoint that replaces the one before at once. So whatever kills a training, starting it
again with the same data takes up the last whole epoch, and ends with the same weights on the same
machine.

A batch is worked in parts whose losses add up to the batch's: by several processes
(`parallel.py`), and in smaller pieces where memory does not suffice for it at once. Neither changes
what is learned but for rounding, and for what dropout leaves out.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from recommender.training import parallel
from recommender.training.checkpoints import (
    MOMENTS,
    Progress,
    Weights,
    load_checkpoint,
    remember_nothing,
    save_checkpoint,
)

logger = logging.getLogger(__name__)


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


@dataclass(frozen=True, slots=True)
class Part:
    """One of several parts of a batch, which are about equally large."""

    number: int = 0
    of: int = 1

    def rows(self, n: int) -> slice:
        """Return which of n rows it has; together all parts have each once."""
        return slice(n * self.number // self.of, n * (self.number + 1) // self.of)


WHOLE = Part()


class Task(Protocol):
    """What is trained."""

    model: nn.Module

    def batches(self, rng: np.random.Generator) -> Iterable[Any]:
        """Give an epoch's batches; the same for the same generator."""

    def size(self, batch: Any) -> int:
        """Return into how many parts a batch can be cut."""

    def loss(self, batch: Any, part: Part) -> Tensor:
        """Return what a part of a batch adds to its cost, a scalar to be made small."""

    def validate(self) -> float:
        """Return how good the model is now: more is better."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch came to.

    Attributes:
        number: From 1.
        loss: The mean over its batches.
        validation: How good the model was after it.
        seconds: How long it took, with its validation.
    """

    number: int
    loss: float
    validation: float
    seconds: float


Report = Callable[[Epoch, Plan], None]


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
        torch.OutOfMemoryError: Memory does not suffice for a single row.
    """
    descent = Descent(task, plan)
    progress, best = _begin(descent, checkpoint)
    with torch.random.fork_rng(), _in_one_order(plan.device):
        while progress.epochs < plan.epochs and (
            progress.epochs - progress.best_epoch < plan.patience
        ):
            begun = time.perf_counter()
            own, steps = descent.run_epoch(progress.epochs)
            loss = parallel.add_up(own, device=plan.device)
            value = _validate(task, plan)
            is_best = value > progress.best
            progress = Progress(
                epochs=progress.epochs + 1,
                best=value if is_best else progress.best,
                best_epoch=progress.epochs + 1 if is_best else progress.best_epoch,
                steps=progress.steps + steps,
            )
            if is_best:
                best = _copy(task.model)
            if checkpoint is not None and parallel.is_first():
                save_checkpoint(checkpoint, progress, task.model, descent.optimizer, best)
            if report is not None:
                report(Epoch(progress.epochs, loss, value, time.perf_counter() - begun), plan)
    task.model.load_state_dict(best)
    parallel.take_from_first(task.model.state_dict().values())
    task.model.eval()
    return progress


@contextmanager
def _in_one_order(device: str) -> Iterator[None]:
    """Let threads add up gradients in one order, so that learning the same gives the same bits.

    On CUDA that takes more, and costs more, than this.
    """
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(before or torch.device(device).type == "cpu")
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


class Descent:
    """Goes down the slope, batch by batch, in as many pieces as memory asks for."""

    def __init__(self, task: Task, plan: Plan) -> None:
        """Begin with whole batches."""
        self.task, self.plan = task, plan
        self.optimizer = torch.optim.Adam(task.model.parameters(), lr=plan.rate)
        self.pieces = 1

    def run_epoch(self, epoch: int) -> tuple[float, int]:
        """Go through all batches once.

        Returns:
            The mean over its batches of what this process adds to the loss, and its steps.
        """
        rng = np.random.default_rng((self.plan.seed, epoch))
        torch.manual_seed(int(rng.integers(2**62)) + parallel.number())
        self.task.model.train()
        losses = [self.step(batch) for batch in self.task.batches(rng)]
        self.task.model.eval()
        return float(torch.stack(losses).mean()) if losses else 0.0, len(losses)

    def step(self, batch: Any) -> Tensor:
        """Make one step, and return the loss before it (of this process's part of the batch)."""
        while True:
            loss = self._slope(batch)
            if not parallel.has_any(loss is None, device=self.plan.device):
                break
            self._take_smaller_pieces(batch)
        assert loss is not None
        parallel.add_gradients(self.task.model)
        self.optimizer.step()
        return loss

    def _slope(self, batch: Any) -> Tensor | None:
        """Work out the gradients of this process's pieces; None if memory did not suffice."""
        kind = torch.device(self.plan.device).type
        of = min(self.pieces * parallel.count(), max(self.task.size(batch), 1))
        total = torch.zeros((), device=self.plan.device)
        self.optimizer.zero_grad()
        try:
            for number in range(parallel.number(), of, parallel.count()):
                with torch.autocast(kind, dtype=torch.bfloat16, enabled=kind == "cuda"):
                    loss = self.task.loss(batch, Part(number, of))
                loss.backward()  # type: ignore[no-untyped-call]  # torch publishes no type for it
                total += loss.detach()
        except torch.OutOfMemoryError:
            return None
        return total

    def _take_smaller_pieces(self, batch: Any) -> None:
        self.optimizer.zero_grad()
        if torch.device(self.plan.device).type == "cuda":
            torch.cuda.empty_cache()
        if self.pieces * parallel.count() >= self.task.size(batch):
            raise torch.OutOfMemoryError("Memory does not suffice for a single row of a batch.")
        self.pieces *= 2
        logger.warning("Out of memory: batches are worked in %d pieces from now on.", self.pieces)


def _begin(descent: Descent, checkpoint: Path | None) -> tuple[Progress, Weights]:
    """Go on from a checkpoint if there is one, in all processes from the first one's."""
    model, optimizer, device = descent.task.model, descent.optimizer, descent.plan.device
    progress, best = Progress(), _copy(model)
    if checkpoint is not None and checkpoint.exists() and parallel.is_first():
        progress, best = load_checkpoint(checkpoint, model, optimizer)
    epochs, value, best_epoch, steps = parallel.ask_first(
        [progress.epochs, progress.best, progress.best_epoch, progress.steps], device=device
    )
    progress = Progress(int(epochs), value, int(best_epoch), int(steps))
    parallel.take_from_first(model.state_dict().values())
    if progress.steps:
        for parameter in model.parameters():
            if not parallel.is_first():
                remember_nothing(optimizer, parameter, steps=progress.steps)
            parallel.take_from_first([optimizer.state[parameter][moment] for moment in MOMENTS])
    return progress, best


def _validate(task: Task, plan: Plan) -> float:
    """Return what the first process finds: in the last digits, others might find something else."""
    found = task.validate() if parallel.is_first() else 0.0
    return parallel.ask_first([found], device=plan.device)[0]


def _copy(model: nn.Module) -> Weights:
    return deepcopy(model.state_dict())
