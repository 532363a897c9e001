"""Weighs offers for many customers beforehand, in parts that fit on the device."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from recommender.arrays import BoolArray, FloatArray
from recommender.odds import Odds

# Weighs customers, (n, d), of whom the offers (n, K) may be shown, as `Bandit.weights_many` does.
Weigh = Callable[[Odds, FloatArray, BoolArray], FloatArray]
# torch says so by this name; the web, which reads odds, never loads it.
TOO_LARGE = "OutOfMemoryError"


@dataclass(frozen=True, slots=True, eq=False)
class WeighedOdds(Odds):
    """Odds that have weighed some customers before they are asked.

    They answer as the odds that they are made of do: what was not weighed, for other offers or with
    another floor, they weigh when they are asked.
    """

    _weighed: dict[tuple[bytes, bytes], FloatArray] = field(
        default_factory=dict, init=False, repr=False
    )

    @classmethod
    def of(cls, odds: Odds) -> Self:
        """Begin with nobody weighed."""
        return cls(**odds.given())

    def prepare(self, x: FloatArray, eligible: BoolArray, *, weigh: Weigh, at_once: int) -> None:
        """Weigh customers who may be shown the same offers, in the place of those before.

        Args:
            x: Encoded customers, shape (n, d).
            eligible: Which offers may be chosen, shape (K,).
            weigh: Does it, on some device.
            at_once: For so many customers at most; for fewer, where the device has too little
                memory.

        Raises:
            MemoryError: There is too little for a single customer.
        """
        self._weighed.clear()
        if not eligible.any():
            return
        # Customers who look the same to the policy are weighed once.
        rows = np.unique(x, axis=0)
        offers = eligible.tobytes()
        for some, weights in _in_parts(self, rows, eligible, weigh=weigh, at_once=at_once):
            for row, weight in zip(some, weights, strict=True):
                self._weighed[row.tobytes(), offers] = weight

    def weights(
        self, x: FloatArray, eligible: BoolArray, *, floor: float | None = None
    ) -> FloatArray:
        """Weigh the offers for one customer, or return what was weighed."""
        if floor is None or floor == self.floor:
            found = self._weighed.get((x.tobytes(), eligible.tobytes()))
            if found is not None:
                return found
        return Odds.weights(self, x, eligible, floor=floor)


def _in_parts(
    odds: Odds, rows: FloatArray, eligible: BoolArray, *, weigh: Weigh, at_once: int
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield rows with their weights; after each time that memory was too small, half as many."""
    first = 0
    while first < len(rows):
        some = rows[first : first + at_once]
        try:
            weights = weigh(odds, some, np.tile(eligible, (len(some), 1)))
        except (MemoryError, RuntimeError) as error:
            if not isinstance(error, MemoryError) and type(error).__name__ != TOO_LARGE:
                raise
            if len(some) == 1:
                raise MemoryError(
                    "There is too little memory to weigh a single customer."
                ) from error
            at_once = len(some) // 2
            continue
        yield some, weights
        first += len(some)
