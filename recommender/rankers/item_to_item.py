"""Rank by what leads from each item to the others: the shape that several rankers share."""

from dataclasses import dataclass, field

from recommender.arrays import ScoreArray, SparseArray
from recommender.interactions.histories import Histories
from recommender.rankers.base import Ranker
from recommender.rankers.mixed_rows import MixedRows


@dataclass(kw_only=True, eq=False)
class ItemToItem(Ranker):
    """Scores are the newest items' rows of one matrix, added up with weights that fade.

    Attributes:
        last: How many of the newest events count.
        decay: What each event counts of the one after it; at 1 all count alike.
        leads: What each item says of each other, shape (n_items, n_items).
    """

    last: int = 1000
    decay: float = 1.0
    leads: SparseArray = field(init=False, repr=False)
    # The same, arranged for products when it is first asked.
    _mixed: MixedRows | None = field(init=False, repr=False, default=None)

    def score(self, histories: Histories) -> ScoreArray:
        """Add up the rows of what each customer met last."""
        profiles = histories.newest(self.last).profiles(decay=self.decay)
        if self._mixed is None or self._mixed.source is not self.leads:
            self._mixed = MixedRows.of(self.leads)
        return self._mixed.product(profiles)  # (n, n_items)
