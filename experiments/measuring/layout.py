"""Lays out a plan's metrics and covariates as columns of one matrix of moments."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from experiments.metrics import METRICS
from experiments.metrics.base import MetricType, Shares, Strata, read_params, uncap
from experiments.metrics.columns import (
    SECONDS_PER_DAY,
    Column,
    Cut,
    Mature,
    Predicted,
    Total,
)
from experiments.plan import Adjustment, PlannedMetric
from experiments.stats.estimate import Inconclusive, Result
from experiments.stats.moments import Moments

# Totals before exposure are capped at this quantile: a slope that hangs on a handful of customers
# is noise, and its error is understated.
COVARIATE_CAP = 0.99
# Behaviour is looked at over the days settled and over so many times as many: what is recent and
# what is usual foretell different things.
LONGER = 4
MOST_COVARIATES = 12
# An arm needs so many customers for each covariate; with fewer, the last covariates are left out.
CUSTOMERS_PER_COVARIATE = 20


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric of the plan, with its type and its parameters read."""

    planned: PlannedMetric
    type: MetricType[Any]
    params: Any

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """The quantiles that must be known before its columns are."""
        return self.type.cuts(self.params)


@dataclass(frozen=True, slots=True)
class Placed:
    """A metric with its thresholds and the places of its columns in the moments.

    Attributes:
        measured: The metric.
        thresholds: The values found for its cuts.
        own: The places of its columns.
        bare: Those of the same columns without a cap; none where it has none.
    """

    measured: Measured
    thresholds: tuple[tuple[float, ...], ...]
    own: tuple[int, ...]
    bare: tuple[int, ...] = ()

    def value(self, moments: Moments) -> float | None:
        """Return what one arm comes to; None where that is not known yet."""
        own = moments.select(*self.own)
        return self.measured.type.value(self.measured.params, own, self.thresholds)

    def compare(
        self,
        strata: Strata,
        *,
        covariates: Sequence[int] = (),
        confidence: float,
        shares: Shares = None,
    ) -> Result:
        """Compare two arms, adjusted by as many covariates as the smaller one can bear.

        Args:
            strata: The control's and the treatment's moments in each stratum; one is everybody.
            covariates: Their places, the most telling first; those that do not vary are left out.
            confidence: Of every interval.
            shares: How much each stratum counts; None is by its customers.
        """
        most = min(sum(pair[arm].n for pair in strata) for arm in (0, 1)) // CUSTOMERS_PER_COVARIATE
        varying = [
            place
            for place in covariates
            if all(any(pair[arm].covariance[place][place] > 0 for pair in strata) for arm in (0, 1))
        ]
        keep = (*self.own, *varying[:most])
        return self.measured.type.compare(
            self.measured.params,
            [(control.select(*keep), treatment.select(*keep)) for control, treatment in strata],
            thresholds=self.thresholds,
            confidence=confidence,
            shares=shares,
        )

    def compare_uncapped(
        self, strata: Strata, *, confidence: float, shares: Shares = None
    ) -> Result | None:
        """Compare two arms as if nothing were capped; None where nothing is."""
        if not self.bare:
            return None
        return self.measured.type.compare(
            uncap(self.measured.params),
            [
                (control.select(*self.bare), treatment.select(*self.bare))
                for control, treatment in strata
            ],
            thresholds=(),
            confidence=confidence,
            shares=shares,
        )

    def sharpen(
        self,
        raw: Result,
        strata: Strata,
        *,
        covariates: Sequence[int],
        confidence: float,
        shares: Shares = None,
    ) -> Result:
        """Adjust what was compared as measured, or keep it where adjustment leaves no estimate."""
        if isinstance(raw, Inconclusive):
            return raw
        adjusted = self.compare(strata, covariates=covariates, confidence=confidence, shares=shares)
        return raw if isinstance(adjusted, Inconclusive) else adjusted


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of an analysis, in their order.

    Attributes:
        columns: All of them, each once.
        metrics: The plan's metrics with their places among them.
        covariates: The places of the covariates, the most telling first.
        covariate_names: What each covariate is, in words.
    """

    columns: tuple[Column, ...]
    metrics: tuple[Placed, ...]
    covariates: tuple[int, ...]
    covariate_names: tuple[str, ...]

    @property
    def goal(self) -> Placed:
        """The metric that decides."""
        return next(placed for placed in self.metrics if placed.measured.planned.role == "goal")

    def customers_known(self, metric: Placed, moments: Moments) -> int:
        """Count the customers of an arm who have been there long enough for a metric."""
        mature = [place for place in metric.own if isinstance(self.columns[place], Mature)]
        return min((round(moments.n * moments.mean[place]) for place in mature), default=moments.n)


def read_metric(planned: PlannedMetric) -> Measured:
    """Read a metric of a plan.

    Raises:
        msgspec.ValidationError: Its parameters are not those of its type.
    """
    metric = METRICS[planned.kind]
    return Measured(planned, metric, read_params(metric, planned.params))


def find_covariates(metrics: Sequence[Measured], adjustment: Adjustment) -> list[Column]:
    """Choose what was known before exposure: predictions, then behaviour, the goal's first."""
    wanted: list[Column] = []
    if adjustment.prediction is not None:
        wanted += [
            Predicted(adjustment.prediction),
            Predicted(adjustment.prediction, is_known=True),
        ]
    if adjustment.days:
        days = adjustment.days
        goals = [metric for metric in metrics if metric.planned.role == "goal"]
        others = [metric for metric in metrics if metric.planned.role != "goal"]
        for metric in [*goals, *others]:
            history = metric.type.history(metric.params)
            wanted += [_before(history[0], days), _before(history[0], LONGER * days)]
            if metric in goals:
                wanted += [_before(total, days) for total in history[1:]]
    return list(dict.fromkeys(wanted))[:MOST_COVARIATES]


def covariate_cuts(covariates: Sequence[Column]) -> list[Cut]:
    """Name the quantiles at which covariates are capped."""
    return [
        Cut(column, COVARIATE_CAP)
        for column in covariates
        if isinstance(column, Total) and column.how != "any"
    ]


def lay_out(
    metrics: Sequence[Measured],
    covariates: Sequence[Column],
    thresholds: Sequence[Sequence[float]],
) -> Layout:
    """Place every column once.

    Args:
        metrics: The plan's metrics.
        covariates: As `find_covariates` chose them.
        thresholds: The values at the cuts of every metric in turn, then at the covariates' cuts.
    """
    places: dict[Column, int] = {}
    found = iter(thresholds)
    placed = []
    for metric in metrics:
        own = tuple(tuple(next(found)) for _ in metric.cuts)
        columns = metric.type.columns(metric.params, own)
        indices = tuple(places.setdefault(column, len(places)) for column in columns)
        placed.append(Placed(metric, own, indices))
    capped = [_cap(column, found) for column in covariates]
    indices = tuple(places.setdefault(column, len(places)) for column in capped)
    names = tuple(_name(column) for column in covariates)
    # Last, so that what is compared stands where it would without them.
    metrics_placed = tuple(_place_uncapped(metric, places) for metric in placed)
    return Layout(tuple(places), metrics_placed, indices, names)


def _place_uncapped(placed: Placed, places: dict[Column, int]) -> Placed:
    params = placed.measured.params
    bare = uncap(params)
    if bare is params:
        return placed
    columns = placed.measured.type.columns(bare, ())
    return replace(placed, bare=tuple(places.setdefault(column, len(places)) for column in columns))


def _before(total: Total, days: int) -> Total:
    return total.before(days * SECONDS_PER_DAY)


def _cap(column: Column, thresholds: Iterator[Sequence[float]]) -> Column:
    """Cap a covariate at its threshold, where any customer has something to cap."""
    if not isinstance(column, Total) or column.how == "any":
        return column
    values = next(thresholds)
    return replace(column, cap=max(values[0], 0.0)) if values else column


def _name(column: Column) -> str:
    """Say what a covariate is."""
    match column:
        case Predicted():
            known = "whether there is a prediction" if column.is_known else "prediction"
            return f"{known} \u201c{column.name}\u201d"
        case Total():
            what = {"any": "any", "count": "number of", "sum": "total of"}[column.how]
            less = f" less {column.less}" if column.less else ""
            days = -column.window.opens // SECONDS_PER_DAY
            period = "day" if days == 1 else f"{days} days"
            return f"{what} {column.events}{less} in the {period} before exposure"
    raise TypeError(f"{column} is no covariate")
