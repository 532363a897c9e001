"""Counts columns on simulated customers, as the analysis query does on stored events."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.calibration.customers import Log, Sample
from experiments.metrics.columns import (
    SECONDS_PER_DAY,
    AtMost,
    Column,
    Cut,
    Events,
    Mature,
    Reached,
    Total,
    Window,
)
from experiments.stats.quantile import quantile_levels

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class Counter:
    """What an analysis on a day of the experiment would count: nothing later is known yet."""

    def __init__(self, sample: Sample, *, day: float) -> None:
        """Look at the customers exposed by that day."""
        self._sample, self._day = sample, day
        self.customers = int(np.searchsorted(sample.exposed_on, day, side="right"))
        self._age = day - sample.exposed_on[: self.customers]
        self._found: dict[tuple[Events, Window], Log] = {}

    @property
    def is_treated(self) -> BoolArray:
        """Which of them are in the treatment, shape (n,)."""
        return self._sample.is_treated[: self.customers]

    @property
    def country(self) -> NDArray[np.int64]:
        """Where they are from, shape (n,)."""
        return self._sample.country[: self.customers]

    @property
    def age(self) -> FloatArray:
        """How many days ago they were exposed, shape (n,)."""
        return self._age

    def count(self, columns: Sequence[Column]) -> FloatArray:
        """Count columns, shape (n, k)."""
        return np.column_stack([self._count(column) for column in columns])

    def find_thresholds(self, cuts: Sequence[Cut]) -> list[list[float]]:
        """Find the values at each cut's quantiles over both arms; none where there is nothing."""
        return [self._cut(cut) for cut in cuts]

    def _count(self, column: Column) -> FloatArray:
        match column:
            case Total():
                total = self._total(column)
                if column.cap is not None:
                    total = np.minimum(total, column.cap)
                return total * self._is_mature(column.mature_after or 0)
            case Mature(after):
                return self._is_mature(after).astype(np.float64)
            case Reached():
                return np.isfinite(self._reach(column)).astype(np.float64)
            case AtMost(values, per_customer=False, threshold=threshold):
                log = self._happened(values.events, values.window)
                is_below = np.ones(len(log.value)) if threshold is None else log.value <= threshold
                return np.bincount(log.customer, is_below, self.customers).astype(np.float64)
        raise TypeError(f"no simulation counts {column}")

    def _cut(self, cut: Cut) -> list[float]:
        match cut.of:
            case Total():
                totals = self._total(cut.of)
                values = totals[totals != 0]
            case AtMost(total, per_customer=False):
                values = self._happened(total.events, total.window).value
            case _:
                raise TypeError(f"no simulation cuts {cut.of}")
        if not len(values):
            return []
        levels = quantile_levels(cut.level, len(values)) if cut.is_spread else (cut.level,)
        return sorted({float(value) for value in np.quantile(values, levels)})

    def _total(self, total: Total) -> FloatArray:
        if total.less is not None or total.from_property:
            raise TypeError(f"no simulation counts {total}")
        log = self._happened(total.events, total.window)
        weights = log.value if total.how == "sum" else None
        counted = np.bincount(log.customer, weights, self.customers).astype(np.float64)
        return (counted > 0).astype(np.float64) if total.how == "any" else counted

    def _reach(self, column: Reached) -> FloatArray:
        """Return when each customer made the last step, infinite if not, shape (n,)."""
        since = np.full(self.customers, -np.inf)
        for events in column.steps:
            log = self._happened(events, column.window)
            is_next = log.day >= since[log.customer]
            since = np.full(self.customers, np.inf)
            np.minimum.at(since, log.customer[is_next], log.day[is_next])
        return since

    def _happened(self, events: Events, window: Window) -> Log:
        """Return the events in a window that are known by now."""
        if (events, window) in self._found:
            return self._found[events, window]
        if events.where:
            raise TypeError(f"no simulation tells {events} from others of the name")
        log = self._sample.logs[events.name]
        end = int(np.searchsorted(log.customer, self.customers))
        customer, day, value = log.customer[:end], log.day[:end], log.value[:end]
        counts = (day >= window.opens / SECONDS_PER_DAY) & (day <= self._age[customer])
        if window.closes is not None:
            counts &= day < window.closes / SECONDS_PER_DAY
        log = Log(customer[counts], day[counts], value[counts])
        return self._found.setdefault((events, window), log)

    def _is_mature(self, after: int) -> BoolArray:
        return np.asarray(self._age >= after / SECONDS_PER_DAY)
