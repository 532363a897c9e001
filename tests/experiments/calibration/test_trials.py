"""Simulated experiments: analysed as the product would, and caught where a rule is broken."""

import math
from dataclasses import replace

import numpy as np
import pytest

from experiments.calibration.counting import Counter
from experiments.calibration.customers import ORDER, draw_sample
from experiments.calibration.promises import Row
from experiments.calibration.rules import ChanceToBeat
from experiments.calibration.scenarios import DAYS, FEW, SCENARIOS
from experiments.calibration.tallies import Tally
from experiments.calibration.trials import (
    ADJUSTMENTS,
    DAILY,
    FIXED,
    IN_STRATA,
    MOST,
    NONE,
    ONE,
    RULES,
    SEQUENTIAL,
    Task,
    analyse,
    run_task,
    watch,
)
from experiments.measuring.layout import find_covariates, lay_out
from experiments.metrics import METRICS
from experiments.metrics.columns import Events, Total
from experiments.plan import Adjustment
from experiments.stats.bayes import Prior
from experiments.stats.estimate import Estimate, Inconclusive
from experiments.stats.proportions import compare_proportions

CONVERSION = 0
TASK = Task(CONVERSION, "none", (1.0,), ADJUSTMENTS, RULES, 3, (1,))


def place_of(kind: str, name: str) -> int:
    return next(
        place for place, one in enumerate(SCENARIOS) if (one.kind, one.name) == (kind, name)
    )


def test_without_adjustment_a_conversion_is_compared_as_two_shares() -> None:
    scenario = SCENARIOS[CONVERSION]
    sample = draw_sample(
        np.random.default_rng(4),
        scenario.behaviour,
        customers=2_000,
        treated=0.5,
        days=DAYS,
        lift=0.3,
    )
    counter = Counter(sample, day=DAYS)
    measured = scenario.measured
    columns = find_covariates([measured], Adjustment(days=0))
    results = analyse(lay_out([measured], columns, []), counter, [NONE])
    ordered = counter.count([Total("any", Events(ORDER))])[:, 0]
    x_t, x_c = (int(ordered[counter.is_treated == arm].sum()) for arm in (True, False))
    n_t = int(counter.is_treated.sum())
    known = compare_proportions(x_c=x_c, n_c=2_000 - n_t, x_t=x_t, n_t=n_t)
    result = results[NONE.name]
    assert isinstance(result, Estimate)
    assert isinstance(known, Estimate)
    assert replace(result, method="") == replace(known, method="")


def test_every_adjustment_is_the_one_that_it_is_called() -> None:
    seen = watch(TASK, np.random.default_rng(4))
    methods = {}
    for name, looks in seen.items():
        assert isinstance(looks[-1].result, Estimate)
        methods[name] = looks[-1].result.method
    assert "adjustment" not in methods[NONE.name]
    assert "by 1 covariate " in methods[ONE.name]
    assert "by 3 covariates " in methods[MOST.name]
    assert "Post-stratification by 4 strata" in methods[IN_STRATA.name]


@pytest.mark.parametrize("seed", range(6))
def test_where_nothing_can_be_compared_no_adjustment_makes_it_so(seed: int) -> None:
    task = replace(TASK, scenario=place_of("quantile", FEW), fractions=(1 / DAYS,))
    seen = watch(replace(task, adjustments=(NONE, MOST)), np.random.default_rng(seed))
    assert all(isinstance(looks[0].result, Inconclusive) for looks in seen.values())


def test_the_truth_is_seen_beside_every_result() -> None:
    task = replace(TASK, effect="lift", fractions=(0.5, 1.0), adjustments=(NONE,))
    (looks,) = watch(task, np.random.default_rng(1)).values()
    assert [(one.fraction, one.lift) for one in looks] == [(0.5, 0.2), (1.0, 0.2)]
    assert looks[0].difference == pytest.approx(0.02)


def test_lifts_drawn_from_the_prior_are_as_wide_as_the_prior() -> None:
    rng = np.random.default_rng(3)
    task = replace(TASK, effect="prior", scenario=place_of("funnel", FEW), adjustments=())
    empty = replace(task, adjustments=(NONE,))
    logs = [math.log1p(watch(empty, rng)[NONE.name][0].lift) for _ in range(150)]
    # The standard deviation of n normal numbers varies by 1 / sqrt(2 n) of itself.
    assert np.std(logs) == pytest.approx(0.1, rel=3 / math.sqrt(2 * 150))


def test_the_same_seed_gives_the_same_counts() -> None:
    assert run_task(TASK).tallies == run_task(TASK).tallies
    assert run_task(TASK).tallies.keys() == {
        (how.name, rule.name) for how in ADJUSTMENTS for rule in RULES
    }


def test_a_rule_that_errs_is_caught() -> None:
    """Stopping by the chance to beat under a flat prior errs in 38% of experiments at 14 looks."""
    flat = ChanceToBeat("flat prior", 0.95, Prior(math.inf, "believes in any effect"))
    task = Task(CONVERSION, "none", DAILY, (NONE,), (flat, SEQUENTIAL), 25, (8,))
    broken = {
        rule: Row("conversion", "", NONE.name, rule, "exactly", tally, Tally()).broken
        for (_, rule), tally in run_task(task).tallies.items()
    }
    assert broken == {flat.name: ["false positives"], SEQUENTIAL.name: []}


@pytest.mark.parametrize("kind", METRICS)
def test_promises_are_kept_in_a_few_experiments(kind: str) -> None:
    """Wide bands: only what is badly wrong falls out of them."""
    place = next(place for place, one in enumerate(SCENARIOS) if one.kind == kind)
    task = Task(place, "none", (1.0,), (NONE, MOST), (FIXED,), 50, (5,))
    none, some = run_task(task).tallies, run_task(replace(task, effect="lift")).tallies
    for key, tally in none.items():
        assert tally.compared == tally.runs
        assert Row(kind, "", *key, "exactly", tally, some[key]).broken == []
