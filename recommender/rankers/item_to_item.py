"""Rank by what leads from each item to the others: the shape that several rankers share."""

from dataclasses import dataclass, field

from recommender.arrays import ScoreArray, SparseArray
from recommender.histories import Histories
from recommender.rankers.base import Ranker


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

    def score(self, histories: Histories) -> ScoreArray:
        """Add up the rows of what each customer met last."""
        profiles = histories.newest(self.last).profiles(decay=self.decay)
        scores: ScoreArray = (profiles @ self.leads).toarray()  # (n, n_items)
        return scores
