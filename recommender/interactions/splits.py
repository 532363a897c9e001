"""Split histories into what may be learned from, what may be asked, and what came next."""

from dataclasses import dataclass
from typing import cast

import numpy as np

from recommender.arrays import BoolArray, IntArray
from recommender.interactions.histories import Histories


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """One way to hold what is recommended against what was then done.

    Attributes:
        learned: What rankers learn from.
        asked: What is known of the customers when they are asked about.
        answers: What the same customers did next.
        name: The protocol, in words that belong beside every number.
    """

    learned: Histories
    asked: Histories
    answers: Histories
    name: str


def leave_one_out(histories: Histories) -> Split:
    """Ask for everybody's last event; everything before it is learned from."""
    whole = histories.of_customers(np.flatnonzero(histories.lengths > 1))
    return Split(
        learned=histories.where(_not_last(histories)),
        asked=whole.without_last(1),
        answers=whole.newest(1),
        name="leave one out",
    )


def leave_two_out(histories: Histories) -> Split:
    """Ask for the last event as published comparisons do: the two last are not learned from.

    The last but one is for choosing settings only; it is in what is asked.
    """
    whole = histories.of_customers(np.flatnonzero(histories.lengths > 2))
    return Split(
        learned=whole.without_last(2),
        asked=whole.without_last(1),
        answers=whole.newest(1),
        name="leave two out",
    )


def validate_two_out(histories: Histories) -> Split:
    """Ask for the last event but one: what settings may be chosen by under `leave_two_out`."""
    whole = histories.of_customers(np.flatnonzero(histories.lengths > 2))
    return Split(
        learned=whole.without_last(2),
        asked=whole.without_last(2),
        answers=whole.without_last(1).newest(1),
        name="last but one",
    )


def split_at(histories: Histories, moment: float) -> Split:
    """Learn from all that happened before a moment, and ask for all that came from then on.

    It is what a site would have known on that day. Only customers who did something afterwards are
    asked about, newcomers among them, whose history is empty.

    Args:
        histories: With times.
        moment: In seconds, as the times are.

    Raises:
        ValueError: Nothing happened before, or nothing after.
    """
    before = histories.times < moment
    if before.all() or not before.any():
        raise ValueError("A moment must lie between events, with some before and some after.")
    earlier, later = histories.where(before), histories.where(~before)
    active = np.flatnonzero(later.lengths)
    return Split(
        learned=earlier,
        asked=earlier.of_customers(active),
        answers=later.of_customers(active),
        name="global time split",
    )


def by_amount(histories: Histories, edges: tuple[int, ...] = (0, 1, 3, 10)) -> dict[str, IntArray]:
    """Group customers by how much history they have: cold starts apart from regulars.

    Args:
        histories: What is known when they are asked about.
        edges: Where each group begins, in events.

    Returns:
        Customers' numbers by the group's name; groups without anybody are left out.
    """
    group = np.searchsorted(edges, histories.lengths, side="right") - 1
    names = [
        str(first) if first == last else f"{first} to {last}"
        for first, last in zip(edges, [edge - 1 for edge in edges[1:]], strict=False)
    ] + [f"{edges[-1]} or more"]
    groups = {name: np.flatnonzero(group == place) for place, name in enumerate(names)}
    return {name: customers for name, customers in groups.items() if len(customers)}


def _not_last(histories: Histories) -> BoolArray:
    """Mark every event but the last of whoever has more than one, shape (m,)."""
    alone = np.repeat(histories.lengths == 1, histories.lengths)
    return cast(BoolArray, (histories.ages > 0) | alone)
