"""Compares our rules of looks with those of other products, on the same simulated paths.

What a rule makes of an experiment depends on z at its looks alone. Under an effect, z at a part t
of the planned customers is normal around drift sqrt(t), and S(t) = z sqrt(t) has independent steps.
Each rule below is where z must go at each look; sources are the products' public code and
documentation, as they ship.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from experiments.looks import take_look
from experiments.plan import Monitoring
from experiments.stats.confidence_sequence import ConfidenceSequence
from experiments.stats.sequential import (
    Side,
    find_boundaries,
    spend_obrien_fleming,
    spend_pocock,
    spend_power,
)

FloatArray = NDArray[np.float64]

ALPHA = 0.05
LOOKS = 28
CUSTOMERS = 100_000
# Expected z at the end of an effect that one final test finds in 80 of 100 experiments.
DRIFT = float(ndtri(1 - ALPHA / 2) + ndtri(0.8))
PATHS = 200_000
MOST_ERROR, LEAST_POWER = 0.055, 0.75
_FRACTIONS = tuple(look / LOOKS for look in range(1, LOOKS + 1))
_CHUNK = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class PeerRule:
    """Where z must go for a rule to call an effect.

    Attributes:
        name: Whose rule it is, and which.
        upper: Above this at each look, shape (looks,); infinite where it does not look.
        lower: Below this.
    """

    name: str
    upper: FloatArray
    lower: FloatArray


@dataclass(frozen=True, slots=True)
class Performance:
    """What a rule came to.

    Attributes:
        name: The rule's.
        error: How often it called an effect without one.
        power: How often it found the effect.
        stop: At which part of the planned customers it was over on average, with the effect.
        large_power: How often it found an effect twice as large.
        large_stop: At which part it was over then.
    """

    name: str
    error: float
    power: float
    stop: float
    large_power: float
    large_stop: float


def default_rule() -> PeerRule:
    """Return the rule of a plan that settles nothing else."""
    return _monitored("OfferLab, group-sequential (the default)", Monitoring())


def all_rules() -> list[PeerRule]:
    """Return our rules, then those of others."""
    n = CUSTOMERS * np.array(_FRACTIONS)
    once = np.full(LOOKS, math.inf)
    once[-1] = ndtri(1 - ALPHA / 2)
    hybrid = _eppo(n, ALPHA / 2)
    hybrid[-1] = min(hybrid[-1], ndtri(1 - ALPHA / 4))
    return [
        default_rule(),
        _monitored(
            "OfferLab, confidence sequence tuned to the planned size",
            Monitoring(rule="confidence_sequence"),
        ),
        _both("One final test", once),
        _both("A final test's limit at every look", np.full(LOOKS, once[-1])),
        _both("GrowthBook and PostHog: confidence sequence tuned to 5,000", _tuned(n, 5_000)),
        _both("Eppo: confidence sequence tuned to 10,000", _eppo(n, ALPHA)),
        _both("Eppo: hybrid of that and a final test", hybrid),
        _both("Statsig: mSPRT, equal arms", np.full(LOOKS, _statsig())),
        _spending("Spotify: spends alpha t^2", Side(ALPHA / 2, spend_power)),
        _spending("O'Brien-Fleming on both sides", Side(ALPHA / 2, spend_obrien_fleming)),
        _spending("Pocock on both sides", Side(ALPHA / 2, spend_pocock)),
    ]


def compare_rules(rules: Sequence[PeerRule], *, paths: int, seed: int) -> list[Performance]:
    """Simulate paths, and let every rule follow the same ones."""
    rng = np.random.default_rng(seed)
    t = np.array(_FRACTIONS)
    found = np.zeros((len(rules), 5))
    for begin in range(0, paths, _CHUNK):
        size = min(_CHUNK, paths - begin)
        steps = rng.standard_normal((size, LOOKS)) / math.sqrt(LOOKS)
        z = np.cumsum(steps, axis=1) / np.sqrt(t)
        for index, rule in enumerate(rules):
            none = _follow(rule, z)
            some, large = (_follow(rule, z + k * DRIFT * np.sqrt(t)) for k in (1, 2))
            found[index] += [none[0] + none[1], some[0], some[2], large[0], large[2]]
    return [
        Performance(rule.name, *(float(value) for value in row / paths))
        for rule, row in zip(rules, found, strict=True)
    ]


def _follow(rule: PeerRule, z: FloatArray) -> tuple[float, float, float]:
    """Count paths called upwards and downwards, and add up when they were over."""
    is_up, is_down = z >= rule.upper, z <= rule.lower
    is_out = is_up | is_down
    first = np.where(is_out.any(axis=1), is_out.argmax(axis=1), LOOKS - 1)
    rows = np.arange(len(z))
    return is_up[rows, first].sum(), is_down[rows, first].sum(), ((first + 1) / LOOKS).sum()


def _monitored(name: str, monitoring: Monitoring) -> PeerRule:
    """Take the boundaries from the product's own looks."""
    looks = [
        take_look(
            fraction,
            _FRACTIONS[:index],
            comparisons=1,
            confidence=1 - ALPHA,
            monitoring=monitoring,
        )
        for index, fraction in enumerate(_FRACTIONS)
    ]
    boundaries = [look.boundary for look in looks if look is not None]
    assert len(boundaries) == LOOKS
    upper, lower = ([getattr(b, side) for b in boundaries] for side in ("upper", "lower"))
    return PeerRule(name, np.array(upper), np.array(lower))


def _both(name: str, limits: FloatArray) -> PeerRule:
    return PeerRule(name, limits, -limits)


def _spending(name: str, side: Side) -> PeerRule:
    boundaries = find_boundaries(_FRACTIONS, upper=side, lower=side)
    return _both(name, np.array([boundary.upper for boundary in boundaries]))


def _tuned(n: FloatArray, size: float) -> FloatArray:
    """Return gbstats' half-widths in standard errors: our formula with a size of its own."""
    sequence = ConfidenceSequence(ALPHA, tuned_to=size)
    return np.array([sequence.multiplier(float(customers)) for customers in n])


def _eppo(n: FloatArray, alpha: float) -> FloatArray:
    """Return Eppo's half-widths: Howard, Ramdas, McAuliffe & Sekhon (2021), equation 14."""
    rho = 10_000 / (math.log(math.log(math.e / alpha**2)) - 2 * math.log(alpha))
    return np.asarray(np.sqrt((n + rho) / n * np.log((n + rho) / (rho * alpha**2))))


def _statsig() -> float:
    """Return Statsig's limit, the same at all looks of equal arms.

    Its mixture's variance tau is z^2 (v_t + v_c) / (N_t + N_c), which for equal arms is the
    difference's squared error V times z^2 / 2.
    """
    tau = float(ndtri(1 - ALPHA / 2)) ** 2 / 2
    return math.sqrt((1 + tau) / tau * (-2 * math.log(ALPHA / 2) + math.log(1 + tau)))
