"""Writes what columns need of each step of a statement, so that nothing is asked for twice."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from experiments.metrics.columns import (
    AtMost,
    Column,
    Events,
    Given,
    Mature,
    Reached,
    Total,
    Window,
)
from experiments.sql.conditions import (
    as_number,
    as_time,
    condition,
    from_exposure,
    is_at_most,
    is_in,
    is_mature,
    listed,
    property_of,
    quoted,
    settle,
    tame,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """Events that stand in for exposures where no experiment was run: the first one of each person.

    Attributes:
        event: Their name.
        until: Before when they count.
    """

    event: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose events are read: an experiment's customers, as of a time.

    Attributes:
        experiment_id: The experiment.
        since: When its first customer was exposed.
        now: What is later is not known yet.
        entry: What people are taken from instead of an experiment, all into one arm, number 1.
        given: What people were given, by the name that columns know it by: SQL of `customer_id`
            and `amount`, once for each time. PostgreSQL alone has it.
    """

    experiment_id: int
    since: datetime
    now: datetime
    entry: Entry | None = None
    given: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_in_postgres_alone(self) -> bool:
        """Whether other engines lack the people or what they were given."""
        return self.entry is not None or bool(self.given)


class ColumnPlan:
    """Collects what columns need of each step, so that nothing is asked for twice."""

    def __init__(self, given: Mapping[str, str] | None = None) -> None:
        self._given = given or {}
        self._names: set[str] = set()
        self._earliest = 0
        self._marks: dict[tuple[Events, Window], str] = {}
        self._numbers: dict[str, str] = {}
        self._sums: dict[str, str] = {}
        self._steps: dict[tuple[tuple[Events, ...], Window], str] = {}
        self._predictions: dict[str, str] = {}
        self.beside: dict[str, str] = {}

    def column(self, column: Column, *, now: datetime) -> str:
        """Return a column's expression over `placed`, `done` and the steps."""
        match column:
            case Total():
                total = self._capped(column, f"COALESCE({self._total(column)}, 0)")
                after = column.mature_after
                is_known = "TRUE" if after is None else is_mature(after, now)
                return f"CASE WHEN {is_known} THEN {total} ELSE 0 END"
            case Mature():
                return f"CASE WHEN {is_mature(column.after, now)} THEN 1 ELSE 0 END"
            case Reached():
                step = self._step(column.steps, column.window)
                return f"CASE WHEN {step}.reached_at IS NOT NULL THEN 1 ELSE 0 END"
            case AtMost():
                return f"COALESCE({self._at_most(column)}, 0)"
            case Given():
                return f"COALESCE({self._given_to(column.name)}.amount, 0)"
        relation = self._predicted(column.name)
        known = f"CASE WHEN {relation}.person IS NOT NULL THEN 1 ELSE 0 END"
        return known if column.is_known else tame(f"COALESCE({relation}.value, 0)")

    def values_of(self, of: Total | AtMost) -> str:
        """Return a query for the values x that are to be cut."""
        if isinstance(of, AtMost) and not of.per_customer:
            number = self._number(of.values)
            return (
                f"SELECT {number} AS x FROM happened JOIN exposed USING (person) "
                f"WHERE {self._mark(of.values.events, of.values.window)} "
                f"AND {number} IS NOT NULL AND exposed.arm_id IS NOT NULL"
            )
        total = of.values if isinstance(of, AtMost) else of
        x = self._total(total)
        counts = f"{self._counted(total)} > 0" if isinstance(of, AtMost) else f"{x} <> 0"
        return (
            f"SELECT CAST({x} AS double precision) AS x FROM done JOIN exposed USING (person) "
            f"WHERE {counts} AND exposed.arm_id IS NOT NULL"
        )

    def count_of(self, total: Total) -> str:
        """Return, over `happened`, how many events bring the number that a total adds up."""
        mark = self._mark(total.events, total.window)
        return f"sum(CASE WHEN {mark} AND {self._number(total)} IS NOT NULL THEN 1 ELSE 0 END)"

    def happened(self, scope: Scope, *, besides: str = "") -> str:
        """Write the steps with the people by their customers, and with the events that count.

        `besides` are further columns, over `event`.

        The ends of windows are worked out once a customer, not once an event: adding an interval
        to a time costs DuckDB more than all the rest of an event.
        """
        bounds: dict[int, str] = {}
        marks = "".join(
            f",\n           {condition(events)} AND {is_in(window, bounds)} AS {name}"
            for (events, window), name in self._marks.items()
        )
        numbers = "".join(
            f",\n           {as_number(property_of(key))} AS {name}"
            for key, name in self._numbers.items()
        )
        ends = "".join(
            f",\n           {from_exposure(seconds)} AS {name}" for seconds, name in bounds.items()
        )
        return f"""mapped AS (
    SELECT customer.id, exposed.person{ends}
    FROM audience_customer AS customer
    JOIN exposed ON exposed.person = COALESCE(customer.merged_into_id, customer.id)
),
happened AS (
    SELECT mapped.person, event.occurred_at, event.value{marks}{numbers}{besides}
    FROM audience_event AS event
    JOIN mapped ON mapped.id = event.customer_id
    WHERE event.name IN ({listed(quoted(name) for name in sorted(self._names))})
      AND event.occurred_at >= {as_time(self.earliest(scope))}
      AND event.occurred_at <= {as_time(scope.now)}
)"""

    def earliest(self, scope: Scope) -> datetime:
        """Return before when no event can count."""
        return scope.since - timedelta(seconds=self._earliest)

    def done(self) -> str:
        """Write the step that adds up each person's events."""
        sums = "".join(f", {expression} AS {name}" for expression, name in self._sums.items())
        return f"done AS (SELECT person{sums} FROM happened GROUP BY person)"

    def _mark(self, events: Events, window: Window) -> str:
        """Return the name of the truth value that says whether an event counts."""
        self._names.add(events.name)
        self._earliest = max(self._earliest, -window.opens)
        return self._marks.setdefault((events, window), f"k{len(self._marks)}")

    def _number(self, total: Total) -> str:
        """Return the name of the number that an event brings."""
        if not total.from_property:
            return "value"
        return self._numbers.setdefault(total.from_property, f"v{len(self._numbers)}")

    def _sum(self, expression: str) -> str:
        name = self._sums.setdefault(expression, f"e{len(self._sums)}")
        return f"done.{name}"

    def _counted(self, total: Total) -> str:
        """Return how many events of a total there are, whatever was taken back."""
        return self._sum(
            f"sum(CASE WHEN {self._mark(total.events, total.window)} THEN 1 ELSE 0 END)"
        )

    def _total(self, total: Total) -> str:
        """Return a total before its cap, null for a person without events."""
        adds = self._number(total) if total.how == "sum" else "1"
        counts = self._mark(total.events, total.window)
        cases = f"WHEN {counts} THEN {adds}"
        if total.less is not None:
            takes = f"-abs({adds})" if total.how == "sum" else "-1"
            less = self._mark(total.less, total.window)
            cases += f" WHEN {less} THEN {takes}"
            counts = f"{counts} OR {less}"
        summed = self._sum(f"sum(CASE {cases} ELSE 0 END)")
        if total.how == "any":
            return f"CASE WHEN {summed} > 0 THEN 1 ELSE 0 END"
        if total.how == "count":
            return summed
        if total.less is None:
            return tame(summed)
        return settle(summed, self._sum(f"sum(CASE WHEN {counts} THEN abs({adds}) ELSE 0 END)"))

    def _capped(self, total: Total, expression: str) -> str:
        return expression if total.cap is None else f"LEAST({expression}, {float(total.cap)!r})"

    def _at_most(self, column: AtMost) -> str:
        values, threshold = column.values, column.threshold
        if column.per_customer:
            total = f"COALESCE({self._total(values)}, 0)"
            below = "" if threshold is None else f" AND {is_at_most(total, threshold)}"
            return f"CASE WHEN {self._counted(values)} > 0{below} THEN 1 ELSE 0 END"
        number = self._number(values)
        below = f"{number} IS NOT NULL" if threshold is None else is_at_most(number, threshold)
        mark = self._mark(values.events, values.window)
        return self._sum(f"sum(CASE WHEN {mark} AND {below} THEN 1 ELSE 0 END)")

    def _step(self, steps: tuple[Events, ...], window: Window) -> str:
        """Return the name of the relation of people who went through steps, the last one's time."""
        if (steps, window) in self._steps:
            return self._steps[steps, window]
        before = self._step(steps[:-1], window) if len(steps) > 1 else None
        mark = self._mark(steps[-1], window)
        after = (
            ""
            if before is None
            else (
                f" JOIN {before} ON {before}.person = happened.person"
                f" AND happened.occurred_at >= {before}.reached_at"
            )
        )
        name = self._steps.setdefault((steps, window), f"step_{len(self._steps)}")
        self.beside[name] = (
            "SELECT happened.person, min(happened.occurred_at) AS reached_at "
            f"FROM happened{after} WHERE happened.{mark} GROUP BY happened.person"
        )
        return name

    def _given_to(self, name: str) -> str:
        """Return the name of the relation of what people were given, added up."""
        relation = f"given_{list(self._given).index(name)}"
        self.beside[relation] = f"""SELECT exposed.person, sum(given.amount) AS amount
        FROM ({self._given[name]}) AS given
        JOIN audience_customer AS customer ON customer.id = given.customer_id
        JOIN exposed ON exposed.person = COALESCE(customer.merged_into_id, customer.id)
        GROUP BY exposed.person"""
        return relation

    def _predicted(self, prediction: str) -> str:
        """Return the name of the relation of people's last predictions before exposure."""
        name = self._predictions.setdefault(prediction, f"predicted_{len(self._predictions)}")
        self.beside[name] = f"""SELECT person, value FROM (
        SELECT exposed.person, prediction.value,
               row_number() OVER (PARTITION BY exposed.person ORDER BY
                   prediction.predicted_at DESC, prediction.id DESC) AS place
        FROM experiments_prediction AS prediction
        JOIN audience_customer AS customer ON customer.id = prediction.customer_id
        JOIN exposed ON exposed.person = COALESCE(customer.merged_into_id, customer.id)
        WHERE prediction.name = {quoted(prediction)}
          AND prediction.predicted_at < exposed.exposed_at
    ) AS ranked WHERE place = 1"""
        return name
