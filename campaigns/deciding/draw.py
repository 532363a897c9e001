"""Draw an offer from weights by hash, so that anyone can draw it again from the log."""

import uuid
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from experiments.assigning.assignment import BUCKETS, bucket_of, hash_v2, quantise

FloatArray = NDArray[np.float64]

# What each number of buckets is as a share.
SHARES = tuple(n / BUCKETS for n in range(BUCKETS + 1))


@dataclass(frozen=True, slots=True)
class Draw:
    """The place that was drawn and the shares that each place really had."""

    index: int
    weights: tuple[float, ...]

    @property
    def propensity(self) -> float:
        """The probability with which this place was drawn."""
        return self.weights[self.index]


def draw_seed(campaign: str, *, version: int, decision_id: uuid.UUID) -> str:
    """Name the draw: every decision is a fresh one, whatever was drawn before."""
    return f"{campaign}:{version}:{decision_id}"


def draw_offer(
    probabilities: Sequence[float] | FloatArray, *, seed: str, customer_key: str
) -> Draw:
    """Draw a place from probabilities that sum to one.

    The hash has 10,000 buckets, so the shares are first rounded to whole buckets: what is
    returned is what the draw really gives.
    """
    buckets = quantise(np.asarray(probabilities, dtype=np.float64))
    return draw_from(buckets, seed=seed, customer_key=customer_key)


def draw_from(buckets: NDArray[np.int64], *, seed: str, customer_key: str) -> Draw:
    """Draw a place from whole buckets, which are 10,000 together."""
    each = buckets.tolist()
    index = draw_place(each, seed=seed, customer_key=customer_key)
    return Draw(index=index, weights=tuple([SHARES[n] for n in each]))


def draw_place(buckets: Iterable[int], *, seed: str, customer_key: str) -> int:
    """Find which of the ranges, laid end to end over every bucket, a customer's hash falls into.

    It is `choose` over `ranges` for weights that leave no bucket out.
    """
    return bisect_right(list(accumulate(buckets)), bucket_of(seed, customer_key))


def is_held_back(policy: str, *, customer_key: str, share: float) -> bool:
    """Tell whether a policy never learns from a customer, so that it can be judged on them."""
    return share > 0 and hash_v2(f"{policy}:held-back", customer_key) < share
