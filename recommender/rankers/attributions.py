"""Share a function's value out among its inputs, by integrated gradients."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

# How far all parts may be from the whole, and what the way is cut into: stretches at first, and how
# often one of them may be halved.
TOLERANCE = 0.002
STRETCHES = 16
HALVINGS = 12
NOISE = 1e-5  # of numbers in single precision: halving does not help

Value = Callable[[Sequence[Tensor]], Tensor]


def integrate_gradients(
    value: Value, inputs: Sequence[Tensor], baselines: Sequence[Tensor]
) -> list[Tensor]:
    """Return what each number of the inputs adds to the value (Sundararajan et al. 2017).

    On the straight way from the baselines to the inputs, each number's gradient is averaged and
    multiplied by how far the number goes. By the fundamental theorem of calculus all of it adds up
    to the value at the inputs less the value at the baselines; where it does not on a stretch of
    the way, because a gradient jumps or a short vector turns around, that stretch is halved.

    Args:
        value: Of inputs such as these, a scalar.
        inputs: Of any shapes.
        baselines: What says nothing, of the same shapes.
    """
    ways = [end - begin for begin, end in zip(baselines, inputs, strict=True)]
    totals = [torch.zeros_like(each) for each in inputs]

    def at(part: float) -> list[Tensor]:
        return [begin + part * way for begin, way in zip(baselines, ways, strict=True)]

    stretches = [(n / STRETCHES, (n + 1) / STRETCHES, HALVINGS) for n in range(STRETCHES)]
    while stretches:
        begin, end, halvings = stretches.pop()
        middle = (begin + end) / 2
        points = [each.requires_grad_() for each in at(middle)]
        gradients = torch.autograd.grad(value(points), points)
        owed = [
            gradient * way * (end - begin) for gradient, way in zip(gradients, ways, strict=True)
        ]
        with torch.no_grad():
            gap = sum(each.sum() for each in owed) - (value(at(end)) - value(at(begin)))
        if abs(float(gap)) > max(TOLERANCE * (end - begin), NOISE) and halvings:
            stretches += [(begin, middle, halvings - 1), (middle, end, halvings - 1)]
            continue
        for total, each in zip(totals, owed, strict=True):
            total += each
    return totals
