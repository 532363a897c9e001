"""Keeps a share of all customers from every campaign: who they are, and what their decisions say.

It is a hold-out experiment, so that what all campaigns come to is measured like any other effect.
Each has a seed of its own, which makes it an epoch: when the next one begins, other customers are
held out, and the past ones stay to be analysed.
"""

from dataclasses import dataclass

from experiments.assigning.assignment import bucket_of, choose

# What decisions for held-out customers name as their arm; no campaign has one of this key.
ARM = "hold-out-of-all"
_BEGINNING = "hold-out of all campaigns: "


@dataclass(frozen=True, slots=True)
class RunningHoldout:
    """The epoch that runs.

    Attributes:
        experiment_id: The hold-out's.
        name: What people call it.
        seed: Its own salt.
        arms: The ids of its arms.
        ranges: The hash buckets of each, half-open.
        held_out: The id of the arm that gets nothing.
    """

    experiment_id: int
    name: str
    seed: str
    arms: tuple[int, ...]
    ranges: tuple[tuple[int, int], ...]
    held_out: int

    def place(self, customer_key: str) -> int | None:
        """Return the id of a newcomer's arm; None for customers whom the epoch leaves aside."""
        index = choose(bucket_of(self.seed, customer_key), self.ranges)
        return None if index is None else self.arms[index]

    @property
    def held_range(self) -> tuple[int, int]:
        """The buckets of those held out."""
        return self.ranges[self.arms.index(self.held_out)]

    @property
    def reason(self) -> str:
        """What is logged with the decision of a held-out customer."""
        return f"{_BEGINNING}{self.name}"


def epoch_in(reason: str) -> str | None:
    """Return the name of the epoch that a logged reason names; None of any other reason."""
    return reason.removeprefix(_BEGINNING) if reason.startswith(_BEGINNING) else None
