"""Change a ranked list as a shop's rules want: each rule takes a list and returns one.

Rules are joined by calling one after the other: what may not be shown first, then what is to be
shown more, and how the list is to be mixed last.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from recommender.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """Items with their scores, best first, both of shape (n,)."""

    items: IntArray
    scores: FloatArray

    def where(self, kept: BoolArray) -> "Ranked":
        """Keep some places, in their order."""
        return Ranked(self.items[kept], self.scores[kept])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shelf:
    """What rules need to know of all items, each of shape (n_items,).

    Attributes:
        in_stock: Whether there is any.
        category: The number of its category.
        price: NaN where unknown.
    """

    in_stock: BoolArray
    category: IntArray
    price: FloatArray


def only_in_stock(ranked: Ranked, shelf: Shelf) -> Ranked:
    """Leave out what cannot be had."""
    return ranked.where(shelf.in_stock[ranked.items])


def leave_out(ranked: Ranked, items: Collection[int]) -> Ranked:
    """Leave out items, such as those seen lately or bought before."""
    return ranked.where(~np.isin(ranked.items, list(items)))


def within_prices(ranked: Ranked, shelf: Shelf, *, low: float, high: float) -> Ranked:
    """Keep what costs at least `low` and at most `high`; what has no known price is left out."""
    price = shelf.price[ranked.items]
    return ranked.where((price >= low) & (price <= high))


def boost(ranked: Ranked, factors: Mapping[int, float]) -> Ranked:
    """Multiply items' scores and rank anew; scores must not be negative.

    Raises:
        ValueError: A factor or a score is negative.
    """
    if (ranked.scores < 0).any() or any(factor < 0 for factor in factors.values()):
        raise ValueError("Only scores and factors of at least 0 can be multiplied.")
    by = np.array([factors.get(item, 1.0) for item in ranked.items.tolist()], dtype=np.float64)
    scores = ranked.scores * by
    order = np.argsort(-scores, kind="stable")
    return Ranked(ranked.items[order], scores[order])


def cap_categories(ranked: Ranked, shelf: Shelf, *, most: int) -> Ranked:
    """Keep the best `most` items of each category."""
    category = shelf.category[ranked.items]
    order = np.argsort(category, kind="stable")
    grouped = category[order]
    first = np.searchsorted(grouped, grouped, side="left")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order)) - first
    return ranked.where(place < most)


class Mixture:
    """What is left to pick, and how good each would be next: good, and unlike what is picked.

    Maximal marginal relevance (Carbonell & Goldstein 1998): an item's gain is
    taste · score - (1 - taste) · highest cosine with what is picked, scores being scaled to 0 … 1.
    """

    def __init__(self, ranked: Ranked, vectors: FloatArray, *, taste: float) -> None:
        """Begin with nothing picked.

        Args:
            ranked: What can be picked.
            vectors: Of all items, each of length 1 or 0, shape (n_items, d).
            taste: 1 looks at scores only, 0 at differences only.

        Raises:
            ValueError: Taste is not in 0 … 1.
        """
        if not 0 <= taste <= 1:
            raise ValueError(f"Taste must be in 0 … 1, not {taste}.")
        spread = np.ptp(ranked.scores) if len(ranked.scores) else 0.0
        self._worth = (ranked.scores - ranked.scores.min(initial=np.inf)) / (spread or 1.0)
        self._vectors = vectors[ranked.items]  # (n, d)
        self._taste = taste
        self._nearest = np.zeros(len(self._worth))
        self.left = np.ones(len(self._worth), dtype=bool)

    @property
    def gains(self) -> FloatArray:
        """What each would add now, shape (n,); -inf where it is picked or may not be."""
        gains: FloatArray = np.where(
            self.left, self._taste * self._worth - (1 - self._taste) * self._nearest, -np.inf
        )
        return gains

    def pick(self, place: int) -> None:
        """Take one, which makes what is like it worth less."""
        self.left[place] = False
        self._nearest = np.maximum(self._nearest, self._vectors @ self._vectors[place])


def diversify(ranked: Ranked, vectors: FloatArray, *, k: int, taste: float) -> Ranked:
    """Pick k items one by one, each the best of the mixture.

    Args:
        ranked: What can be picked.
        vectors: Of all items, each of length 1 or 0, shape (n_items, d).
        k: How many.
        taste: 1 looks at scores only, 0 at differences only.

    Raises:
        ValueError: Taste is not in 0 … 1.
    """
    mixture = Mixture(ranked, vectors, taste=taste)
    picked: list[int] = []
    for _ in range(min(k, len(ranked.items))):
        picked.append(int(mixture.gains.argmax()))
        mixture.pick(picked[-1])
    return replace(ranked, items=ranked.items[picked], scores=ranked.scores[picked])
