"""Repetition: every row is there, and one that breaks a promise has a second chance."""

from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from experiments.calibration.promises import Row
from experiments.calibration.repetition import (
    adjustments_of,
    find_broken,
    plan_tasks,
    pool,
    settle,
    state_error,
    try_scenarios,
)
from experiments.calibration.rules import Rule
from experiments.calibration.scenarios import FEW, HEALTHY, SCENARIOS
from experiments.calibration.tallies import Tally
from experiments.calibration.trials import BAYES, DAILY, FIXED, RULES, SEQUENCE, SEQUENTIAL, Counted
from experiments.metrics import METRICS
from experiments.stats.bayes import find_stopping_error

FIRST = [next(place for place, one in enumerate(SCENARIOS) if one.kind == kind) for kind in METRICS]
SPARSE = next(place for place, one in enumerate(SCENARIOS) if one.name == FEW)
KEPT = Tally(1000, 1000, 25, 25, 1000, 25, 25, 1000, 25, 25)
BROKEN = replace(KEPT, up=100)


def row(place: int, *, none: Tally = KEPT, rule: Rule = FIXED) -> Row:
    scenario = SCENARIOS[place]
    return Row(scenario.kind, scenario.name, "none", rule.name, "exactly", none, KEPT)


def ignore(done: int) -> None:
    """Have nobody to report to."""


def try_some(
    places: list[int], executor: Executor, *, runs: int, report: Callable[[int], object] = ignore
) -> list[Row]:
    return try_scenarios(places, runs=runs, seed=(11, 1), executor=executor, report=report)


def test_the_stated_error_leaves_out_looks_that_know_no_more() -> None:
    counted = Counted(
        errors={"none": np.array([3.0, 2.0, 2.2, 1.5])}, known={"none": np.array([1.0] * 4)}
    )
    stated = find_stopping_error(BAYES.chance, [3.0, 2.0, 1.5], prior=BAYES.prior).total
    assert state_error(counted, "none") == pytest.approx(stated)


def test_where_nothing_was_known_no_error_is_stated() -> None:
    counted = Counted(errors={"none": np.zeros(2)}, known={"none": np.zeros(2)})
    assert state_error(counted, "none") == 0.0


def test_no_two_tasks_have_the_same_seed() -> None:
    tasks = [
        task
        for place in range(len(SCENARIOS))
        for attempt in (1, 2)
        for task in plan_tasks(place, runs=50, seed=(1, attempt))
    ]
    assert len({task.seed for task in tasks}) == len(tasks)


@pytest.mark.parametrize("place", range(len(SCENARIOS)))
def test_a_scenario_has_as_many_experiments_as_asked_for(place: int) -> None:
    tasks = list(plan_tasks(place, runs=50, seed=(1,)))
    looked_at = {
        effect: sum(t.runs for t in tasks if t.effect == effect and t.fractions == DAILY)
        for effect in ("none", "lift")
    }
    assert looked_at == {"none": 50, "lift": 25}
    at_end = 450 if SCENARIOS[place].is_sparse else 150
    assert sum(task.runs for task in tasks) == 50 + 25 + at_end + at_end + 50


def test_every_type_meets_every_adjustment_and_every_rule() -> None:
    for place in FIRST:
        possible = 4 if SCENARIOS[place].has_strata else 3
        assert len(adjustments_of(place, looks=len(DAILY))) == possible
        assert len(adjustments_of(place, looks=1)) == possible


def test_every_scenario_meets_every_rule_with_and_without_covariates() -> None:
    for place in range(len(SCENARIOS)):
        names = {how.name for how in adjustments_of(place, looks=len(DAILY))}
        assert {"none", "several covariates"} <= names


def test_rows_come_out_complete_and_the_same_again() -> None:
    done: list[int] = []
    with ThreadPoolExecutor(1) as executor:
        rows = try_some([SPARSE], executor, runs=4, report=done.append)
        assert rows == try_some([SPARSE], executor, runs=4)
    assert sum(done) == 4 + 2 + 36 + 36 + 4
    with_looks = {(one.adjustment, one.rule) for one in rows if one.rule != FIXED.name}
    assert with_looks == {
        (how, rule.name) for how in ("none", "several covariates") for rule in RULES[1:]
    }
    assert {one.adjustment for one in rows if one.rule == FIXED.name} == {
        how.name for how in adjustments_of(SPARSE, looks=1)
    }
    promises = {one.rule: one.promise for one in rows}
    assert promises == {
        FIXED.name: "exactly",
        SEQUENTIAL.name: "at most",
        SEQUENCE.name: "at most",
        BAYES.name: "as stated",
    }


def test_only_scenarios_with_a_broken_promise_are_tried_again() -> None:
    assert find_broken([row(0), row(2, none=BROKEN), row(3)]) == [2]


def test_the_second_try_of_a_broken_row_counts() -> None:
    good, bad = row(0), row(1, none=BROKEN)
    assert settle([good, bad], [row(1)]) == [good, replace(row(1), is_second=True)]
    (still,) = settle([bad], [bad])
    assert still.broken == ["false positives"]


def test_a_row_that_kept_its_promises_is_not_replaced() -> None:
    assert settle([row(0)], [row(0, none=BROKEN)]) == [row(0)]


def test_rows_are_pooled_but_for_those_with_too_little() -> None:
    sparse = row(SPARSE, none=BROKEN)
    (pooled,) = pool([row(0), row(FIRST[1]), sparse, replace(row(0), promise="as stated")])
    assert (pooled.none, pooled.some) == (KEPT + KEPT, KEPT + KEPT)


def test_what_each_hides_shows_in_the_sum() -> None:
    slightly = replace(KEPT, up=40)  # 6.5%, within the band of a thousand
    rows = [row(place, none=slightly) for place, one in enumerate(SCENARIOS) if not one.is_sparse]
    assert not any(one.broken for one in rows)
    assert pool(rows)[0].broken == ["false positives"]


@pytest.mark.slow
def test_healthy_samples_keep_every_promise() -> None:
    places = [place for place in FIRST if SCENARIOS[place].name == HEALTHY]
    with ProcessPoolExecutor(2) as executor:
        first = try_some(places, executor, runs=60)
        again = find_broken(first)
        second = try_scenarios(again, runs=60, seed=(11, 2), executor=executor, report=ignore)
    assert {one.rule for one in first} == {rule.name for rule in RULES}
    assert [(one, one.broken) for one in settle(first, second) if one.broken] == []
