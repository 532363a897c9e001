"""Rank by a transformer that reads the newest items (of the eSASRec kind)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from recommender.rankers.sequences import SequenceRanker

WIDER = 2  # inner size of the second half of a block


@dataclass(kw_only=True, eq=False)
class Transformer(SequenceRanker):
    """Causal self-attention with gated residuals and a bias for how far back an item is.

    Attributes:
        blocks: How many layers.
        heads: Of each, by which `size` must be divisible.
    """

    blocks: int = 2
    heads: int = 2

    def encoder(self) -> nn.Module:
        """Stack the blocks."""
        layers = [
            Block(self.size, heads=self.heads, length=self.length + 1, dropout=self.dropout)
            for _ in range(self.blocks)
        ]
        return nn.Sequential(nn.Dropout(self.dropout), *layers, nn.LayerNorm(self.size))


class Block(nn.Module):
    """Attention and a gated linear unit, each behind a gate of its own (as in LiGR, 2025).

    What attention looks at depends on how many events back an item is, by a learned bias of each
    head; so a pattern counts wherever in a history it is.
    """

    def __init__(self, size: int, *, heads: int, length: int, dropout: float) -> None:
        """Make a block for histories of at most this length."""
        super().__init__()
        self.heads = heads
        self.back = nn.Parameter(torch.zeros(heads, length))
        self.norm = nn.LayerNorm(size)
        self.mix = nn.Linear(size, 3 * size)
        self.out = nn.Linear(size, size)
        self.gate = nn.Linear(size, size)
        self.wide_norm = nn.LayerNorm(size)
        self.wide = nn.Linear(size, 2 * WIDER * size)
        self.narrow = nn.Linear(WIDER * size, size)
        self.wide_gate = nn.Linear(size, size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Read (b, t, size) to (b, t, size)."""
        x = x + torch.sigmoid(self.gate(x)) * self.dropout(self._attend(self.norm(x)))
        up, by = self.wide(self.wide_norm(x)).chunk(2, dim=-1)
        inner = self.narrow(self.dropout(functional.silu(by) * up))
        result: Tensor = x + torch.sigmoid(self.wide_gate(x)) * self.dropout(inner)
        return result

    def _attend(self, x: Tensor) -> Tensor:
        b, t, size = x.shape
        parts = self.mix(x).view(b, t, 3, self.heads, size // self.heads).permute(2, 0, 3, 1, 4)
        place = torch.arange(t, device=x.device)
        back = place[:, None] - place[None, :]  # (t, t): how far back, negative ahead
        bias = self.back[:, back.clamp(min=0)].masked_fill(back < 0, -torch.inf)  # (heads, t, t)
        asks, keys, values = parts.unbind(0)  # (b, heads, t, size / heads) each
        seen = functional.scaled_dot_product_attention(asks, keys, values, attn_mask=bias)
        joined: Tensor = self.out(seen.transpose(1, 2).reshape(b, t, size))
        return joined
