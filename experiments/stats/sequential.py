"""Group-sequential boundaries: look as often as you like, and spend the error that you planned.

Lan & DeMets (1983): an error-spending function says how much of the false-positive rate may be
used by the time a fraction t of the planned information has come. At each look the boundary is
whatever makes the probability of a first crossing there equal to what may newly be spent. Looks
need be neither equally spaced nor planned, as long as their times do not depend on the results.

What is spent may follow one clock and what is known another (Lan & DeMets 1989): error is spent by
the customers that were planned, while looks hang together by the information there was. If outcomes
take weeks, an early look has less to do with a later one than their customers say.

Under no effect, the score S(t) = z(t)·sqrt(t) at information t is a Brownian motion. Its density
among those that have not crossed yet is carried from look to look by numerical integration
(Armitage, McPherson & Rowe 1969), on Gauss-Legendre nodes.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from experiments.stats.roots import find_root

FloatArray = NDArray[np.float64]
Spending = Callable[[float, float], float]

# Beyond this many standard deviations there is nothing left to integrate.
_FAR = 9.0
# Less error than this is not spent by itself.
_LEAST = 1e-13
# The range is cut into panels of so many standard deviations of the last step, each with its own
# Gauss-Legendre nodes: the density is as smooth as that step is long.
_PANEL_STEPS, _FEWEST_PANELS, _MOST_PANELS = 3.0, 8, 400
_UNIT_NODES, _UNIT_WEIGHTS = np.polynomial.legendre.leggauss(12)


def spend_obrien_fleming(t: float, alpha: float) -> float:
    """Spend late, in the manner of O'Brien & Fleming: 2 - 2·Φ(z(alpha/2) / sqrt(t)).

    Early looks need overwhelming evidence, and the last one costs hardly more than a single test.
    """
    return 2.0 * float(ndtr(ndtri(alpha / 2) / math.sqrt(t))) if t > 0 else 0.0


def spend_pocock(t: float, alpha: float) -> float:
    """Spend evenly, in the manner of Pocock: alpha·ln(1 + (e - 1)·t). Stops early when it can."""
    return alpha * math.log1p((math.e - 1) * t)


def spend_power(t: float, alpha: float, *, exponent: float = 2.0) -> float:
    """Spend alpha·t^exponent (Kim & DeMets 1987)."""
    return alpha * float(t**exponent)


SPENDING: dict[str, Spending] = {
    "obrien_fleming": spend_obrien_fleming,
    "pocock": spend_pocock,
    "power": spend_power,
}


@dataclass(frozen=True, slots=True)
class Side:
    """One boundary: how much error it may spend in all, and how; alpha 0 means no boundary."""

    alpha: float
    spending: Spending

    def spent_by(self, fraction: float) -> float:
        """Return the error that may be spent by a fraction of the planned information."""
        if self.alpha == 0.0:
            return 0.0
        return min(self.spending(min(fraction, 1.0), self.alpha), self.alpha)


# Benefit has to be proven; harm should be noticed early.
BENEFIT = Side(0.025, spend_obrien_fleming)
HARM = Side(0.025, spend_pocock)


@dataclass(frozen=True, slots=True)
class Boundary:
    """What z must reach at one look.

    Attributes:
        fraction: Of the planned information, at this look.
        upper: Reject upwards at z >= upper; infinite where nothing may be spent.
        lower: Reject downwards at z <= lower.
        upper_spent: Probability, under no effect, of having crossed upwards by now.
        lower_spent: The same downwards.
    """

    fraction: float
    upper: float
    lower: float
    upper_spent: float
    lower_spent: float


def find_boundaries(
    fractions: Sequence[float],
    *,
    upper: Side = BENEFIT,
    lower: Side = HARM,
    is_final: bool = False,
    information: Sequence[float] | None = None,
) -> list[Boundary]:
    """Find the boundary of every look so far.

    Args:
        fractions: Information at each look over the planned information, increasing, above 0. It
            may pass 1 (over-running): whatever was left is spent at the first look from there on.
        upper: The boundary upwards.
        lower: The boundary downwards.
        is_final: The last look is the last for good, even below 1 (under-running): it spends
            whatever is left.
        information: What was known at each look, in any unit, increasing, above 0, where that is
            not in proportion to the fractions.

    Raises:
        ValueError: Fractions or information do not increase, there are more of one than of the
            other, or a side's error is not in [0, 0.5).
    """
    known = fractions if information is None else information
    _check(fractions, known, upper, lower)
    boundaries: list[Boundary] = []
    density = _Density.at_start()
    for index, (fraction, t) in enumerate(zip(fractions, known, strict=True)):
        spends_all = is_final and index == len(fractions) - 1
        density = density.moved_to(t)
        high = density.find_upper(_newly(upper, density.crossed_up, fraction, spends_all))
        low = density.find_lower(_newly(lower, density.crossed_down, fraction, spends_all))
        density = density.cut(low=low, high=high)
        root = math.sqrt(t)
        boundaries.append(
            Boundary(fraction, high / root, low / root, density.crossed_up, density.crossed_down)
        )
    return boundaries


def crossing_probabilities(
    boundaries: Sequence[Boundary], *, drift: float
) -> tuple[FloatArray, FloatArray]:
    """Return the probabilities of crossing first at each look, upwards and downwards.

    Args:
        boundaries: The looks.
        drift: Expected z at fraction 1: the true effect over its standard error then.
    """
    up, down = np.zeros(len(boundaries)), np.zeros(len(boundaries))
    density = _Density.at_start(drift=drift)
    for index, boundary in enumerate(boundaries):
        root = math.sqrt(boundary.fraction)
        before = density
        density = density.moved_to(boundary.fraction).cut(
            low=boundary.lower * root, high=boundary.upper * root
        )
        up[index] = density.crossed_up - before.crossed_up
        down[index] = density.crossed_down - before.crossed_down
    return up, down


def repeated_interval(
    estimate: float, standard_error: float, boundary: Boundary
) -> tuple[float, float]:
    """Return the interval that agrees with the decision at a look, whenever it is looked at.

    Jennison & Turnbull (1989): it leaves out zero exactly when z has crossed a boundary, and over
    all looks together it covers the truth with the planned confidence.
    """
    low = estimate - boundary.upper * standard_error
    return low, estimate - boundary.lower * standard_error


def _check(
    fractions: Sequence[float], information: Sequence[float], upper: Side, lower: Side
) -> None:
    for clock in (fractions, information):
        if any(not later > earlier for earlier, later in zip([0.0, *clock], clock, strict=False)):
            raise ValueError(f"information must increase from look to look, not {list(clock)}")
    for side in (upper, lower):
        if not 0.0 <= side.alpha < 0.5:
            raise ValueError(f"a side's error must lie in [0, 0.5), not {side.alpha}")


def _newly(side: Side, spent: float, fraction: float, spends_all: bool) -> float:  # noqa: FBT001
    """Return the error that may be spent at this look."""
    allowed = side.alpha if spends_all else side.spent_by(fraction)
    return max(allowed - spent, 0.0)


@dataclass(frozen=True, slots=True)
class _Density:
    """Where the score is at time t, among those that have crossed nothing before.

    Before the cut at t the density is that of a step from `nodes`; `mass` is the density at the
    nodes times their quadrature weights, shape (m,).
    """

    t: float
    previous_t: float
    nodes: FloatArray
    mass: FloatArray
    drift: float
    crossed_up: float = 0.0
    crossed_down: float = 0.0

    @classmethod
    def at_start(cls, *, drift: float = 0.0) -> "_Density":
        return cls(0.0, 0.0, np.zeros(1), np.ones(1), drift)

    def moved_to(self, t: float) -> "_Density":
        return _Density(
            t, self.t, self.nodes, self.mass, self.drift, self.crossed_up, self.crossed_down
        )

    @property
    def step(self) -> float:
        """Standard deviation of the step from the last look to this one."""
        return math.sqrt(self.t - self.previous_t)

    @property
    def means(self) -> FloatArray:
        """Where a score at each node is expected at t, shape (m,)."""
        return self.nodes + self.drift * (self.t - self.previous_t)

    def above(self, s: float) -> float:
        """Probability of crossing nothing before and being above s at t."""
        return float(self.mass @ ndtr((self.means - s) / self.step))

    def below(self, s: float) -> float:
        """Probability of crossing nothing before and being below s at t."""
        return float(self.mass @ ndtr((s - self.means) / self.step))

    def find_upper(self, newly: float) -> float:
        """Find the score above which just this much lies."""
        return self._find(self.above, newly, sign=1)

    def find_lower(self, newly: float) -> float:
        """Find the score below which just this much lies."""
        return self._find(self.below, newly, sign=-1)

    def _find(self, tail: Callable[[float], float], newly: float, *, sign: int) -> float:
        far = sign * _FAR * math.sqrt(self.t)
        # What is too little to place a boundary by is left for the next look.
        if newly <= max(tail(far), _LEAST):
            return sign * math.inf
        return find_root(lambda s: tail(s) - newly, -far, far, xtol=1e-12, rtol=1e-14)

    def cut(self, *, low: float, high: float) -> "_Density":
        """Take away what crosses at t, and carry on with the rest."""
        reach = _FAR * math.sqrt(self.t)
        centre = self.drift * self.t
        left, right = max(low, centre - reach), min(high, centre + reach)
        panels = (right - left) / (_PANEL_STEPS * self.step)
        edges = np.linspace(
            left, right, int(np.clip(math.ceil(panels), _FEWEST_PANELS, _MOST_PANELS)) + 1
        )
        half = np.diff(edges)[:, None] / 2  # (panels, 1)
        nodes = (edges[:-1, None] + half * (_UNIT_NODES + 1.0)).ravel()  # (panels * 12,)
        weights = (half * _UNIT_WEIGHTS).ravel()
        distance = (nodes[:, None] - self.means) / self.step  # (nodes, m)
        kernel = np.exp(-0.5 * distance**2) / (self.step * math.sqrt(2 * math.pi))
        return _Density(
            self.t,
            self.t,
            nodes,
            weights * (kernel @ self.mass),
            self.drift,
            self.crossed_up + (self.above(high) if high < math.inf else 0.0),
            self.crossed_down + (self.below(low) if low > -math.inf else 0.0),
        )
