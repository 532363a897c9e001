"""Says how many customers an experiment needs, or what it can find with those it gets.

Everything goes through the drift: the expected z at the planned end. A rule of stopping asks for a
certain drift to find an effect with a certain probability (`find_drift`); the effect, the variance
per customer and the number of customers give the drift.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from experiments.stats.roots import find_root
from experiments.stats.sequential import (
    SPENDING,
    Boundary,
    Side,
    crossing_probabilities,
    find_boundaries,
)

FloatArray = NDArray[np.float64]

# An effect of a million standard deviations that is not found never will be.
_DOUBLINGS = 20
# Shares may leave [0, 1] by rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Outcome:
    """What customers yield without any treatment, and how that varies.

    Attributes:
        mean: Per customer; a share when the metric is one.
        variance: Between customers.
        kind: How the treatment's variance follows its mean: as p(1 - p) for a "share"; with the
            square of the mean for an "amount", which everybody spends more of; not at all when
            "fixed", as everybody gets the same on top.
        removed: Share of the variance that adjustment by earlier behaviour takes away, in [0, 1).
    """

    mean: float
    variance: float
    kind: Literal["share", "amount", "fixed"] = "fixed"
    removed: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no customers yield."""
        if not self.variance > 0:
            raise ValueError(f"a variance must be positive to plan with, not {self.variance}")
        if not 0 <= self.removed < 1:
            raise ValueError(f"the share removed must lie in [0, 1), not {self.removed}")

    @classmethod
    def of_share(cls, mean: float, *, removed: float = 0.0) -> "Outcome":
        """Describe a share of customers, such as those who buy."""
        return cls(mean, mean * (1 - mean), "share", removed)

    @classmethod
    def of(cls, values: FloatArray, *, removed: float = 0.0) -> "Outcome":
        """Describe the values of past customers, shape (n,)."""
        if np.isin(values, (0.0, 1.0)).all():
            return cls.of_share(float(values.mean()), removed=removed)
        kind: Literal["amount", "fixed"] = "amount" if values.min() >= 0 else "fixed"
        return cls(float(values.mean()), float(values.var(ddof=1)), kind, removed)

    def treated_variance(self, difference: float) -> float:
        """Return the variance in a treatment that moves the mean by a difference."""
        after = self.mean + difference
        if self.kind == "share":
            if not -_ROUNDING <= after <= 1 + _ROUNDING:
                raise ValueError(f"a share of {self.mean} cannot move by {difference}")
            return max(after * (1 - after), 0.0)
        return self.variance * (after / self.mean) ** 2 if self.kind == "amount" else self.variance


@dataclass(frozen=True, slots=True)
class Design:
    """How an experiment is split and decided.

    Attributes:
        weights: Of the arms, the control first, on any scale. Each treatment is compared with the
            control; the error is shared equally (Bonferroni), and power is that of the smallest.
        alpha: The error allowed in all.
        sides: 2 to look for benefit and harm, half of alpha each; 1 for benefit only.
        looks: Fractions of the planned size, increasing to 1. One is a fixed test; several are our
            group-sequential rule.
        benefit: How the error of a false benefit is spent over the looks, a key of `SPENDING`.
        harm: The same of a false harm.
        margin: None to look for a difference. Otherwise the loss that would still be accepted: what
            is shown is that the treatment is no worse by more than that. Always one-sided.
        scale: Whether effects and margin are shares of the control's mean or in the metric's unit.
    """

    weights: tuple[float, ...] = (1.0, 1.0)
    alpha: float = 0.05
    sides: Literal[1, 2] = 2
    looks: tuple[float, ...] = (1.0,)
    benefit: str = "obrien_fleming"
    harm: str = "pocock"
    margin: float | None = None
    scale: Literal["relative", "absolute"] = "relative"

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        if len(self.weights) < 2 or not min(self.weights) > 0:
            raise ValueError(f"need two arms or more with positive weights, not {self.weights}")
        if not self.looks or self.looks[-1] != 1.0:
            raise ValueError(f"the last look must be at 1, not in {self.looks}")
        if self.margin is not None and not self.margin > 0:
            raise ValueError(f"a margin must be positive, not {self.margin}")

    @property
    def comparisons(self) -> int:
        """How many treatments are compared with the control."""
        return len(self.weights) - 1

    @property
    def shares(self) -> tuple[float, float]:
        """Share of all customers in the control and in the smallest treatment."""
        total = sum(self.weights)
        return self.weights[0] / total, min(self.weights[1:]) / total

    @property
    def seeks_harm(self) -> bool:
        """Whether it also looks for a treatment that is worse."""
        return self.sides == 2 and self.margin is None

    def boundaries(self) -> list[Boundary]:
        """Return what z must reach at each look, upwards being good."""
        alpha = self.alpha / self.comparisons / (2 if self.seeks_harm else 1)
        return find_boundaries(
            self.looks,
            upper=Side(alpha, SPENDING[self.benefit]),
            lower=Side(alpha if self.seeks_harm else 0.0, SPENDING[self.harm]),
        )


def find_power(outcome: Outcome, design: Design, *, effect: float, customers: float) -> float:
    """Return the probability of finding an effect, in its own direction.

    Finding a difference the other way round is an error, and not counted.

    Args:
        outcome: Without treatment.
        design: How the experiment is decided.
        effect: Of every treatment, on the design's scale, positive for benefit.
        customers: In all arms together.
    """
    drift = _drift(outcome, design, effect) * math.sqrt(customers)
    up, down = crossing_probabilities(design.boundaries(), drift=drift)
    return float(down.sum() if drift < 0 and design.seeks_harm else up.sum())


def find_size(outcome: Outcome, design: Design, *, effect: float, power: float = 0.8) -> int:
    """Return how many customers, in all arms together, find an effect with a probability.

    Raises:
        ValueError: No number of customers does.
    """
    per_root = _drift(outcome, design, effect)
    if per_root == 0 or (per_root < 0 and not design.seeks_harm):
        raise ValueError(f"an effect of {effect} is not what this design looks for")
    needed = find_drift(design.boundaries(), power=power, is_benefit=per_root > 0)
    return math.ceil((needed / per_root) ** 2)


def find_effect(outcome: Outcome, design: Design, *, customers: float, power: float = 0.8) -> float:
    """Return the smallest benefit found with a probability: the minimum detectable effect.

    With a margin it is the true effect with which the treatment would be shown to be within it,
    and may be negative.

    Raises:
        ValueError: No rise, however large, is found with that probability.
    """
    needed = find_drift(design.boundaries(), power=power) / math.sqrt(customers)
    least = -(design.margin or 0.0)
    most = _least_too_large(outcome, design, needed)
    if most is None:
        raise ValueError(f"{customers:,.0f} customers are too few to find any rise")
    return find_root(lambda effect: _drift(outcome, design, effect) - needed, least, most)


def find_drift(boundaries: Sequence[Boundary], *, power: float, is_benefit: bool = True) -> float:
    """Return the expected z at the planned end with which a boundary is crossed with a probability.

    Args:
        boundaries: Of the looks, the last at fraction 1.
        power: The probability, more than the error allowed in that direction.
        is_benefit: Whether the upper boundary is meant; otherwise the lower, and the drift is that
            downwards, also positive.
    """
    last = boundaries[-1].upper if is_benefit else -boundaries[-1].lower

    def shortfall(drift: float) -> float:
        up, down = crossing_probabilities(boundaries, drift=drift if is_benefit else -drift)
        return power - float((up if is_benefit else down).sum())

    if not 0 < power < 1 or shortfall(0.0) <= 0:
        raise ValueError(f"power must lie between the error allowed and 1, not at {power}")
    # At this drift the last look alone would do, but for the few who crossed the other way before.
    enough = last + max(float(ndtri(power)), 0.0) + 1.0
    return find_root(shortfall, 0.0, enough, xtol=1e-10)


def find_inflation(design: Design, *, power: float = 0.8) -> float:
    """Return how many times the customers of a single final test the design's looks need."""
    fixed = replace(design, looks=(1.0,))
    drifts = [find_drift(one.boundaries(), power=power) for one in (design, fixed)]
    return (drifts[0] / drifts[1]) ** 2


def find_stops(outcome: Outcome, design: Design, *, effect: float, customers: float) -> FloatArray:
    """Return the probability of being over at each look, shape (looks,).

    An experiment that meets no boundary is over at the last.
    """
    drift = _drift(outcome, design, effect) * math.sqrt(customers)
    up, down = crossing_probabilities(design.boundaries(), drift=drift)
    stops = up + down
    stops[-1] = 1.0 - stops[:-1].sum()
    return stops


def find_expected_fraction(
    outcome: Outcome, design: Design, *, effect: float, customers: float
) -> float:
    """Return which part of the planned customers is expected to have come when it is over."""
    stops = find_stops(outcome, design, effect=effect, customers=customers)
    return float(stops @ np.array(design.looks))


def _drift(outcome: Outcome, design: Design, effect: float) -> float:
    """Return the expected z with a single customer; it grows with the root of their number.

    With m_c and m_t the means, z is m_t - m_c over its error. With a margin M it is
    m_t - m_c + M, or m_t - (1 - M) m_c where the margin is a share of the control's mean.
    """
    if design.scale == "relative" and not outcome.mean > 0:
        raise ValueError(f"a relative effect needs a mean above 0, not {outcome.mean}")
    unit = outcome.mean if design.scale == "relative" else 1.0
    margin = design.margin or 0.0
    of_control = 1.0 - margin if design.scale == "relative" else 1.0
    share_c, share_t = design.shares
    squared_error = (1 - outcome.removed) * (
        of_control**2 * outcome.variance / share_c
        + outcome.treated_variance(effect * unit) / share_t
    )
    return (effect + margin) * unit / math.sqrt(squared_error)


def _least_too_large(outcome: Outcome, design: Design, drift: float) -> float | None:
    """Return an effect with at least that drift per root customer; None where there is none."""
    unit = outcome.mean if design.scale == "relative" else 1.0
    if outcome.kind == "share":
        most = (1 - outcome.mean) / unit
        return most if _drift(outcome, design, most) >= drift else None
    effect = math.sqrt(outcome.variance) / abs(unit)
    for _ in range(_DOUBLINGS):
        if _drift(outcome, design, effect) >= drift:
            return effect
        effect *= 2
    return None
