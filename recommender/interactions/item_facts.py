"""Hold what is known of items themselves: words and attributes, and what they cost."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recommender.arrays import FloatArray, SparseArray


@dataclass(frozen=True, slots=True, eq=False)
class ItemFacts:
    """Facts about items, in the order of their numbers.

    Attributes:
        words: How often each word or attribute is said of each item, shape (n_items, n_words).
        prices: In any one currency, shape (n_items,); NaN where unknown.
        names: What the words are, in the order of their columns; empty where nobody needs them.
        texts: What is said of each item, for who reads sentences; empty where nobody does.
    """

    words: SparseArray
    prices: FloatArray
    names: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        words: Sequence[Sequence[str]],
        *,
        prices: Sequence[float | None] | None = None,
        texts: Sequence[str] = (),
    ) -> "ItemFacts":
        """Number the words of all items; the same words get the same numbers in any order."""
        number = {word: i for i, word in enumerate(sorted({w for each in words for w in each}))}
        rows = np.repeat(np.arange(len(words)), [len(each) for each in words])
        columns = np.array([number[word] for each in words for word in each], dtype=np.int64)
        counts = np.ones(len(columns), dtype=np.float32)
        table = sparse.csr_array((counts, (rows, columns)), shape=(len(words), len(number)))
        known = [None] * len(words) if prices is None else prices
        return cls(
            words=table,
            prices=np.array(known, dtype=np.float64),
            names=tuple(number),
            texts=tuple(texts),
        )
