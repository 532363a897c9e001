"""Join groups of decisions that were drawn in different ways, each by how much it tells.

Chance puts customers into a group before anything is drawn, so each group of a log estimates the
same value. Counted alike, the one whose chances are smallest drowns the others in its noise. An
estimate from a group of m decisions varies like the second moment of its weights, E w² / m, so its
decisions count h = 1 / E w² times (Agarwal, Basu, Schnabel & Joachims 2017, "Effective evaluation
using logged bandit feedback from multiple loggers", section 5), scaled to a mean of 1 over all.
With the whole weights of a draw known, E w² is a mean over contexts of Σ q² / p, in which neither
what was drawn nor what it earned has a part: so whoever's chances are fixed beforehand, or learned
from others, is joined without bias.
"""

import numpy as np

from recommender.arrays import FloatArray, IntArray


def count_by_group(weights: FloatArray, second: FloatArray, group: IntArray) -> FloatArray:
    """Return how often each decision counts, shape (n,), with a mean of 1.

    Args:
        weights: w = q / p of what was drawn, shape (n,).
        second: E w² over what could have been drawn, shape (n,); not a number where that is not
            known, so that w² stands for it.
        group: Which group each is of, shape (n,), counted from 0.
    """
    sizes = np.bincount(group)
    if len(sizes) < 2:
        return np.ones(len(weights))
    moments = np.bincount(group, np.where(np.isnan(second), weights * weights, second))
    # A group in which the policy would have drawn nothing that was drawn says nothing of it.
    tells = np.divide(sizes, moments, out=np.zeros(len(sizes)), where=moments > 0)
    scale = (sizes @ tells) / len(weights)
    return tells[group] / scale if scale else np.ones(len(weights))
