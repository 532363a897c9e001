"""Judges many correlated metrics together, some with effects and some without, again and again."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from experiments.calibration.promises import Check
from experiments.stats.estimate import Interval
from experiments.stats.multiplicity import (
    Decision,
    Effect,
    Family,
    adjust_benjamini_hochberg,
    adjust_holm,
    decide_benjamini_hochberg,
    decide_holm,
    gatekeep,
)
from experiments.stats.tails import ln_p_normal

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

ALPHA = 0.05
METRICS = 50
_GUARDRAILS, _OTHERS = slice(1, 5), slice(5, METRICS)
# The z to be expected of 45 secondary metrics, of which 20 move.
_SECONDARY = np.tile([1.0, 2.5, -2.5, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0], 5)
# Of all: the goal, four guardrails, the others.
TRUTHS: Mapping[str, FloatArray] = {
    "the goal works": np.array([4.0, 4.0, 4.5, 5.0, 4.0, *_SECONDARY]),
    "the goal does nothing": np.array([0.0, 0.0, 3.0, 0.0, 4.0, *_SECONDARY]),
}


@dataclass(frozen=True, slots=True)
class Dependence:
    """How metrics hang together.

    Attributes:
        name: In words.
        correlation: Within a group, between 0 and 1.
        size: Of a group.
        is_mixed: Whether every other metric of a group goes the other way.
    """

    name: str
    correlation: float
    size: int = METRICS
    is_mixed: bool = False

    def draw(self, rng: np.random.Generator) -> FloatArray:
        """Draw errors of z, standard normal, shape (metrics,)."""
        shared = np.repeat(rng.standard_normal(METRICS // self.size), self.size)
        if self.is_mixed:
            shared[::2] *= -1.0
        own = rng.standard_normal(METRICS)
        return math.sqrt(self.correlation) * shared + math.sqrt(1 - self.correlation) * own


DEPENDENCES = (
    Dependence("independent", 0.0),
    Dependence("all correlated by 0.5", 0.5),
    Dependence("fives correlated by 0.9 or -0.9", 0.9, size=5, is_mixed=True),
)

HOLM_FALSE = "Holm: any false finding"
HOLM_MISSED = "Holm: any interval that misses"
FALSE_DISCOVERIES = "Benjamini-Hochberg: false ones among the findings"
FALSE_COVERAGE = "Benjamini-Hochberg: findings whose interval misses"
GATE_FALSE = "Gatekeeping: any false finding among goal and guardrails"
GATE_DISCOVERIES = "Gatekeeping: false ones among the other findings"


@dataclass(frozen=True, slots=True)
class Together:
    """What many reports of one kind came to.

    Attributes:
        truth: Which of `TRUTHS`.
        dependence: How metrics hang together.
        checks: What was promised, and how often it was broken.
    """

    truth: str
    dependence: str
    checks: tuple[Check, ...]


def simulate_families(*, runs: int, seed: int) -> list[Together]:
    """Judge many reports of every kind; each error may be at most 5% on average.

    A share of findings varies at most as much as a yes or no with the same mean, so it is checked
    as if it were a count.
    """
    found = []
    for place, (truth, truths) in enumerate(TRUTHS.items()):
        for other, dependence in enumerate(DEPENDENCES):
            rng = np.random.default_rng((seed, place, other))
            sums = dict.fromkeys(judge(truths, truths), 0.0)
            for _ in range(runs):
                for name, error in judge(truths + dependence.draw(rng), truths).items():
                    sums[name] += error
            checks = [Check(name, round(total), runs, 0.0, ALPHA) for name, total in sums.items()]
            found.append(Together(truth, dependence.name, tuple(checks)))
    return found


def judge(z: FloatArray, truths: FloatArray) -> dict[str, float]:
    """Judge one report by each procedure, and return what was wrong with it, between 0 and 1.

    Args:
        z: What was found of each metric, in standard errors, shape (metrics,).
        truths: What is true.
    """
    ln_p = [float(value) for value in ln_p_normal(z)]
    effects = [_to_effect(float(value), own) for value, own in zip(z, ln_p, strict=True)]
    is_null = truths == 0
    holm = decide_holm(effects, alpha=ALPHA)
    is_decided = np.array([decision.is_significant for decision in holm])
    found = decide_benjamini_hochberg(effects, alpha=ALPHA)
    is_found = np.array([decision.is_significant for decision in found])
    gated = gatekeep(
        [
            Family(ln_p[:1], adjust_holm),
            Family(ln_p[_GUARDRAILS], adjust_holm),
            Family(ln_p[_OTHERS], adjust_benjamini_hochberg),
        ]
    )
    passed = np.concatenate([np.array(family) for family in gated]) < math.log(ALPHA)
    return {
        HOLM_FALSE: bool((is_decided & is_null).any()),
        HOLM_MISSED: _misses(holm, truths).any(),
        FALSE_DISCOVERIES: _share(is_null, among=is_found),
        FALSE_COVERAGE: _share(_misses(found, truths), among=is_found),
        GATE_FALSE: (passed & is_null)[: _OTHERS.start].any(),
        GATE_DISCOVERIES: _share(is_null[_OTHERS], among=passed[_OTHERS]),
    }


def _to_effect(z: float, ln_p: float) -> Effect:
    """Return an estimate with standard error 1."""

    def interval_at(confidence: float) -> Interval:
        half = -float(ndtri((1.0 - confidence) / 2))
        return Interval(z - half, z + half)

    return Effect(difference=z, ln_p_value=ln_p, interval_at=interval_at)


def _misses(decisions: Sequence[Decision], truths: FloatArray) -> BoolArray:
    """Say which intervals leave out the truth; a significant one leaves out its end at zero."""
    return np.array(
        [
            truth not in one.interval or (one.is_significant and truth == 0)
            for one, truth in zip(decisions, truths, strict=True)
        ]
    )


def _share(wrong: BoolArray, *, among: BoolArray) -> float:
    return float((wrong & among).sum() / max(among.sum(), 1))
