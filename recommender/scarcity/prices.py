"""Learns what scarce things are worth, so that they go where they earn most.

A campaign's budget, or a number of coupons, is to last for a planned time. First come, first served
gives it to whoever happens to come early. With a price λ for each unit, an offer that uses a units
is worth λ a less, and is given where it earns more than that: with the right prices that is as good
as knowing beforehand who will come, but for a part that vanishes as more people do.

The price is learned by dual mirror descent (Balseiro, Lu & Mirrokni 2020, "Dual Mirror Descent for
Online Allocation Problems"; 2023, "The Best of Many Worlds", Operations Research 71(1)), with the
square of the Euclidean norm as its mirror map. One step for each stretch of time is

    λ ← max(0, λ + RATE · s · part · (spent / allowed - 1)),

where `part` is the stretch as a part of the whole time, `allowed` what could be spent in it if the
rest lasted evenly until the end, and s puts the step into units of reward for a unit spent. Nothing
has to be known of how many will come, and it follows when other people do.
"""

from dataclasses import dataclass

import numpy as np

from recommender.arrays import FloatArray

# Spending twice what is allowed, for a tenth of the time, raises the price to where hardly anybody
# is worth it. A third of it finds the price late, ten times as much never rests
# (`benchmarks/budgets.py --rates`).
RATE = 10.0
# So many steps in the whole time, at most.
STEPS = 500
# After a pause, or while no worker ran, a step counts for no more than this part of the time.
LONGEST = 1 / 50
# What the keenest tenth would earn by a unit; nearly all is given to those at that price.
KEENEST = 0.9
LEAST = 1e-12


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was used up of something scarce in a part of its time.

    Attributes:
        total: How much there is for the whole time, above 0.
        used_before: What was used of it when the stretch began.
        used: What is used when it ends.
        over_before: Which part of the time was over when it began, in [0, 1).
        over: Which part is when it ends, greater than that.
    """

    total: float
    used_before: float
    used: float
    over_before: float
    over: float

    @property
    def part(self) -> float:
        """How much of the whole time it is."""
        return self.over - self.over_before

    @property
    def excess(self) -> float:
        """By how much more was used than allowed, as a part of what was allowed; at least -1."""
        left = max(self.total - self.used_before, 0.0)
        allowed = left * self.part / (1.0 - self.over_before)
        # Of what is all gone nothing more is used, whatever the price.
        return (self.used - self.used_before) / allowed - 1.0 if allowed > 0.0 else 0.0


def step_price(price: float, stretch: Stretch, *, unit_worth: float) -> float:
    """Return the price after a stretch.

    Args:
        price: During it, at least 0.
        stretch: What was used in it.
        unit_worth: What a unit earns at most or so, as of `find_unit_worth`: the step's size.
    """
    part = min(stretch.part, LONGEST)
    return max(price + RATE * unit_worth * part * stretch.excess, 0.0)


def find_unit_worth(worth: FloatArray, use: FloatArray) -> float:
    """Return what the keenest customers would earn by each unit more.

    It is what their best offer earns more than the best of those that use least, for each unit that
    it uses more; of those customers whose best offer uses more.

    Args:
        worth: What offers are expected to earn of a sample of customers, shape (n, K).
        use: What an offer uses when it is given, shape (K,), at least 0.

    Returns:
        0 where nobody's best offer uses more than it has to.
    """
    best = worth.argmax(axis=1)  # (n,)
    sparing = worth[:, use <= use.min()].max(axis=1)  # (n,)
    gain = worth[np.arange(len(worth)), best] - sparing
    more = use[best] - use.min()
    found = (more > 0.0) & (gain > LEAST * np.abs(sparing))
    if not found.any():
        return 0.0
    return float(np.quantile(gain[found] / more[found], KEENEST))
