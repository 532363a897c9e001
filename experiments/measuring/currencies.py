"""Counts in which currencies the values came that metrics add up."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from experiments.measuring.layout import Layout, Placed
from experiments.measuring.queries import run_statement
from experiments.metrics.columns import CURRENCY, AtMost, Column, Events, Total
from experiments.sql.columns import Scope
from experiments.sql.statements import currencies_statement


@dataclass(frozen=True, slots=True)
class Paid:
    """In which currencies a metric's values came, by three letters; those that say none under "".

    Attributes:
        metric: The metric.
        counted: Events that count.
        left_out: Events that only a condition on their currency keeps from counting.
    """

    metric: Placed
    counted: Mapping[str, int]
    left_out: Mapping[str, int]


def count_currencies(scope: Scope, layout: Layout) -> list[Paid]:
    """Count the events behind each metric that adds up values; events are not read if none does."""
    added = {
        placed.measured.planned.key: dict.fromkeys(
            _added(layout.columns[place] for place in placed.own)
        )
        for placed in layout.metrics
    }
    wanted = list(
        dict.fromkeys(
            total for own in added.values() for one in own for total in (one, _in_any(one))
        )
    )
    if not wanted:
        return []
    counts: dict[Total, Counter[str]] = {total: Counter() for total in wanted}
    for currency, *row in run_statement(currencies_statement(scope, wanted), scope):
        for total, count in zip(wanted, row, strict=True):
            counts[total][(currency or "").upper()] += int(count)
    found = []
    for placed in layout.metrics:
        own = added[placed.measured.planned.key]
        counted = sum((counts[total] for total in own), Counter[str]())
        every = sum((counts[_in_any(total)] for total in own), Counter[str]())
        if every:
            found.append(Paid(placed, dict(+counted), dict(every - counted)))
    return found


def _added(columns: Iterable[Column]) -> Iterator[Total]:
    """Name what columns add up values of, each as a sum that takes nothing back."""
    for column in columns:
        total = column.values if isinstance(column, AtMost) else column
        if isinstance(total, Total) and total.how == "sum":
            for events in (total.events, *([total.less] if total.less else [])):
                yield Total("sum", events, window=total.window, from_property=total.from_property)


def _in_any(total: Total) -> Total:
    """Return the same total without conditions on the currency."""
    where = tuple(one for one in total.events.where if one.property != CURRENCY)
    return replace(total, events=Events(total.events.name, where))
