"""Rank a customer's candidates anew by the last events of the session, in microseconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np

from recommender.arrays import FloatArray, IntArray, SparseArray
from recommender.artifacts import AnyArray, pack_any, unpack_any
from recommender.rankers.sparse_rows import strongest

KIND = "followers"
# Of each item; what follows more rarely moves nothing up.
FOLLOWERS = 50
# Of the session's newest events; older ones are in the candidates' own scores.
EVENTS = 10
DECAY = 0.65


class Facts(msgspec.Struct, forbid_unknown_fields=True):
    """What is known of the table besides its arrays: the items' keys, in order of numbers."""

    items: list[str]


@dataclass(frozen=True, eq=False)
class Followers:
    """What follows each item, as the web keeps it in memory.

    Attributes:
        starts: Where each item's row begins, shape (n_items + 1,).
        items: Followers, rising in each row.
        weights: How surely each follows.
        keys: The items' keys, in the order of their numbers.
    """

    starts: IntArray
    items: IntArray
    weights: FloatArray
    keys: tuple[str, ...]

    @classmethod
    def of(cls, leads: SparseArray, keys: Sequence[str]) -> "Followers":
        """Keep the strongest followers of each item."""
        kept = strongest(leads, FOLLOWERS)
        kept.sort_indices()
        return cls(
            starts=kept.indptr.astype(np.int64),
            items=kept.indices.astype(np.int64),
            weights=kept.data.astype(np.float64),
            keys=tuple(keys),
        )

    @cached_property
    def numbers(self) -> Mapping[str, int]:
        """The items' numbers by their keys."""
        return {key: number for number, key in enumerate(self.keys)}

    def follow(self, session: Sequence[int]) -> IntArray:
        """Return all that follows the session's newest events, each once."""
        rows = [self.items[self.starts[item] : self.starts[item + 1]] for item in session[-EVENTS:]]
        return np.unique(np.concatenate([np.empty(0, np.int64), *rows]))

    def rescore(
        self, candidates: IntArray, scores: FloatArray, session: Sequence[int], *, strength: float
    ) -> FloatArray:
        """Score candidates anew, by how surely they follow the session's events too.

        A candidate gets its score, as a part of the highest, and `strength` times the sum of what
        leads to it from each event, the newest in full and each one before it `DECAY` of the next.

        Args:
            candidates: Numbers of items, shape (c,).
            scores: From the published list, at least 0, shape (c,).
            session: What happened so far, oldest first; unknown items are not in it.
            strength: How much the session counts beside the list; 0 is not at all.

        Returns:
            Of each candidate, at least 0, shape (c,).
        """
        order = np.argsort(candidates, kind="stable")
        ranked = candidates[order]
        lead = np.zeros(len(candidates))
        for age, item in enumerate(reversed(session[-EVENTS:])):
            row = slice(self.starts[item], self.starts[item + 1])
            places = np.searchsorted(ranked, self.items[row])
            places[places == len(ranked)] = 0
            known = ranked[places] == self.items[row]
            lead[order[places[known]]] += DECAY**age * self.weights[row][known]
        total: FloatArray = scores / max(float(scores.max(initial=0.0)), 1e-12) + strength * lead
        return total

    def to_bytes(self) -> bytes:
        """Write the table as a safetensors blob."""
        arrays: dict[str, AnyArray] = {
            "starts": self.starts,
            "items": self.items,
            "weights": self.weights,
        }
        return pack_any(arrays, kind=KIND, facts=Facts(list(self.keys)))

    @classmethod
    def from_bytes(cls, blob: bytes) -> "Followers":
        """Read what `to_bytes` wrote.

        Raises:
            ValueError: The blob is damaged or holds something else.
        """
        arrays, facts = unpack_any(blob, kind=KIND, facts=Facts)
        try:
            keys = tuple(facts.items)
            return cls(arrays["starts"], arrays["items"], arrays["weights"], keys)
        except KeyError as error:
            raise ValueError(f"This table of followers lacks the array {error}.") from error
