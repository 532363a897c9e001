"""Let several processes train one network together: each does its part of every batch.

Processes are started by `torchrun`, which tells each its number. They keep the same weights by
adding up their gradients after each batch, and the first one alone validates and writes files.
`DistributedDataParallel` adds up while it goes back through the network, where a process that runs
out of memory would leave all others waiting; here everybody says first whether it came through.
Without `torchrun` there is one process, and nothing below costs anything.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed, nn


@contextmanager
def joined(device: str) -> Iterator[str]:
    """Train with the others if `torchrun` started this process; give the device to compute on."""
    if not distributed.is_torchelastic_launched():
        yield device
        return
    if torch.device(device).type == "cuda":
        device = f"cuda:{distributed.get_node_local_rank()}"
        torch.cuda.set_device(device)
        distributed.init_process_group("nccl")
    else:
        distributed.init_process_group("gloo")
    try:
        yield device
        # Who left while another still reads its last message would take that one down. After an
        # error nobody waits: `torchrun` ends all others.
        distributed.barrier()
    finally:
        distributed.destroy_process_group()


def count() -> int:
    """Return how many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def number() -> int:
    """Return which of them this is, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def is_first() -> bool:
    """Tell whether this is the process that validates and writes."""
    return number() == 0


def has_any(fact: bool, *, device: str) -> bool:  # noqa: FBT001 - the fact itself
    """Tell whether something is so for any process; all of them have to ask."""
    if count() == 1:
        return fact
    told = torch.tensor([float(fact)], device=device)
    distributed.all_reduce(told, op=distributed.ReduceOp.MAX)
    return bool(told.item())


def add_up(value: float, *, device: str) -> float:
    """Add up what all processes have."""
    if count() == 1:
        return value
    told = torch.tensor([value], device=device)
    distributed.all_reduce(told)
    return float(told.item())


def add_gradients(model: nn.Module) -> None:
    """Add up everybody's gradients, so that all processes step alike."""
    if count() == 1:
        return
    parameters = [each for each in model.parameters() if each.requires_grad]
    for each in parameters:
        if each.grad is None:
            each.grad = torch.zeros_like(each)
    gradients = [each.grad for each in parameters if each.grad is not None]
    joined = torch.cat([each.flatten() for each in gradients])
    distributed.all_reduce(joined)
    sizes = [each.numel() for each in gradients]
    for gradient, total in zip(gradients, torch.split(joined, sizes), strict=True):
        gradient.copy_(total.view_as(gradient))


@torch.no_grad()
def take_from_first(tensors: Iterable[Tensor]) -> None:
    """Put what the first process has into the tensors of all."""
    if count() == 1:
        return
    for tensor in tensors:
        distributed.broadcast(tensor, src=0)


def ask_first(numbers: list[float], *, device: str) -> list[float]:
    """Return the first process's numbers in all of them; there are as many everywhere."""
    if count() == 1:
        return numbers
    told = torch.tensor(numbers, dtype=torch.float64, device=device)
    distributed.broadcast(told, src=0)
    return [float(each) for each in told.tolist()]
