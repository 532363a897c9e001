"""Keep what an interrupted training needs to go on: weights, what Adam remembers, how far it is."""

import os
from pathlib import Path

import msgspec
import torch
from torch import Tensor, nn

from recommender.artifacts import AnyArray, pack_any, unpack_any

KIND = "training"
MOMENTS = ("exp_avg", "exp_avg_sq")  # what Adam remembers of each parameter, besides its steps

Weights = dict[str, Tensor]


class Progress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far a training is: whole epochs, the best validation and the epoch that had it."""

    epochs: int = 0
    best: float = float("-inf")
    best_epoch: int = 0
    steps: int = 0


def save_checkpoint(
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


def load_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Adam
) -> tuple[Progress, Weights]:
    """Put a checkpoint into a model and its optimizer; return how far it was and its best weights.

    Raises:
        ValueError: It is damaged, or of another model.
    """
    arrays, progress = unpack_any(path.read_bytes(), kind=KIND, facts=Progress)
    try:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(torch.from_numpy(arrays[f"now/{name}"]))
                remember_nothing(optimizer, parameter, steps=progress.steps)
                for moment in MOMENTS:
                    optimizer.state[parameter][moment].copy_(
                        torch.from_numpy(arrays[f"{moment}/{name}"])
                    )
        best = {name: torch.from_numpy(arrays[f"best/{name}"]) for name in model.state_dict()}
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"This checkpoint is of another model: {error}.") from error
    return progress, best


def remember_nothing(optimizer: torch.optim.Adam, parameter: Tensor, *, steps: int) -> None:
    """Give Adam empty memories of a parameter, to be filled, after so many steps."""
    optimizer.state[parameter] = {
        "step": torch.tensor(float(steps)),
        **{moment: torch.zeros_like(parameter) for moment in MOMENTS},
    }


def _array(tensor: Tensor) -> AnyArray:
    array: AnyArray = tensor.detach().cpu().numpy()
    return array
