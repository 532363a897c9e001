"""Rank by a network that reads when things happened, too (of the HSTU kind)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from recommender.rankers.sequences import SequenceRanker, Stack, Timed

# An age of a day is in bucket 16, one of ten years in bucket 28; older ones are in the last.
BUCKETS = 30


@dataclass(kw_only=True, eq=False)
class Hstu(SequenceRanker):
    """Gated attention without softmax, with a bias for how long ago an event was.

    After the hierarchical sequential transduction unit of Zhai et al. (2024). An event is as far
    from another as the time between them, in powers of two of a second, and as the events between
    them; of the time of what is to come nothing is known. Where there are no times, order alone
    counts.

    Attributes:
        blocks: How many layers.
        heads: Of each, by which `size` must be divisible.
    """

    blocks: int = 2
    heads: int = 2

    def encoder(self) -> nn.Module:
        """Stack the layers."""
        layers = [
            Unit(self.size, heads=self.heads, length=self.length + 1, dropout=self.dropout)
            for _ in range(self.blocks)
        ]
        return Stack(nn.Dropout(self.dropout), *layers, nn.LayerNorm(self.size))


class Unit(Timed):
    """One layer: what is looked at is weighed by SiLU, so that how much there was counts too."""

    def __init__(self, size: int, *, heads: int, length: int, dropout: float) -> None:
        """Make a layer for histories of at most this length."""
        super().__init__()
        self.heads = heads
        self.back = nn.Parameter(torch.zeros(heads, length))
        self.ago = nn.Parameter(torch.zeros(heads, BUCKETS))
        self.norm = nn.LayerNorm(size)
        self.mix = nn.Linear(size, 4 * size)
        self.seen_norm = nn.LayerNorm(size)
        self.out = nn.Linear(size, size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, times: Tensor) -> Tensor:
        """Read (b, t, size) and the seconds of each event, (b, t), to (b, t, size)."""
        b, t, size = x.shape
        gate, values, asks, keys = functional.silu(self.mix(self.norm(x))).chunk(4, dim=-1)

        def split(part: Tensor) -> Tensor:
            return part.view(b, t, self.heads, size // self.heads).transpose(1, 2)

        place = torch.arange(t, device=x.device)
        back = place[:, None] - place[None, :]  # (t, t): how far back, negative ahead
        ago = bucket(times[:, :, None] - times[:, None, :])  # (b, t, t)
        bias = self.back[:, back.clamp(min=0)] + self.ago[:, ago].transpose(
            0, 1
        )  # (b, heads, t, t)
        looked = functional.silu(split(asks) @ split(keys).transpose(2, 3) + bias)
        looked = looked.masked_fill(back < 0, 0.0) / (place[:, None] + 1)
        seen = (looked @ split(values)).transpose(1, 2).reshape(b, t, size)
        result: Tensor = x + self.out(self.dropout(self.seen_norm(seen) * gate))
        return result


def bucket(seconds: Tensor) -> Tensor:
    """Number stretches of time by their power of two; what is ahead counts as now."""
    powers = torch.log2(seconds.clamp(min=0).double() + 1).long()
    return powers.clamp(max=BUCKETS - 1)
