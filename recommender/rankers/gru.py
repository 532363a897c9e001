"""Rank by a recurrent network that reads the newest items (of the GRU4Rec kind)."""

from dataclasses import dataclass

from torch import Tensor, nn

from recommender.rankers.sequences import SequenceRanker


@dataclass(kw_only=True, eq=False)
class Gru(SequenceRanker):
    """One layer of gated recurrent units (Hidasi et al. 2016)."""

    def encoder(self) -> nn.Module:
        """Make the layer."""
        return Recurrent(self.size, dropout=self.dropout)


class Recurrent(nn.Module):
    """A recurrent layer whose outputs are added to what it read."""

    def __init__(self, size: int, *, dropout: float) -> None:
        """Make a layer of this size."""
        super().__init__()
        self.before = nn.Dropout(dropout)
        self.recurrent = nn.GRU(size, size, batch_first=True)
        self.norm = nn.LayerNorm(size)

    def forward(self, x: Tensor) -> Tensor:
        """Read (b, t, size) to (b, t, size)."""
        x = self.before(x)
        read, _ = self.recurrent(x)
        result: Tensor = self.norm(x + read)
        return result
