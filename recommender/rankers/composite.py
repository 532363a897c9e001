"""Join rankers: the members learn first, then how to weigh them is learned from what came next."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recommender.arrays import IntArray, ScoreArray
from recommender.interactions.histories import Histories
from recommender.interactions.item_facts import ItemFacts
from recommender.rankers import make_ranker
from recommender.rankers.base import Ranker

# A ranker's name, and its settings where they differ from its own.
Member = tuple[str, dict[str, Any]]


@dataclass(kw_only=True, eq=False)
class Composite(Ranker):
    """Weighs members by how well they foresee everybody's last event, which they have not seen.

    Attributes:
        members: What it is made of; members that need facts are left out where there are none.
        refit: Whether the members then learn again with the last events. It is 0 where these are
            to serve for nothing but the weights, as published comparisons want it.
        rankers: The members, when they have learned.
    """

    members: tuple[Member, ...] = ()
    refit: int = 1
    rankers: list[Ranker] = field(init=False, repr=False)

    def _learn_members(
        self, histories: Histories, facts: ItemFacts | None, *, begin: float, end: float
    ) -> None:
        """Teach the members, which is done from `begin` to `end` of all the work."""
        made = [make_ranker(name, settings) for name, settings in self.members]
        self.rankers = [each for each in made if facts is not None or not each.needs_facts]
        share = (end - begin) / max(len(self.rankers), 1)
        for place, each in enumerate(self.rankers):
            at = begin + share * place
            name = f"{round(100 * begin)}-{place}"
            each.prepare(self.context.within(name, begin=at, end=at + share))
            each.fit(histories, facts)

    def _learn(self, histories: Histories, facts: ItemFacts | None) -> tuple[Histories, IntArray]:
        """Teach the members all but the last events; return what can be asked, and the answers."""
        self._learn_members(histories.without_last(1), facts, begin=0.0, end=0.5)
        asked = histories.of_customers(np.flatnonzero(histories.lengths > 1))
        if not len(asked):
            raise ValueError("Nobody has two events, so nothing says which member is right.")
        return asked.without_last(1), asked.newest(1).items

    def _finish(self, histories: Histories, facts: ItemFacts | None) -> None:
        if self.refit:
            self._learn_members(histories, facts, begin=0.5, end=1.0)


def without_seen(scores: ScoreArray, histories: Histories, *, value: float) -> ScoreArray:
    """Put a value in the place of what is in each history, (n, n_items)."""
    scores[histories.customers, histories.items] = value
    return scores
