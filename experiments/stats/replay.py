"""Tries out a design on past customers: how often would it have found an effect put there?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr

from experiments.stats.joint import add_up
from experiments.stats.power import Design, Outcome

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of one treatment in many replays.

    Attributes:
        power: Share of replays in which the effect was found, in its own direction.
        error: Share in which the opposite was found.
        standard_error: Of the power, by the number of replays.
        expected_fraction: Part of the planned customers that had come when it was over, on average.
    """

    power: float
    error: float
    standard_error: float
    expected_fraction: float


def simulate_power(
    values: FloatArray,
    design: Design,
    *,
    effect: float,
    customers: int,
    rng: np.random.Generator,
    runs: int = 1000,
) -> Replayed:
    """Draw customers from history, treat some, and stop by the design's own rule, many times.

    The treatment gets the design's smallest share. It multiplies amounts, adds to values that may
    be negative, and of yes or no turns some customers round. At each look the means are compared
    by Welch's test and its p-value, as a normal deviate, with the boundary. Nothing is assumed
    about how values are distributed, only that future customers are like these.

    Args:
        values: Of past customers, one each, shape (n,).
        design: How the experiment is decided.
        effect: On the design's scale.
        customers: Planned, in all arms together.
        rng: Source of randomness.
        runs: Number of replays.
    """
    outcome = Outcome.of(values)
    difference = effect * (outcome.mean if design.scale == "relative" else 1.0)
    boundaries = design.boundaries()
    upper = np.array([boundary.upper for boundary in boundaries])
    lower = np.array([boundary.lower for boundary in boundaries])
    sizes = [_sizes(design.looks, share * customers) for share in design.shares]
    found = np.zeros(2)
    fractions = np.empty(runs)
    for run in range(runs):
        control = rng.choice(values, sizes[0][-1])
        treated = _treat(rng.choice(values, sizes[1][-1]), outcome, difference, rng)
        z = _z_at_looks(control, treated, sizes, design=design)
        crossed = (z >= upper) | (z <= lower)
        first = int(crossed.argmax()) if crossed.any() else len(z) - 1
        found += z[first] >= upper[first], z[first] <= lower[first]
        fractions[run] = design.looks[first]
    up, down = found / runs
    power, error = (down, up) if effect < 0 and design.seeks_harm else (up, down)
    return Replayed(
        power=float(power),
        error=float(error),
        standard_error=math.sqrt(power * (1 - power) / runs),
        expected_fraction=float(fractions.mean()),
    )


def _sizes(looks: Sequence[float], customers: float) -> NDArray[np.int64]:
    return np.maximum(np.rint(np.array(looks) * customers).astype(np.int64), 2)


def _treat(
    values: FloatArray, outcome: Outcome, difference: float, rng: np.random.Generator
) -> FloatArray:
    """Move the mean of values by a difference, in expectation."""
    if outcome.kind == "fixed":
        return values + difference
    if outcome.kind == "amount":
        return values * (1 + difference / outcome.mean)
    chances = rng.random(len(values))
    if difference < 0:
        return values * (chances * outcome.mean >= -difference)
    # So many of those who said no must say yes.
    return np.maximum(values, chances * (1 - outcome.mean) < difference)


def _z_at_looks(
    control: FloatArray, treated: FloatArray, sizes: list[NDArray[np.int64]], *, design: Design
) -> FloatArray:
    """Return the normal deviate with Welch's p-value at each look, shape (looks,)."""
    of_control = 1.0 if design.margin is None or design.scale == "absolute" else 1.0 - design.margin
    shift = design.margin if design.margin is not None and design.scale == "absolute" else 0.0
    (m_c, e_c), (m_t, e_t) = (
        _mean_and_error(values, size)
        for values, size in zip((control, treated), sizes, strict=True)
    )
    squared_error, df = add_up(
        np.stack([of_control**2 * e_c, e_t]), np.stack(sizes).astype(np.float64) - 1.0
    )
    varies = squared_error > 0
    safe = np.where(varies, squared_error, 1.0)
    t = np.where(varies, (m_t - of_control * m_c + shift) / np.sqrt(safe), 0.0)
    return np.asarray(-np.sign(t) * ndtri(stdtr(df, -np.abs(t))))


def _mean_and_error(values: FloatArray, sizes: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    """Return the mean of the first so many values and its squared error, for each size."""
    sums = np.cumsum(values)[sizes - 1]
    # Around the last mean, so that a small variance survives the subtraction.
    centre = float(sums[-1]) / len(values)
    squares = np.cumsum((values - centre) ** 2)[sizes - 1]
    means = sums / sizes
    scatter = np.maximum(squares - sizes * (means - centre) ** 2, 0.0)
    return means, scatter / (sizes - 1) / sizes
