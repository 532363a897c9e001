"""Hold a policy as a small table: which customers fall into which leaf, and what a leaf weighs.

A client that evaluates conditions by itself cannot integrate a posterior. It can find the one leaf
whose condition a customer meets, and draw an offer by that leaf's weights. `distilling/` makes
such a table of what a policy has learned.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from audience.conditions import matches

# Weights are means of many, so their sum is 1 but for rounding.
TOLERANCE = 1e-9


class Leaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Customers who are treated alike.

    Attributes:
        id: From 0 on; the leaf's place in the table.
        condition: On attributes; a customer meets that of exactly one leaf.
        weights: Of the offers, in the table's order, positive, summing to 1.
        centre: The mean of these customers' encoded features, shape (d,).
        size: How many of them the table was made from.
    """

    id: int
    condition: dict[str, Any]
    weights: tuple[float, ...]
    centre: tuple[float, ...]
    size: int


class Worth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rewards for each decision that the policy expects of itself, by its posterior means.

    Attributes:
        policy: If every customer is weighed by the policy itself.
        leaves: If everybody gets the weights of their leaf.
        pooled: If everybody gets the same weights, the mean of all.
    """

    policy: float
    leaves: float
    pooled: float

    @property
    def kept(self) -> float:
        """The share that the leaves keep of what it is worth to tell customers apart."""
        at_stake = self.policy - self.pooled
        return 1.0 if at_stake <= 0 else (self.leaves - self.pooled) / at_stake


class Leaves(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A version of a policy as leaves.

    Attributes:
        version: Of the policy.
        offers: Offer keys, K of them, in the order of all weights.
        leaves: All of them, each at the place that is its id.
        pooled: Everybody's mean weights, for who cannot tell customers apart.
        worth: What the table is worth beside the policy.
    """

    version: int
    offers: tuple[str, ...]
    leaves: tuple[Leaf, ...]
    pooled: tuple[float, ...]
    worth: Worth

    def __post_init__(self) -> None:
        """Check what is drawn by.

        Raises:
            ValueError: A leaf is not at its place, or weights are no shares of these offers.
        """
        if not self.leaves or [leaf.id for leaf in self.leaves] != list(range(len(self.leaves))):
            raise ValueError("Leaves must be numbered from 0 on, in their order.")
        for weights in (self.pooled, *(leaf.weights for leaf in self.leaves)):
            is_sound = len(weights) == len(self.offers) and min(weights, default=0.0) > 0
            if not is_sound or abs(sum(weights) - 1) > TOLERANCE:
                raise ValueError(f"Each offer needs a positive share of 1, not {weights}.")

    def find(self, attributes: Mapping[str, Any]) -> Leaf:
        """Find the leaf that a customer falls into.

        Raises:
            ValueError: None has these attributes, which only a damaged table can say.
        """
        found = next((leaf for leaf in self.leaves if matches(leaf.condition, attributes)), None)
        if found is None:
            raise ValueError("No leaf of this table holds these attributes.")
        return found

    def to_json(self) -> dict[str, Any]:
        """Write the table as plain JSON."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document

    @classmethod
    def from_json(cls, value: object) -> "Leaves":
        """Read what `to_json` wrote.

        Raises:
            ValueError: The JSON means no table.
        """
        try:
            return msgspec.convert(value, cls)
        except msgspec.ValidationError as error:
            raise ValueError(f"These leaves are damaged: {error}.") from error


def share_among(weights: Sequence[float], eligible: Sequence[bool]) -> list[float]:
    """Share out, in proportion, what belongs to offers that may not be shown.

    Whoever draws by fewer offers than the table has draws by these: no eligible offer loses.

    Args:
        weights: One for each offer.
        eligible: Which of them may be shown.

    Returns:
        Shares that sum to 1, 0 where not eligible; all 0 where none is.
    """
    left = sum(weight for weight, may_be in zip(weights, eligible, strict=True) if may_be)
    return [
        weight / left if may_be else 0.0 for weight, may_be in zip(weights, eligible, strict=True)
    ]
