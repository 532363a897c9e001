"""Distil a learned policy into leaves: a small tree over attributes, grown greedily.

Customers of one leaf get the mean w̄ of the weights that the policy gives each of them. With m(x)
the posterior mean rewards and w(x) the policy's weights, treating a group of n customers alike
loses

    Σ (w(x) - w̄) · m(x) = Σ w(x) · m(x) - n w̄ · m̄

of the reward that the policy expects of itself. So what a split keeps is

    n_l w̄_l · m̄_l + n_r w̄_r · m̄_r - n w̄ · m̄,

for every cut at once from sums over groups of customers. Of all leaves, the one whose best split
keeps most is split next, until nothing worth a leaf is left. It is a regression tree (Breiman,
Friedman, Olshen & Stone 1984, ch. 8) with that gain in place of the squared error.
"""

import heapq
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from recommender.arrays import BoolArray, FloatArray, IntArray
from recommender.distilling.axes import Axis, axes_of
from recommender.weighing.leaves import Leaf, Leaves, Worth
from recommender.weighing.odds import Odds

MOST_LEAVES = 32
LEAST_CUSTOMERS = 50
# A split that keeps less of what is at stake than this is not worth a leaf.
LEAST_GAIN = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Parts customers along an axis: those of the marked groups, and the others.

    `gain` is the reward that it keeps, of all customers together.
    """

    axis: Axis
    marked: BoolArray
    gain: float


@dataclass(slots=True, eq=False)
class Node:
    """Some of the customers, by their numbers, and how to find them."""

    rows: IntArray
    condition: tuple[dict[str, Any], ...] = ()
    split: Split | None = None
    parts: "tuple[Node, Node] | None" = None
    id: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """A grown tree; its leaves are numbered from 0 on, left to right."""

    root: Node
    leaves: tuple[Node, ...]

    def place(self, x: FloatArray) -> IntArray:
        """Find the leaf of each encoded customer, (n, d) to (n,)."""
        places = np.zeros(len(x), dtype=np.int64)
        waiting = [(self.root, np.arange(len(x)))]
        while waiting:
            node, rows = waiting.pop()
            if node.split is None or node.parts is None:
                places[rows] = node.id
                continue
            inside = node.split.marked[node.split.axis.group(x[rows])]
            inner, outer = node.parts
            waiting += [(inner, rows[inside]), (outer, rows[~inside])]
        return places


def distil(
    odds: Odds, x: FloatArray, *, most: int = MOST_LEAVES, least: int = LEAST_CUSTOMERS
) -> Leaves:
    """Distil a policy into leaves, the same for the same customers.

    Args:
        odds: The policy; every offer counts as eligible.
        x: A sample of encoded customers, shape (n, d).
        most: How many leaves there may be.
        least: How many customers of the sample a leaf has, unless it is the only one.

    Raises:
        ValueError: There is no customer, or `x` does not fit the policy's features.
    """
    if x.ndim != 2 or len(x) == 0 or x.shape[1] != odds.features.size:
        raise ValueError(
            f"Expected customers of {odds.features.size} columns, not an array of {x.shape}."
        )
    weights = odds.weights_many(x, np.ones((len(x), len(odds.offers)), dtype=bool))  # (n, K)
    mean = odds.expect(x)  # (n, d) -> (n, K)
    tree = grow(axes_of(odds.features, x), weights, mean, most=most, least=least)
    leaves = tuple(
        Leaf(
            id=node.id,
            condition=_join(node),
            weights=_mean(weights[node.rows]),
            centre=tuple(x[node.rows].mean(axis=0).tolist()),
            size=len(node.rows),
        )
        for node in tree.leaves
    )
    by_leaf = np.array([leaf.weights for leaf in leaves])[tree.place(x)]  # (n, K)
    pooled = _mean(weights)
    worth = Worth(
        policy=float((weights * mean).sum(axis=1).mean()),
        leaves=float((by_leaf * mean).sum(axis=1).mean()),
        pooled=float((np.array(pooled) * mean).sum(axis=1).mean()),
    )
    return Leaves(odds.version, odds.offers, leaves, pooled, worth)


def grow(
    axes: tuple[Axis, ...], weights: FloatArray, mean: FloatArray, *, most: int, least: int
) -> Tree:
    """Grow a tree over customers that are laid along axes.

    Args:
        axes: Along which customers may be parted; each says where these customers lie.
        weights: What the policy gives each customer, shape (n, K).
        mean: What it expects each offer to earn, shape (n, K).
        most: How many leaves there may be.
        least: How many customers each has.
    """
    worth = _Worth(weights, mean, least)
    root = Node(np.arange(len(weights)))
    at_stake = float((weights * mean).sum()) - worth.of(root.rows)
    bar = LEAST_GAIN * at_stake
    # The number keeps equal gains in the order in which they were found.
    numbers = itertools.count()
    waiting: list[tuple[float, int, Node, Split]] = []

    def look_at(node: Node) -> None:
        split = worth.find_best(node.rows, axes)
        if split is not None and split.gain > max(bar, 0.0):
            heapq.heappush(waiting, (-split.gain, next(numbers), node, split))

    look_at(root)
    count = 1
    while waiting and count < most:
        _, _, node, split = heapq.heappop(waiting)
        node.split, node.parts = split, _part(node, split)
        count += 1
        for part in node.parts:
            look_at(part)
    leaves = _leaves_of(root)
    for number, leaf in enumerate(leaves):
        leaf.id = number
    return Tree(root, leaves)


@dataclass(frozen=True, slots=True, eq=False)
class _Worth:
    """What groups of customers are worth when they are treated alike."""

    weights: FloatArray  # (n, K)
    mean: FloatArray  # (n, K)
    least: int

    def of(self, rows: IntArray) -> float:
        """Say what these customers are worth if they all get the mean of their weights."""
        total = self.weights[rows].sum(axis=0) @ self.mean[rows].sum(axis=0)
        return float(total / len(rows))

    def find_best(self, rows: IntArray, axes: tuple[Axis, ...]) -> Split | None:
        """Find the split that keeps most; the first of equals, None if none is possible."""
        found = [split for axis in axes if (split := self._best_along(axis, rows)) is not None]
        return max(found, key=lambda split: split.gain, default=None)

    def _best_along(self, axis: Axis, rows: IntArray) -> Split | None:
        groups = axis.places[rows]
        is_of = (groups[:, None] == np.arange(axis.n_groups)).astype(np.float64)  # (n, G)
        count = is_of.sum(axis=0)  # (G,)
        weights, mean = is_of.T @ self.weights[rows], is_of.T @ self.mean[rows]  # (G, K)
        marked = axis.candidates(count, mean)  # (C, G)
        inner = marked @ count  # (C, G) @ (G,) -> (C,)
        outer = len(rows) - inner
        is_possible = (inner >= self.least) & (outer >= self.least)
        if not is_possible.any():
            return None
        marked, inner, outer = marked[is_possible], inner[is_possible], outer[is_possible]
        inner_worth = ((marked @ weights) * (marked @ mean)).sum(axis=1) / inner
        outer_worth = ((~marked @ weights) * (~marked @ mean)).sum(axis=1) / outer
        kept = inner_worth + outer_worth - self.of(rows)  # (C,)
        best = int(kept.argmax())
        return Split(axis, marked[best], float(kept[best]))


def _part(node: Node, split: Split) -> tuple[Node, Node]:
    inside = split.marked[split.axis.places[node.rows]]
    inner, outer = split.axis.conditions(split.marked)
    return (
        Node(node.rows[inside], (*node.condition, inner)),
        Node(node.rows[~inside], (*node.condition, outer)),
    )


def _leaves_of(node: Node) -> tuple[Node, ...]:
    if node.parts is None:
        return (node,)
    inner, outer = node.parts
    return (*_leaves_of(inner), *_leaves_of(outer))


def _join(node: Node) -> dict[str, Any]:
    """Write the way to a leaf as one condition."""
    match node.condition:
        case ():
            return {}
        case (only,):
            return only
        case several:
            return {"$and": list(several)}


def _mean(weights: FloatArray) -> tuple[float, ...]:
    """Return the mean of rows of weights, made to sum to 1."""
    mean = weights.mean(axis=0)
    return tuple((mean / mean.sum()).tolist())
