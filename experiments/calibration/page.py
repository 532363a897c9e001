"""Writes what the calibration found as a page in Markdown."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from experiments.calibration.accrual import Late
from experiments.calibration.families import METRICS, Together
from experiments.calibration.peers import (
    CUSTOMERS,
    LEAST_POWER,
    LOOKS,
    MOST_ERROR,
    PATHS,
    Performance,
)
from experiments.calibration.promises import NOMINAL, Check, Row
from experiments.calibration.repetition import MORE_AT_END, MORE_WHERE_SPARSE
from experiments.calibration.scenarios import DAYS, SCENARIOS
from experiments.calibration.tallies import Tally
from experiments.metrics import METRICS as TYPES
from experiments.metrics.base import say_days


@dataclass(frozen=True, slots=True)
class Calibration:
    """All that was found.

    Attributes:
        runs: Experiments with looks and without an effect, in every scenario.
        seed: Of the random numbers.
        rows: Of every scenario.
        pooled: Over scenarios.
        performances: Of rules of looks, the default first.
        late: What outcomes that come late do to the default.
        together: Many metrics judged together.
        family_runs: Reports of each kind of those.
    """

    runs: int
    seed: int
    rows: Sequence[Row]
    pooled: Sequence[Row]
    performances: Sequence[Performance]
    late: Sequence[Late]
    together: Sequence[Together]
    family_runs: int

    @property
    def broken(self) -> list[str]:
        """Say every promise that was not kept, in one line each."""
        rows = [
            f"{_say_where(row)}, {row.adjustment}, {row.rule}: {', '.join(row.broken)}"
            for row in (*self.rows, *self.pooled)
            if row.broken
        ]
        default = self.performances[0]
        if not (default.error <= MOST_ERROR and default.power >= LEAST_POWER):
            rows.append(f"{default.name}: error or power")
        rows += [
            f"outcomes that take {late.days:g} days: the default rule's false positives"
            for late in self.late
            if not late.is_kept
        ]
        rows += [
            f"{METRICS} metrics, {one.truth}, {one.dependence}: {check.name}"
            for one in self.together
            for check in one.checks
            if not check.is_kept
        ]
        return rows


def write_page(found: Calibration) -> str:
    """Write everything."""
    parts = [
        _INTRODUCTION.format(runs=found.runs, seed=found.seed),
        _READING.format(
            runs=found.runs,
            half=found.runs // 2,
            end=MORE_AT_END * found.runs,
            sparse=MORE_WHERE_SPARSE * found.runs,
            days=DAYS,
            few=_say_band(found.runs),
            many=_say_band((1 + MORE_AT_END) * found.runs),
            all=(1 + MORE_AT_END) * found.runs,
        ),
        "## Promises that were not kept",
        _list(found.broken),
        "## All scenarios together",
        "Without those of about 10 conversions. The bands are those of many more experiments.",
        _table(_ROW_HEAD, (_say_row(row) for row in found.pooled)),
        *_say_metrics(found.rows),
        _RULES.format(looks=LOOKS, customers=CUSTOMERS, paths=PATHS),
        _table(_RULE_HEAD, (_say_performance(one) for one in found.performances)),
        _LATE.format(days=DAYS),
        _table(
            ("outcomes take at most", "false positives", "kept"),
            (
                (say_days(one.days), f"{one.error:.2%}", _say_kept([] if one.is_kept else ["x"]))
                for one in found.late
            ),
        ),
        _FAMILIES.format(metrics=METRICS, runs=found.family_runs),
        _table(("goal", "metrics are", "error", "seen", "kept"), _say_families(found.together)),
    ]
    return "\n\n".join(parts) + "\n"


_INTRODUCTION = """\
# Calibration

Written by `make calibrate` (`--runs {runs} --seed {seed}`), from simulated experiments of which
everything is known. They go through the code that analyses real ones: the metric types' columns and
thresholds, the plan's covariates, moments, comparisons, looks. The same command writes the same
page."""

_READING = """\
## How to read it

In every scenario {runs} experiments without an effect and {half} with one are looked at after each
of {days} days, and {end} more of either kind once at the end ({sparse:,} with about 10 conversions,
of which most give no estimate). A metric's first scenario meets every rule with every adjustment;
in the others, the rules with several looks meet the first and the third. Customers differ in how
often they come and in their country, and what they did before tells something about it. By chance
alone a true 5% shows as {few} of {runs} experiments, and as {many} of {all:,} at the end, in 99 of
100 rows.

- **False positives** are experiments without an effect in which one is called. The fixed horizon
  and the group-sequential rule spend all of their 5%, and must have *exactly* that. The confidence
  sequence promises *at most* 5%, and so does the group-sequential rule with about 10 conversions:
  early looks have nothing to judge there, and what they do not spend is lost. The Bayesian rule
  (weakly informative prior; stop when the chance to beat the control is above 95% or below 5%)
  promises what it *states* at the precision there was, to a fifth of it.
- **Missed** are the true difference and the true lift by intervals that lie below + above them, in
  experiments with an effect. Both together must be 4% to 6%, or at most 6% where false positives
  are at most 5%. With several looks the interval must hold at all of them. The Bayesian interval is
  held to effects drawn from its prior. The rarer side must have a fifth of all misses.
- **No estimate** are experiments in which no look found enough to compare; they count for nothing
  else. **No lift** are those of the others that never had one.
- A promise is **kept** if some true share that keeps it could have given what was seen, or more,
  with a chance of 0.5% on either side (the 99% Monte-Carlo band). A row that breaks one is tried a
  second time with other random numbers, and that counts; its line is marked *2nd*. Chance alone
  breaks one check in a hundred, but one in ten thousand twice."""

_RULES = """\
## Looks: what they cost, and what others' rules would

{looks} equal daily looks at {customers:,} customers, {paths:,} simulated paths, the same for every
rule; the effect is one that a single final test finds in 80 of 100 experiments, and then one twice
as large. The bar for our default is at most 5.5% false positives and at least 75% power. Others'
rules are as their public code and documentation have them."""

_LATE = """\
## Outcomes that come later than customers

Looks are timed by customers. If customers come in for {days} days and their outcomes take up to so
many days after that, early looks know less than their customers say, and have less to do with
later ones. The rule's boundaries are found from what was known at each look. Its false positives,
by integration; the bar is 5.5%."""

_FAMILIES = """\
## Many metrics together

{metrics} metrics, of which some move and some do not; {runs:,} reports of each kind. Every error
may be at most 5% on average. Gatekeeping judges the goal, then four guardrails, then the rest."""

_ROW_HEAD = (
    "adjustment",
    "rule",
    "false positives",
    "difference missed",
    "lift missed",
    "no estimate",
    "no lift",
    "kept",
)
_RULE_HEAD = (
    "rule",
    "false positives",
    "power",
    "over after",
    "power, twice the effect",
    "over after",
)


def _say_metrics(rows: Sequence[Row]) -> Iterator[str]:
    for kind, of_kind in groupby(rows, key=lambda row: row.kind):
        yield f"## {TYPES[kind].label}"
        for name, own in groupby(of_kind, key=lambda row: row.scenario):
            scenario = next(one for one in SCENARIOS if (one.kind, one.name) == (kind, name))
            yield f"### {TYPES[kind].label.partition(' (')[0]}: {name}"
            yield (
                f"{scenario.customers:,} customers, {scenario.treated:.0%} in the treatment; "
                f"true lift {scenario.lift:.0%}."
            )
            yield _table(_ROW_HEAD, (_say_row(row) for row in own))


def _say_band(runs: int) -> str:
    """Say between which shares a promise of 5% is taken for kept."""
    kept = [
        count / runs
        for count in range(runs + 1)
        if Check("", count, runs, NOMINAL, NOMINAL).is_kept
    ]
    return f"{kept[0]:.1%} to {kept[-1]:.1%}"


def _say_where(row: Row) -> str:
    return row.scenario if row.kind == row.scenario else f"{row.kind}, {row.scenario}"


def _say_row(row: Row) -> tuple[str, ...]:
    none, some = row.none, row.some
    promised = f"states {row.stated:.1%}" if row.promise == "as stated" else row.promise
    return (
        row.adjustment,
        row.rule,
        f"{_share(none.called, none.compared)} ({promised})",
        _misses(some.difference_below, some.difference_above, some.differences),
        _misses(some.lift_below, some.lift_above, some.lifts),
        _share(_uncompared(none) + _uncompared(some), none.runs + some.runs),
        _share(some.compared - some.lifts, some.compared),
        _say_kept(row.broken) + (" 2nd" if row.is_second else ""),
    )


def _uncompared(tally: Tally) -> int:
    return tally.runs - tally.compared


def _say_performance(one: Performance) -> tuple[str, ...]:
    shares = (one.error, one.power, one.stop, one.large_power, one.large_stop)
    return (one.name, *(f"{share:.1%}" for share in shares))


def _say_families(together: Sequence[Together]) -> Iterator[tuple[str, ...]]:
    for one in together:
        for check in one.checks:
            seen = _share(check.count, check.of)
            kept = _say_kept([] if check.is_kept else [check.name])
            yield (one.truth.removeprefix("the goal "), one.dependence, check.name, seen, kept)


def _say_kept(broken: Sequence[str]) -> str:
    return "**no**" if broken else "yes"


def _misses(below: int, above: int, of: int) -> str:
    return f"{below / of:.1%} + {above / of:.1%}" if of else "–"


def _share(count: int, of: int) -> str:
    return f"{count / of:.1%}" if of else "–"


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines) if lines else "None."


def _table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
