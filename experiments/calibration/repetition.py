"""Repeats every scenario often enough, and again where a promise looks broken."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace

from experiments.calibration.promises import Promise, Row
from experiments.calibration.rules import Rule
from experiments.calibration.scenarios import SCENARIOS, Scenario
from experiments.calibration.tallies import Tally
from experiments.calibration.trials import (
    ADJUSTMENTS,
    BAYES,
    DAILY,
    FIXED,
    MOST,
    NONE,
    RULES,
    SEQUENCE,
    SEQUENTIAL,
    Adjusted,
    Counted,
    Effect,
    Task,
    run_task,
)
from experiments.stats.bayes import find_stopping_error

# Experiments to a task: few enough that the processors finish together.
_CHUNK = 20
# An experiment that is looked at once costs so much less that there may be more of them.
MORE_AT_END, MORE_WHERE_SPARSE = 3, 9
_AT_END = (1.0,)

EVERYTHING = "everything together"


def plan_tasks(scenario: int, *, runs: int, seed: tuple[int, ...]) -> Iterator[Task]:
    """Divide a scenario into tasks.

    Experiments with looks take most of the time. Those with an effect are half as many, and but for
    a metric's first scenario they are analysed with none and with the most covariates only.

    Args:
        scenario: Its place in `SCENARIOS`.
        runs: Experiments without an effect and with looks; the other numbers follow it.
        seed: What the tasks' own seeds begin with.
    """
    at_end, at_looks = adjustments_of(scenario, looks=1), adjustments_of(scenario, looks=len(DAILY))
    more = MORE_WHERE_SPARSE if SCENARIOS[scenario].is_sparse else MORE_AT_END
    kinds: list[tuple[Effect, tuple[float, ...], Sequence[Adjusted], Sequence[Rule], int]] = [
        ("none", DAILY, at_looks, RULES, runs),
        ("lift", DAILY, at_looks, (FIXED, SEQUENTIAL, SEQUENCE), runs // 2),
        ("none", _AT_END, at_end, (FIXED,), more * runs),
        ("lift", _AT_END, at_end, (FIXED,), more * runs),
        ("prior", _AT_END, at_looks, (BAYES,), runs),
    ]
    for place, (effect, fractions, adjustments, rules, total) in enumerate(kinds):
        for begin in range(0, total, _CHUNK):
            yield Task(
                scenario,
                effect,
                fractions,
                tuple(adjustments),
                tuple(rules),
                min(_CHUNK, total - begin),
                (*seed, scenario, place, begin),
            )


def adjustments_of(scenario: int, *, looks: int) -> Sequence[Adjusted]:
    """Return what a scenario is analysed with, by how often it is looked at."""
    found = SCENARIOS[scenario]
    possible = [how for how in ADJUSTMENTS if found.has_strata or not how.by_stratum]
    is_first = found.kind not in {earlier.kind for earlier in SCENARIOS[:scenario]}
    return possible if looks == 1 or is_first else [NONE, MOST]


def try_scenarios(
    scenarios: Iterable[int],
    *,
    runs: int,
    seed: tuple[int, ...],
    executor: Executor,
    report: Callable[[int], object],
) -> list[Row]:
    """Run scenarios and put their rows together.

    Args:
        scenarios: Their places in `SCENARIOS`.
        runs: As for `plan_tasks`.
        seed: The same numbers give the same rows, on any number of processors.
        executor: What runs the tasks.
        report: Told how many experiments are done, task by task.
    """
    places = list(scenarios)
    tasks = [task for place in places for task in plan_tasks(place, runs=runs, seed=seed)]
    counted: dict[tuple[int, Effect, int], Counted] = {}
    for task, done in zip(tasks, executor.map(run_task, tasks), strict=True):
        key = task.scenario, task.effect, len(task.fractions)
        counted.setdefault(key, Counted()).add(done)
        report(task.runs)
    return [row for place in places for row in _rows(place, counted)]


def find_broken(rows: Iterable[Row]) -> list[int]:
    """Return the places of the scenarios in which any row broke a promise."""
    names = {(row.kind, row.scenario) for row in rows if row.broken}
    return [place for place, one in enumerate(SCENARIOS) if (one.kind, one.name) in names]


def settle(first: Iterable[Row], second: Iterable[Row]) -> list[Row]:
    """Put the second try of a row in place of a first one that broke a promise.

    By chance alone one check in a hundred looks broken, but only one in ten thousand does twice.
    """
    again = {_name(row): replace(row, is_second=True) for row in second}
    return [again[_name(row)] if row.broken else row for row in first]


def pool(rows: Iterable[Row]) -> list[Row]:
    """Put the rows of every rule and adjustment together, over all scenarios with enough customers.

    What is hidden in the noise of each shows in their sum; give only first tries, for others were
    selected. Rules that state another error for each scenario are left out.
    """
    is_sparse = {(one.kind, one.name): one.is_sparse for one in SCENARIOS}
    found: dict[tuple[str, str], Row] = {}
    for row in rows:
        if row.promise == "as stated" or is_sparse[row.kind, row.scenario]:
            continue
        key = row.rule, row.adjustment
        before = found.get(key, replace(row, none=Tally(), some=Tally()))
        found[key] = Row(
            EVERYTHING,
            EVERYTHING,
            row.adjustment,
            row.rule,
            row.promise,
            before.none + row.none,
            before.some + row.some,
        )
    return list(found.values())


def _name(row: Row) -> tuple[str, ...]:
    return row.kind, row.scenario, row.adjustment, row.rule


def _rows(scenario: int, counted: dict[tuple[int, Effect, int], Counted]) -> Iterator[Row]:
    found = SCENARIOS[scenario]
    many = len(DAILY)

    def tally(effect: Effect, looks: int, how: Adjusted, rule: Rule) -> Tally:
        return counted[scenario, effect, looks].tallies.get((how.name, rule.name), Tally())

    for how in adjustments_of(scenario, looks=1):
        for rule in RULES:
            none = tally("none", many, how, rule) + tally("none", 1, how, rule)
            some = tally("lift", many, how, rule) + tally("lift", 1, how, rule)
            if not none.runs:
                continue
            row = Row(
                found.kind, found.name, how.name, rule.name, _promise(found, rule), none, some
            )
            if rule is BAYES:
                stated = state_error(counted[scenario, "none", many], how.name)
                row = replace(row, some=tally("prior", 1, how, rule), stated=stated)
            yield row


def _promise(scenario: Scenario, rule: Rule) -> Promise:
    if rule is BAYES:
        return "as stated"
    is_saving = scenario.is_sparse and rule is not FIXED
    return "at most" if rule is SEQUENCE or is_saving else "exactly"


def state_error(counted: Counted, adjustment: str) -> float:
    """Return the error that the Bayesian rule states, at the precision there was on average."""
    known = counted.known[adjustment]
    if not known.any():
        return 0.0
    # Looks at which most experiments had no lift could not stop anything.
    is_look = known >= known.max() / 2
    errors: list[float] = []
    for error in counted.errors[adjustment][is_look] / known[is_look]:
        # Where only some experiments have a lift they differ, and a later look may know less.
        if not errors or error < errors[-1]:
            errors.append(float(error))
    return find_stopping_error(BAYES.chance, errors, prior=BAYES.prior).total
