"""Works out what it does to looks that outcomes come in later than customers.

Looks are timed by customers: a boundary at half of them supposes half of the information. If
outcomes take days, there is less by then, z at an early look has less to do with z at the end, and
both have their own chance to go astray. That needs no simulation: the boundaries are those of the
customers, and the probability of crossing them is that at the true information.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from experiments.calibration.scenarios import DAYS
from experiments.stats.sequential import crossing_probabilities, find_boundaries

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
    boundaries = find_boundaries(list(looks / DAYS))
    for days in TAKING:
        # Of what somebody exposed a days ago will ever do, min(a / days, 1) is known.
        known = np.where(looks >= days, looks - days / 2, looks**2 / (2 * max(days, 1.0)))
        actual = [
            replace(boundary, fraction=float(fraction))
            for boundary, fraction in zip(boundaries, known / known[-1], strict=True)
        ]
        up, down = crossing_probabilities(actual, drift=0.0)
        yield Late(days, float(up.sum() + down.sum()))
