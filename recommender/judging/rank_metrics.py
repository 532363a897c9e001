"""Measure slates: how soon the right items come, and what else is shown.

All measures are of lists cut from a full ranking of all items; none is of a sample of items, whose
order of rankers may be another one (Krichene & Rendle 2020).
"""

from typing import cast

import numpy as np
from scipy import sparse

from recommender.arrays import BoolArray, FloatArray, IntArray, SparseArray
from recommender.interactions.histories import Histories
from recommender.interactions.item_facts import ItemFacts
from recommender.rankers.sparse_rows import row_sums, scale_rows, squared

# Part of the history's categories that a slate is taken to have too, so that no ratio is infinite
# (Steck 2018, eq. 7).
MIXED_IN = 0.01


def hits(slates: IntArray, answers: Histories) -> BoolArray:
    """Mark the places where something is shown that came next, (n, k)."""
    cells = np.unique(answers.customers * answers.n_items + answers.items)
    shown = np.arange(len(slates))[:, None] * answers.n_items + slates
    return np.isin(shown, cells) & (slates >= 0)


def ndcg(found: BoolArray, relevant: IntArray) -> FloatArray:
    """Return each customer's discounted gain, of the best possible, shape (n,).

    Args:
        found: From `hits`, shape (n, k).
        relevant: How many items came next, shape (n,), each above 0.
    """
    discounts = 1 / np.log2(np.arange(found.shape[1]) + 2.0)
    best = np.cumsum(discounts)[np.minimum(relevant, found.shape[1]) - 1]
    return cast(FloatArray, found @ discounts / best)


def recall(found: BoolArray, relevant: IntArray) -> FloatArray:
    """Return which part of what came next is shown, shape (n,)."""
    return cast(FloatArray, found.sum(axis=1) / relevant)


def reciprocal_rank(found: BoolArray) -> FloatArray:
    """Return one over the place of the first hit, shape (n,); 0 without any."""
    return np.where(found.any(axis=1), 1.0 / (found.argmax(axis=1) + 1.0), 0.0)


def average_precision(found: BoolArray, relevant: IntArray) -> FloatArray:
    """Return the mean precision at the hits, of as many as there could be, shape (n,)."""
    places = np.arange(1, found.shape[1] + 1)
    precision = np.cumsum(found, axis=1) / places
    possible = np.minimum(relevant, found.shape[1])
    return cast(FloatArray, (precision * found).sum(axis=1) / possible)


def coverage(slates: IntArray, n_items: int) -> float:
    """Return which part of all items is shown to anybody."""
    return len(np.unique(slates[slates >= 0])) / n_items


def novelty(slates: IntArray, counts: FloatArray) -> FloatArray:
    """Return the mean surprise of what is shown, in bits, shape (n,).

    Args:
        slates: Shape (n, k).
        counts: How often each item was met, shape (n_items,); those never met count as once.
    """
    surprise = -np.log2(np.maximum(counts, 1.0) / max(counts.sum(), 1.0))
    return _mean_shown(slates, surprise)


def popularity_lift(slates: IntArray, asked: Histories, counts: FloatArray) -> float:
    """Return how much more popular what is shown is than what customers meet themselves.

    0 is not at all; 1 is twice as popular (Abdollahpouri et al. 2019).
    """
    met = asked.profiles()
    known = np.flatnonzero(np.diff(met.indptr))
    if not len(known):
        return 0.0
    sums = np.add.reduceat(counts[met.indices], met.indptr[known])
    own = sums / np.diff(met.indptr)[known]
    shown = _mean_shown(slates[known], counts)
    return float(shown.mean() / own.mean() - 1.0)


def diversity(slates: IntArray, facts: ItemFacts) -> FloatArray:
    """Return how unlike the items of a slate are: 1 less their mean cosine, shape (n,).

    A slate of one item is not diverse, and counts 0.
    """
    words = facts.words
    unit = scale_rows(words, 1 / np.maximum(np.sqrt(row_sums(squared(words))), 1e-9))
    shown = _marked(slates, facts)
    n = row_sums(shown)
    # ‖Σ u‖² = Σ ‖u‖² + Σ u·v, and ‖u‖² is 1, or 0 where nothing is known of an item.
    between = row_sums(squared((shown @ unit).tocsr())) - shown @ row_sums(squared(unit))
    return np.where(n > 1, 1.0 - between / np.maximum(n * (n - 1), 1), 0.0)


def miscalibration(slates: IntArray, asked: Histories, facts: ItemFacts) -> FloatArray:
    """Return how far the slate's mix of attributes is from the history's, shape (n,).

    It is the Kullback-Leibler divergence in nats (Steck 2018): 0 where who likes one tenth of
    comedies is shown one tenth of comedies. Customers without history count 0.
    """
    parts = scale_rows(facts.words, 1 / np.maximum(row_sums(facts.words), 1e-9))
    wanted = _mean_parts(asked.profiles(), parts)
    mixed = (1 - MIXED_IN) * _mean_parts(_marked(slates, facts), parts) + MIXED_IN * wanted
    ratio = np.divide(wanted, mixed, out=np.ones_like(wanted), where=wanted > 0)
    return cast(FloatArray, (wanted * np.log(ratio)).sum(axis=1))


def _marked(slates: IntArray, facts: ItemFacts) -> SparseArray:
    """Mark what each slate shows, shape (n, n_items)."""
    rows, places = np.nonzero(slates >= 0)
    ones = np.ones(len(rows), dtype=np.float32)
    shape = (len(slates), facts.words.shape[0])
    return sparse.csr_array((ones, (rows, slates[rows, places])), shape=shape)


def _mean_parts(weights: SparseArray, parts: SparseArray) -> FloatArray:
    """Average the items' attributes, each row with its weights, shape (n, n_words)."""
    rows = scale_rows(weights, 1 / np.maximum(row_sums(weights), 1e-9))
    mean: FloatArray = (rows @ parts).toarray().astype(np.float64)
    return mean


def _mean_shown(slates: IntArray, values: FloatArray) -> FloatArray:
    """Average values of items over what is shown, shape (n,); 0 where nothing is."""
    shown = slates >= 0
    sums = np.where(shown, values[slates], 0.0).sum(axis=1)
    return cast(FloatArray, sums / np.maximum(shown.sum(axis=1), 1))
