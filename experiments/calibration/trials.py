"""Runs simulated experiments through the product's own analysis, and counts what came of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from experiments.calibration.counting import Counter
from experiments.calibration.customers import draw_sample
from experiments.calibration.rules import CONFIDENCE, ChanceToBeat, Monitored, Rule, Seen
from experiments.calibration.scenarios import DAYS, SCENARIOS
from experiments.calibration.tallies import Tally
from experiments.measuring.layout import (
    MOST_COVARIATES,
    Layout,
    covariate_cuts,
    find_covariates,
    lay_out,
)
from experiments.plan import Adjustment, Monitoring
from experiments.stats.bayes import WEAK, find_log_ratio
from experiments.stats.estimate import Estimate, Result
from experiments.stats.moments import Moments

FloatArray = NDArray[np.float64]

DAILY = tuple(day / DAYS for day in range(1, DAYS + 1))
FIXED = Monitored("fixed horizon", Monitoring(rule="fixed"))
SEQUENTIAL = Monitored("group-sequential", Monitoring(rule="group_sequential"))
SEQUENCE = Monitored("confidence sequence", Monitoring(rule="confidence_sequence"))
BAYES = ChanceToBeat("Bayesian", 0.95, WEAK)
RULES: tuple[Rule, ...] = (FIXED, SEQUENTIAL, SEQUENCE, BAYES)

# What the treatment does: nothing; the scenario's lift; one drawn from the Bayesian's prior.
Effect = Literal["none", "lift", "prior"]


@dataclass(frozen=True, slots=True)
class Adjusted:
    """How much of what is known beforehand is used.

    Attributes:
        name: What it is called.
        covariates: How many at most.
        by_stratum: Whether arms are compared within strata.
    """

    name: str
    covariates: int
    by_stratum: bool = False


NONE = Adjusted("none", 0)
ONE = Adjusted("one covariate", 1)
MOST = Adjusted("several covariates", MOST_COVARIATES)
IN_STRATA = Adjusted("several, in strata", MOST_COVARIATES, by_stratum=True)
ADJUSTMENTS = (NONE, ONE, MOST, IN_STRATA)

# By adjustment and rule.
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Task:
    """Some experiments of one kind.

    Attributes:
        scenario: Its place in `SCENARIOS`.
        effect: What the treatment does.
        fractions: Of the planned customers, when the experiment is looked at.
        adjustments: What it is analysed with.
        rules: By which it is followed.
        runs: How many experiments.
        seed: Whatever makes their random numbers their own.
    """

    scenario: int
    effect: Effect
    fractions: tuple[float, ...]
    adjustments: tuple[Adjusted, ...]
    rules: tuple[Rule, ...]
    runs: int
    seed: tuple[int, ...]


@dataclass(slots=True)
class Counted:
    """What came of experiments.

    Attributes:
        tallies: By adjustment and rule.
        errors: Sums of the log-ratio's standard errors at each look, by adjustment.
        known: In how many experiments there was one.
    """

    tallies: dict[Key, Tally] = field(default_factory=dict)
    errors: dict[str, FloatArray] = field(default_factory=dict)
    known: dict[str, FloatArray] = field(default_factory=dict)

    def add(self, other: "Counted") -> None:
        """Count another task's experiments too."""
        for key, tally in other.tallies.items():
            self.tallies[key] = self.tallies.get(key, Tally()) + tally
        for mine, theirs in ((self.errors, other.errors), (self.known, other.known)):
            for name, values in theirs.items():
                mine[name] = mine.get(name, np.zeros(len(values))) + values


def run_task(task: Task) -> Counted:
    """Run experiments, and follow each of them by each rule with each adjustment."""
    rng = np.random.default_rng(task.seed)
    counted = Counted()
    for _ in range(task.runs):
        for name, seen in watch(task, rng).items():
            errors = np.array([_log_error(one.result) for one in seen])
            is_known = np.isfinite(errors)
            counted.add(
                Counted(
                    {(name, rule.name): Tally.of(rule.follow(seen)) for rule in task.rules},
                    {name: np.where(is_known, errors, 0.0)},
                    {name: is_known.astype(np.float64)},
                )
            )
    return counted


def watch(task: Task, rng: np.random.Generator) -> Mapping[str, list[Seen]]:
    """Run one experiment, and return what each adjustment sees at every look."""
    scenario = SCENARIOS[task.scenario]
    lift = {
        "none": 0.0,
        "lift": scenario.lift,
        "prior": math.expm1(BAYES.prior.sd * rng.standard_normal()),
    }[task.effect]
    sample = draw_sample(
        rng,
        scenario.behaviour,
        customers=scenario.customers,
        treated=scenario.treated,
        days=DAYS,
        lift=lift,
    )
    measured = scenario.measured
    covariates = find_covariates([measured], Adjustment())
    seen: dict[str, list[Seen]] = {how.name: [] for how in task.adjustments}
    for fraction in task.fractions:
        counter = Counter(sample, day=fraction * DAYS)
        thresholds = counter.find_thresholds([*measured.cuts, *covariate_cuts(covariates)])
        layout = lay_out([measured], covariates, thresholds)
        truth = scenario.truth(counter, layout.metrics[0].thresholds)
        for name, result in analyse(layout, counter, task.adjustments).items():
            seen[name].append(Seen(fraction, result, truth * lift, lift))
    return seen


def analyse(
    layout: Layout, counter: Counter, adjustments: Sequence[Adjusted]
) -> Mapping[str, Result]:
    """Compare the arms on one metric as an analysis does."""
    (placed,) = layout.metrics
    rows = counter.count(layout.columns)
    everybody = [_moments(rows, counter.is_treated)]
    raw = placed.compare(everybody, confidence=CONFIDENCE)
    results: dict[str, Result] = {how.name: raw for how in adjustments}
    for how in adjustments:
        if not how.covariates:
            continue
        strata = everybody
        if how.by_stratum:
            strata = [
                _moments(rows[is_there], counter.is_treated[is_there])
                for is_there in (counter.country == one for one in np.unique(counter.country))
            ]
        results[how.name] = placed.sharpen(
            raw, strata, covariates=layout.covariates[: how.covariates], confidence=CONFIDENCE
        )
    return results


def _moments(rows: FloatArray, is_treated: NDArray[np.bool_]) -> tuple[Moments, Moments]:
    return Moments.of(rows[~is_treated]), Moments.of(rows[is_treated])


def _log_error(result: Result) -> float:
    found = find_log_ratio(result) if isinstance(result, Estimate) else None
    return math.nan if found is None else found[1]
