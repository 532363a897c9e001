"""Rank by walks over a graph of products and what they have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from scipy import sparse

from recommender.arrays import SparseArray
from recommender.interactions.histories import Histories
from recommender.interactions.item_facts import ItemFacts
from recommender.rankers.base import Between
from recommender.rankers.content import weigh_words
from recommender.rankers.item_to_item import ItemToItem
from recommender.rankers.markov import Markov
from recommender.rankers.sparse_rows import row_sums, scale_rows, strongest, without_self

ROWS_AT_ONCE = 1024


@dataclass(kw_only=True, eq=False)
class Knowledge(ItemToItem):
    """A Markov model that also goes through attributes, words and classes of products.

    In the graph an edge leads from a product to what followed it, M, and by way of what is said of
    both to its likes, S, whose rows are the `neighbours` highest cosines of their TF-IDF, as parts
    of one. An item leads to another by four walks (after meta-paths, Sun et al. 2011):

        M + after · M S + before · S M + alike · S

    so that a product which few people met borrows from what is like it, and is found through it.

    Attributes:
        lags: Of the Markov model: how many steps ahead are counted.
        shrinkage: Of it: how many counts of nothing in particular every item begins with.
        neighbours: How many likes each product has.
        after: What counts that is like what followed.
        before: What followed something alike.
        alike: What is alike itself.
    """

    needs_facts: ClassVar[bool] = True
    searched: ClassVar[Mapping[str, Between]] = {
        "lags": Between(1, 20),
        "shrinkage": Between(0.5, 200.0, is_log=True),
        "decay": Between(0.3, 1.0),
        "neighbours": Between(5, 100, is_log=True),
        "after": Between(0.0, 1.0),
        "before": Between(0.0, 1.0),
        "alike": Between(0.0, 1.0),
    }
    last: int = 20
    decay: float = 0.8
    lags: int = 5
    shrinkage: float = 5.0
    neighbours: int = 20
    after: float = 0.2
    before: float = 0.4
    alike: float = 0.1

    def fit(self, histories: Histories, facts: ItemFacts | None = None) -> Self:
        """Count what came after what, find what is alike, and join both.

        Raises:
            ValueError: There are no facts, or of other items.
        """
        if facts is None or facts.words.shape[0] != histories.n_items:
            raise ValueError(f"Knowledge needs facts about all {histories.n_items} items.")
        follows = Markov(lags=self.lags, shrinkage=self.shrinkage).fit(histories).leads
        likes = find_likes(weigh_words(facts), self.neighbours)
        walks = follows + likes * np.float32(self.alike)
        if self.after:
            walks = walks + (follows @ likes) * np.float32(self.after)
        if self.before:
            walks = walks + (likes @ follows) * np.float32(self.before)
        self.leads = without_self(walks.tocsr())
        return self


def find_likes(words: SparseArray, k: int) -> SparseArray:
    """Return each item's k most alike, as parts of one, from rows of words of length 1."""
    n = words.shape[0]
    blocks = []
    for first in range(0, n, ROWS_AT_ONCE):
        block: SparseArray = (words[first : first + ROWS_AT_ONCE] @ words.T).tocsr()
        own = np.arange(block.shape[0])
        block = block - sparse.csr_array(
            (block[own, first + own], (own, first + own)), shape=block.shape
        )
        block.eliminate_zeros()
        blocks.append(strongest(block, k))
    likes: SparseArray = sparse.vstack(blocks, format="csr")
    return scale_rows(likes, 1 / np.maximum(row_sums(likes), 1e-9))
