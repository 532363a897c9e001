"""Draws arms by hash: the same customer, seed and weights always give the same arm.

One draw serves A/B arms and offers alike. It is GrowthBook's hash version 2, so any of their SDKs
agrees with us. Version 1 is left out on purpose: it has 1,000 buckets and its arms are correlated
between experiments.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from fnv_hash_fast import fnv1a_32
from numpy.typing import NDArray

BUCKETS = 10_000

_FNV_OFFSET = 0x811C9DC5
_FNV_PRIME = 0x01000193


def hash_v2(seed: str, value: str) -> float:
    """Place a value on [0, 1), in steps of one bucket, as GrowthBook's hash version 2 does.

    The SDKs agree on ASCII and differ beyond it: those of JavaScript and Python hash UTF-16 units,
    each as a whole, and so do we, for most clients are of these two; Go hashes UTF-8 bytes.
    """
    return bucket_of(seed, value) / BUCKETS


def bucket_of(seed: str, value: str) -> int:
    """Find the bucket, from 0 to 9,999, in which a value falls under a seed."""
    return fnv32a(str(fnv32a(seed + value))) % BUCKETS


def ranges(weights: Sequence[int], traffic: int = BUCKETS) -> tuple[tuple[int, int], ...]:
    """Lay weights end to end from bucket 0, as half-open ranges, and take a share of each.

    Each range begins where it does with full traffic, so that more traffic only adds to it and
    never moves anybody from one arm to another. It is GrowthBook's `coverage`, in whole buckets.

    Args:
        weights: Whole buckets per arm. What they leave of the 10,000 belongs to no arm.
        traffic: The share of every range that is used, in buckets of 10,000, rounded down.

    Raises:
        ValueError: A weight is negative, together they exceed 10,000, or traffic is not between.
    """
    if any(weight < 0 for weight in weights) or sum(weights) > BUCKETS:
        raise ValueError(f"weights must be >= 0 and sum to at most {BUCKETS}, not {list(weights)}")
    if not 0 <= traffic <= BUCKETS:
        raise ValueError(f"traffic must be from 0 to {BUCKETS}, not {traffic}")
    laid: list[tuple[int, int]] = []
    start = 0
    for weight in weights:
        laid.append((start, start + weight * traffic // BUCKETS))
        start += weight
    return tuple(laid)


def choose(bucket: int, ranges: Iterable[tuple[int, int]]) -> int | None:
    """Find which range holds a bucket, or None when none does."""
    for index, (start, end) in enumerate(ranges):
        if start <= bucket < end:
            return index
    return None


def assign(seed: str, value: str, weights: Sequence[int], traffic: int = BUCKETS) -> int | None:
    """Draw an arm for a value: its index, or None when the value falls outside every arm."""
    return choose(bucket_of(seed, value), ranges(weights, traffic))


def quantise(probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
    """Turn probabilities into whole buckets that sum to exactly 10,000.

    What is possible stays possible: a positive probability gets at least one bucket and zero gets
    none. The other buckets are shared by largest remainder; equal remainders favour the earlier
    arm. The propensity to log is buckets / 10,000, because that is what the draw really gives.

    Args:
        probabilities: Shape (k,), summing to 1 within 1e-6 (single precision is enough).

    Raises:
        ValueError: They are no probabilities, or more than 10,000 of them are positive.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    # `not` around the whole, so that NaN fails it too.
    if p.ndim != 1 or not (p.min(initial=0.0) >= 0 and abs(p.sum() - 1) <= 1e-6):
        raise ValueError("expected one dimension of probabilities that sum to 1")
    share = p * (BUCKETS / p.sum())
    if share.min() >= 1:
        return _round(share, share.astype(np.int64))
    shared = p > 0
    if np.count_nonzero(shared) > BUCKETS:
        raise ValueError(f"at most {BUCKETS} arms can have a positive probability")

    buckets = shared.astype(np.int64)
    # Each round fixes the arms whose share is below one bucket at one; what they take from the
    # others can push another below one, hence the loop. At least one arm always stays above.
    while True:
        left = BUCKETS - int(buckets[~shared].sum())
        share = np.where(shared, p * (left / p[shared].sum()), 0.0)
        if not np.any(too_small := shared & (share < 1)):
            break
        shared &= ~too_small

    buckets[shared] = share[shared].astype(np.int64)
    return _round(np.where(shared, share, buckets - 1.0), buckets)


def quantise_many(probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
    """Do as `quantise` does for each row of probabilities, (n, k).

    Raises:
        ValueError: As `quantise` does.
    """
    share = probabilities * (BUCKETS / probabilities.sum(axis=-1, keepdims=True))
    buckets = share.astype(np.int64)
    missing = BUCKETS - buckets.sum(axis=-1, keepdims=True)
    order = np.argsort(buckets - share, axis=-1, kind="stable")
    rows = np.arange(len(share))[:, None]
    buckets[rows, order] += np.arange(share.shape[-1]) < missing
    # What has less than a bucket takes it from the others, and what is wrong is refused.
    for row in np.flatnonzero(~(share.min(axis=-1) >= 1)):
        buckets[row] = quantise(probabilities[row])
    return np.asarray(buckets)


def _round(share: NDArray[np.float64], buckets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give what is missing of the 10,000 to the largest remainders, the earlier of equal ones."""
    missing = BUCKETS - int(buckets.sum())
    buckets[np.argsort(buckets - share, kind="stable")[:missing]] += 1
    return buckets


def fnv32a(text: str) -> int:
    """Hash the UTF-16 units of a text, each as a whole, by 32-bit FNV-1a."""
    if text.isascii():  # as nearly every key is
        return fnv1a_32(text.encode())
    encoded = text.encode("utf-16-le", "surrogatepass")
    state = _FNV_OFFSET
    for low, high in zip(encoded[::2], encoded[1::2], strict=True):
        state = ((state ^ (low | high << 8)) * _FNV_PRIME) & 0xFFFFFFFF
    return state
