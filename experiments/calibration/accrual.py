"""Works out what it does to looks that outcomes come in later than customers.

Looks are timed by customers: at half of them half of the error may be spent. If outcomes take days,
less than half of the information is there by then, and z at an early look has less to do with z at
the end. Both have their own chance to go astray, and boundaries have to allow for it. That needs no
simulation: boundaries are found from what was known at each look, and the probability of crossing
them is that at the true information. Boundaries that took customers for information would err in
6.5 of 100 experiments if outcomes took 14 days.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from experiments.calibration.rules import CONFIDENCE
from experiments.calibration.scenarios import DAYS
from experiments.looks import take_look
from experiments.stats.sequential import crossing_probabilities

# Days that outcomes take at most, any time up to that being as likely.
TAKING = (0.0, 1.0, 3.0, 7.0, 14.0)
MOST_ERROR = 0.055


@dataclass(frozen=True, slots=True)
class Late:
    """The default rule's false positives when outcomes take a time.

    Attributes:
        days: They take at most so many, while customers come in for `DAYS`.
        error: False positives in all.
    """

    days: float
    error: float

    @property
    def is_kept(self) -> bool:
        """Whether the error is what was promised, but for half a percent."""
        return self.error <= MOST_ERROR


def find_late_errors() -> Iterator[Late]:
    """Find the default rule's false positives for every delay, with a look after each day."""
    looks = np.arange(1, DAYS + 1)
    fractions = [float(look) / DAYS for look in looks]
    for days in TAKING:
        # Of what somebody exposed a days ago will ever do, min(a / days, 1) is known.
        known = np.where(looks >= days, looks - days / 2, looks**2 / (2 * max(days, 1.0)))
        information = [float(value) for value in known / known[-1]]
        boundaries = []
        for index, fraction in enumerate(fractions):
            look = take_look(
                fraction,
                fractions[:index],
                comparisons=1,
                confidence=CONFIDENCE,
                information=information[: index + 1],
            )
            assert look is not None
            boundaries.append(replace(look.boundary, fraction=information[index]))
        up, down = crossing_probabilities(boundaries, drift=0.0)
        yield Late(days, float(up.sum() + down.sum()))
