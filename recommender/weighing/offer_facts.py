"""Turn what is known of offers before anybody sees them into the columns that policies learn by.

A fact is a number (`discount: 20`) or some words (`kind: free shipping`). Offers that are alike in
these are expected to do alike (`bandits/hybrid.py`).
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from recommender.arrays import FloatArray

Fact = float | str
Facts = Mapping[str, Fact]

MOST_FACTS = 12  # of one offer
MOST_LETTERS = 60
# Of all offers of a policy; learning takes time in the third power of these and of customers'.
MOST_COLUMNS = 16
# What fewer offers have in common could be anything.
LEAST_OFFERS = 4
FURTHEST = 3.0  # standard deviations; one odd price must not say all there is to say
UNSAID, ALONE = "", None


class FactEffect(msgspec.Struct, frozen=True):
    """What a fact is found to change in the expected reward of the average customer.

    Attributes:
        fact: Its name.
        says: From which number to which, or which words, which are held against the average offer.
        effect: The change, in units of reward.
        low: Where its 95% interval begins.
        high: Where that ends.
    """

    fact: str
    says: str
    effect: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class Contrast:
    """Two offers that differ in one fact, by the difference of their columns, shape (q,)."""

    fact: str
    says: str
    along: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class FactColumns:
    """The facts of a policy's offers as numbers.

    Attributes:
        z: Columns that are 0 for the average offer, shape (K, q); over the offers that say
            anything, the mean of a row's squared length is 1. No columns where facts tell nothing.
        contrasts: The differences that people may ask about.
    """

    z: FloatArray
    contrasts: tuple[Contrast, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """The columns of one fact, (K, c), and differences along them, each (c,)."""

    fact: str
    columns: FloatArray
    differences: tuple[tuple[str, FloatArray], ...]


def check_facts(value: object) -> dict[str, Fact]:
    """Return facts as they are stored.

    Raises:
        ValueError: They are no names with numbers or words; the message suits a form.
    """
    if not isinstance(value, Mapping):
        raise ValueError("Write facts as names with a number or some words each.")
    if len(value) > MOST_FACTS:
        raise ValueError(f"Write {MOST_FACTS} facts at most, not {len(value)}.")
    names = [name.casefold() for name in value if isinstance(name, str)]
    if len(names) < len(value) or not all(0 < len(name) <= MOST_LETTERS for name in names):
        raise ValueError(f"A fact needs a name of 1 to {MOST_LETTERS} letters.")
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise ValueError(f"“{twice[0]}” is said twice.")
    return {name: _check_fact(name, fact) for name, fact in value.items()}


def _check_fact(name: str, fact: object) -> Fact:
    if isinstance(fact, str):
        if not 0 < len(fact.strip()) <= MOST_LETTERS:
            raise ValueError(f"“{name}” needs a number, or words of 1 to {MOST_LETTERS} letters.")
        return fact.strip()
    if isinstance(fact, bool) or not isinstance(fact, int | float) or not abs(fact) < 1e15:
        raise ValueError(f"“{name}” needs a number or some words, not {fact!r}.")
    return float(fact) + 0.0  # never a negative zero


def encode_facts(facts: Sequence[Facts]) -> FactColumns:
    """Write the facts of a policy's offers as columns; the same whatever the order of offers.

    Numbers are counted in standard deviations, and one that is not said is the average. Each of
    some words has a column; not to say anything is one more of them, but words that only one offer
    has are not, because they tell nothing of others. All facts weigh the same. An offer without any
    fact, such as nothing, stands where the average offer does.

    Args:
        facts: Of each offer, K of them.
    """
    known = [{name.casefold(): fact for name, fact in each.items()} for each in facts]
    telling = np.array([bool(each) for each in known])
    parts: list[_Part] = []
    if telling.sum() >= LEAST_OFFERS:
        said = Counter(name for each in known for name in each)
        for name in sorted(said, key=lambda name: (-said[name], name)):
            room = MOST_COLUMNS - sum(part.columns.shape[1] for part in parts)
            part = _encode(name, [each.get(name) for each in known], telling, room=room)
            if part is not None:
                parts.append(part)
    return _join(parts, len(facts))


def _encode(
    name: str, values: Sequence[Fact | None], telling: np.ndarray, *, room: int
) -> _Part | None:
    """Write one fact of all offers as at most so many columns; None if it tells nothing."""
    if room < 1:
        return None
    if any(isinstance(value, str) for value in values):
        columns, differences = _encode_words(values, telling, room=room)
    else:
        columns, differences = _encode_numbers(
            np.array([np.nan if value is None else value for value in values], dtype=np.float64)
        )
    size = float((columns**2).sum() / telling.sum())
    if size <= 1e-12:
        return None
    scale = 1.0 / math.sqrt(size)
    return _Part(name, scale * columns, tuple((says, scale * way) for says, way in differences))


def _encode_numbers(values: FloatArray) -> tuple[FloatArray, list[tuple[str, FloatArray]]]:
    is_said = np.isfinite(values)
    said = values[is_said]
    low, high = float(said.min()) + 0.0, float(said.max()) + 0.0
    if low == high:
        return np.zeros((len(values), 0)), []
    # Sorted, so that the last bits do not depend on the order of offers.
    middle, spread = float(np.sort(said).mean()), float(np.sort(said).std())
    ends = np.clip((np.array([low, high]) - middle) / spread, -FURTHEST, FURTHEST)
    column = np.clip((np.where(is_said, values, middle) - middle) / spread, -FURTHEST, FURTHEST)
    return column[:, None], [(f"{low:g} → {high:g}", ends[1:] - ends[:1])]


def _encode_words(
    values: Sequence[Fact | None], telling: np.ndarray, *, room: int
) -> tuple[FloatArray, list[tuple[str, FloatArray]]]:
    words = [UNSAID if value is None else _word(value) for value in values]
    count = Counter(word for word in words if word != UNSAID)
    shared = sorted((word for word in count if count[word] > 1), key=lambda w: (-count[w], w))
    kept = sorted(shared[:room])
    marks = np.array([[float(word == each) for each in kept] for word in words])
    marks = marks.reshape(len(words), len(kept))
    # Neither what nobody else says nor an offer of which nothing is known pulls the average.
    counted = telling & np.array([word == UNSAID or word in kept for word in words])
    if not counted.any() or not kept:
        return np.zeros((len(words), 0)), []
    centre = marks[counted].mean(axis=0)
    columns = np.where(counted[:, None], marks - centre, 0.0)
    ways = np.eye(len(kept)) - centre
    return columns, [(word, way) for word, way in zip(kept, ways, strict=True)]


def _word(value: Fact) -> str:
    return value.casefold() if isinstance(value, str) else f"{value + 0.0:g}"


def _join(parts: Sequence[_Part], n_offers: int) -> FactColumns:
    """Set the columns of all facts side by side, each fact with the same weight."""
    widths = [part.columns.shape[1] for part in parts]
    z, scale = np.zeros((n_offers, sum(widths))), 1.0 / math.sqrt(max(len(parts), 1))
    contrasts: list[Contrast] = []
    first = 0
    for part, width in zip(parts, widths, strict=True):
        here = slice(first, first + width)
        z[:, here] = scale * part.columns
        for says, way in part.differences:
            along = np.zeros(z.shape[1])
            along[here] = scale * way
            contrasts.append(Contrast(part.fact, says, along))
        first += width
    return FactColumns(z, tuple(contrasts))
