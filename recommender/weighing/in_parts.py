"""Weighs the same offers for many customers, in parts that fit on the device."""

from collections.abc import Callable

import numpy as np

from recommender.arrays import BoolArray, FloatArray
from recommender.weighing.odds import Odds

# Weighs customers, (n, d), who may all be shown the same offers, (K,); shape (n, K).
Weigh = Callable[[Odds, FloatArray, BoolArray], FloatArray]
# As `Weigh`, with each customer's offers, (n, K), as `Bandit.weights_many` does it on its device.
WeighRows = Callable[[Odds, FloatArray, BoolArray], FloatArray]
# torch says so by this name; the web, which reads odds, never loads it.
TOO_LARGE = "OutOfMemoryError"


def weigh_here(odds: Odds, x: FloatArray, eligible: BoolArray) -> FloatArray:
    """Weigh a few customers at once, without torch."""
    return odds.weights_many(x, np.broadcast_to(eligible, (len(x), len(eligible))))


def weigh_in_parts(
    odds: Odds, x: FloatArray, eligible: BoolArray, *, weigh: WeighRows, at_once: int
) -> FloatArray:
    """Weigh many customers, (n, d), who may all be shown the same offers, (K,); shape (n, K).

    Args:
        odds: What is known of the offers.
        x: Encoded customers; who looks the same to the policy is weighed once.
        eligible: Which offers may be chosen.
        weigh: Does it, on some device.
        at_once: For so many customers at most; for fewer, where the device has too little memory.

    Raises:
        MemoryError: There is too little for a single customer.
    """
    rows, place = np.unique(x, axis=0, return_inverse=True)
    weights = np.empty((len(rows), len(eligible)))
    first = 0
    while first < len(rows):
        some = rows[first : first + at_once]
        try:
            found = weigh(odds, some, np.tile(eligible, (len(some), 1)))
        except (MemoryError, RuntimeError) as error:
            if not isinstance(error, MemoryError) and type(error).__name__ != TOO_LARGE:
                raise
            if len(some) == 1:
                raise MemoryError(
                    "There is too little memory to weigh a single customer."
                ) from error
            at_once = len(some) // 2
            continue
        weights[first : first + len(some)] = found
        first += len(some)
    return weights[place]
