"""The scenarios: there is one for every metric type, and their truths are true."""

import math

import numpy as np
import pytest

from experiments.calibration.counting import Counter
from experiments.calibration.customers import draw_sample
from experiments.calibration.scenarios import DAYS, FEW, SCENARIOS, UNEQUAL, Scenario
from experiments.measuring.layout import lay_out
from experiments.metrics import METRICS
from experiments.stats.moments import Moments

EACH = pytest.mark.parametrize(
    "scenario", SCENARIOS, ids=lambda scenario: f"{scenario.kind}: {scenario.name}"
)


def test_every_metric_type_is_calibrated() -> None:
    assert {scenario.kind for scenario in SCENARIOS} == set(METRICS)


@pytest.mark.parametrize("kind", METRICS)
def test_every_metric_type_is_tried_with_little_and_with_unequal_arms(kind: str) -> None:
    names = {scenario.name for scenario in SCENARIOS if scenario.kind == kind}
    assert {FEW, UNEQUAL} < names


def test_every_scenario_has_its_own_name() -> None:
    assert len({(one.kind, one.name) for one in SCENARIOS}) == len(SCENARIOS)


@EACH
def test_both_arms_come_to_their_truth_on_average(scenario: Scenario) -> None:
    """Of twelve experiments: Student's t with 11 degrees of freedom is beyond 4.8 once in 1,800."""
    rng = np.random.default_rng(20)
    measured = scenario.measured
    found = []
    for _ in range(12):
        sample = draw_sample(
            rng,
            scenario.behaviour,
            customers=scenario.customers,
            treated=scenario.treated,
            days=DAYS,
            lift=scenario.lift,
        )
        counter = Counter(sample, day=DAYS)
        layout = lay_out([measured], [], counter.find_thresholds(measured.cuts))
        (placed,) = layout.metrics
        rows, truth = counter.count(layout.columns), scenario.truth(counter, placed.thresholds)
        arms = (Moments.of(rows[counter.is_treated == is_in]) for is_in in (False, True))
        values = [placed.value(arm) for arm in arms]
        if None not in values:
            found.append(np.array(values) / truth - [1.0, 1.0 + scenario.lift])
    off, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / math.sqrt(len(found))
    assert (np.abs(off) < 4.8 * error).all()
