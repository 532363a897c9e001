"""Say why a product comes first in a customer's list, as parts of what its score is owed to."""

from collections.abc import Mapping, Sequence
from typing import Literal, cast

import msgspec

from recommender.interactions.histories import Histories
from recommender.rankers.base import Attribution, Ranker

# So many reasons are kept, the weightiest.
KEPT = 8
# What weighs less than this part of all is not worth a word.
LEAST = 0.02

Kind = Literal["met", "said", "price", "itself"]


class Reason(msgspec.Struct, frozen=True):
    """One part of what a score is owed to.

    Attributes:
        kind: Whether the customer met something, something is said of the product, it has its
            price, or it is what it is.
        name: The key of what was met, or what is said.
        share: Its part of all parts, below 0 where it speaks against the product; all parts
            without their signs add up to 1.
    """

    kind: Kind
    name: str
    share: float


def find_reasons(
    ranker: Ranker, history: Histories, item: int, *, keys: Sequence[str], words: Sequence[str]
) -> list[Reason]:
    """Return why a ranker lists an item after one history, the weightiest first.

    Args:
        ranker: It has learned.
        history: Of one customer.
        item: The number of the item.
        keys: What items are called.
        words: What the words that are said of items are.
    """
    met = history.items.tolist()
    found = ranker.attribute(met, item, n_items=history.n_items)
    owed = _name(found, [keys[each] for each in met], words)
    total = sum(abs(value) for value in owed.values())
    if not total:
        return []
    reasons = [
        Reason(kind, name, round(value / total, 4))
        for (kind, name), value in owed.items()
        if abs(value) >= LEAST * total
    ]
    return sorted(reasons, key=lambda each: -abs(each.share))[:KEPT]


def _name(
    found: Attribution, met: list[str], words: Sequence[str]
) -> Mapping[tuple[Kind, str], float]:
    """Add up what is owed to the same product, and give everything its name."""
    owed: dict[tuple[Kind, str], float] = {("price", ""): found.price, ("itself", ""): found.own}
    for key, value in zip(met, found.events.tolist(), strict=True):
        owed["met", key] = owed.get(("met", key), 0.0) + value
    for word, value in found.words.items():
        owed["said", words[word]] = value
    return owed


def to_json(reasons: list[Reason]) -> list[dict[str, object]]:
    """Return reasons as they are stored."""
    return cast(list[dict[str, object]], msgspec.to_builtins(reasons))


def read_reasons(stored: object) -> list[Reason]:
    """Read what was stored; nothing where nothing was."""
    return msgspec.convert(stored or [], list[Reason])
