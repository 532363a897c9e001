"""Writes the SQL that turns exposures and events into numbers, in words that every engine knows.

A statement is in PostgreSQL's dialect, carries its values in itself and reads four relations:
`experiments_exposure`, `experiments_prediction`, `audience_customer` and `audience_event`. It uses
only what every engine of `experiments/engines` has, so that one expression gives the same numbers
on all of them. Its steps:

    exposed      who met the experiment: person, arm, time. A customer merged into another counts
                 as that other; whoever was met in two arms, which only a merge can do, belongs to
                 neither, and has no arm.
    placed       the same with the segments that each person belongs to.
    happened     the events of these people that some column may count.
    step_…       when each step of a funnel was reached.
    predicted_…  the last prediction before exposure.
    given_…      what a person was given, added up.
    done         the events of a person added up, one row for whoever had any.
    contributed  the columns, one row for each person.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from experiments.metrics.columns import CURRENCY, AtMost, Column, Total
from experiments.sql.columns import ColumnPlan, Scope
from experiments.sql.conditions import as_time, listed, property_of, quoted

# A segment by a property with more values than these has the rest of them together.
MOST_SEGMENTS = 20
NOT_KNOWN, THE_REST = "(none)", "(other)"


@dataclass(frozen=True, slots=True)
class AttributeDimension:
    """Segments by an attribute of the customer."""

    name: str


@dataclass(frozen=True, slots=True)
class ExperimentDimension:
    """Segments by the arm of another experiment that the customer met."""

    experiment_id: int


Dimension = AttributeDimension | ExperimentDimension


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL, and before when no event is needed to answer it."""

    text: str
    since: datetime


def exposures_statement(
    scope: Scope, phases: Sequence[datetime], dimensions: Sequence[Dimension] = ()
) -> str:
    """Ask who was exposed, for each phase and arm, and for these in each segment.

    A row has the phase, the arm's id; for each dimension whether it is left out (1) and its value;
    the number of people, and the first and the last time.

    Args:
        scope: The experiment.
        phases: When each phase began, the first one aside.
        dimensions: How people are divided into segments.
    """
    keys = [f"d{index}" for index in range(len(dimensions))]
    groups = ["(phase, arm_id)", *(f"(phase, arm_id, {key})" for key in keys)]
    return f"""
WITH {_exposed(scope)},
{_placed(scope, dimensions)},
phased AS (SELECT {_phase(phases)} AS phase, placed.* FROM placed)
SELECT phase, arm_id, {"".join(f"GROUPING({key}), {key}, " for key in keys)}count(*),
       min(exposed_at), max(exposed_at)
FROM phased GROUP BY GROUPING SETS ({listed(groups)})
"""


def arrivals_statement(
    scope: Scope, names: Iterable[str], *, live_since: datetime, per_day: int
) -> Statement:
    """Ask how events came in: by name, how many, how many late, the last; by arm, who did too much.

    A row has the name or the arm, the other being null, and three numbers and a time: of a name,
    its events, how many of them came more than a day after they happened, 0 and the last one's
    time; of an arm, all its events, those of customers with more than so many in a day, the number
    of these customers, and null.

    Args:
        scope: The experiment.
        names: Of the events.
        live_since: What happened before was imported later, and cannot be called late.
        per_day: The most events that a person makes in a day.
    """
    text = f"""
WITH {_exposed(scope)},
daily AS (
    SELECT exposed.person, exposed.arm_id, event.name, CAST(event.occurred_at AS date) AS day,
           count(*) AS events, max(event.occurred_at) AS last_at,
           sum(CASE WHEN event.occurred_at >= {as_time(live_since)}
                     AND event.received_at > event.occurred_at + INTERVAL '86400 seconds'
                    THEN 1 ELSE 0 END) AS late
    FROM audience_event AS event
    JOIN audience_customer AS customer ON customer.id = event.customer_id
    JOIN exposed ON exposed.person = COALESCE(customer.merged_into_id, customer.id)
    WHERE event.name IN ({listed(quoted(name) for name in sorted(set(names)))})
      AND event.occurred_at >= {as_time(scope.since)} AND event.occurred_at <= {as_time(scope.now)}
      AND event.occurred_at >= exposed.exposed_at AND exposed.arm_id IS NOT NULL
    GROUP BY exposed.person, exposed.arm_id, event.name, CAST(event.occurred_at AS date)
),
days AS (SELECT person, arm_id, day, sum(events) AS events FROM daily GROUP BY person, arm_id, day),
people AS (
    SELECT person, arm_id, sum(events) AS events, max(events) AS busiest
    FROM days GROUP BY person, arm_id
)
SELECT name, NULL AS arm_id, sum(events), sum(late), 0, max(last_at) FROM daily GROUP BY name
UNION ALL
SELECT NULL, arm_id, sum(events), sum(CASE WHEN busiest > {per_day} THEN events ELSE 0 END),
       sum(CASE WHEN busiest > {per_day} THEN 1 ELSE 0 END), NULL
FROM people GROUP BY arm_id
"""
    return Statement(text, scope.since)


def currencies_statement(scope: Scope, totals: Sequence[Total]) -> Statement:
    """Ask for the events that bring the numbers that totals add up, by their currency.

    A row has the currency as three letters, null of events that say none, and for each total how
    many events there are. What totals take back has to be asked for by itself.
    """
    plan = ColumnPlan()
    counts = listed(plan.count_of(total) for total in totals)
    said = property_of(CURRENCY)
    currency = f", CASE WHEN {said} ~ '^[A-Za-z]{{3}}$' THEN {said} END AS currency"
    text = f"""
WITH {_exposed(scope)},
{plan.happened(scope, besides=currency)}
SELECT happened.currency, {counts}
FROM happened JOIN exposed USING (person)
WHERE exposed.arm_id IS NOT NULL
GROUP BY happened.currency
"""
    return Statement(text, plan.earliest(scope))


def moments_statement(
    scope: Scope,
    columns: Sequence[Column],
    dimensions: Sequence[Dimension] = (),
    phases: Sequence[datetime] = (),
) -> Statement:
    """Ask for the moments of columns, for each arm and for each arm in each segment.

    A row has the phase, where people came in several; the arm's id; for each dimension whether it
    is left out (1) and its value; the number of people; and three lists: the mean of each column,
    their covariances pair by pair (row i of the lower triangle after row i - 1; null for a single
    person), and the largest values.

    Args:
        scope: The experiment.
        columns: Of what.
        dimensions: How people are divided into segments.
        phases: When each phase began, the first one aside.
    """
    names = [f"c{index}" for index in range(len(columns))]
    pairs = [f"covar_samp({names[i]}, {names[j]})" for i in range(len(names)) for j in range(i + 1)]
    keys = [f"d{index}" for index in range(len(dimensions))]
    own = "phase, arm_id" if phases else "arm_id"
    groups = [f"({own})", *(f"({own}, {key})" for key in keys)]
    plan = ColumnPlan(scope.given)
    text = f"""
WITH {_contributed(plan, scope, columns, dimensions, phases=phases)}
SELECT {own}, {"".join(f"GROUPING({key}), {key}, " for key in keys)}count(*),
       ARRAY[{listed(f"avg({name})" for name in names)}],
       ARRAY[{listed(pairs)}],
       ARRAY[{listed(f"max({name})" for name in names)}]
FROM contributed
GROUP BY GROUPING SETS ({listed(groups)})
"""
    return Statement(text, plan.earliest(scope))


def count_statement(scope: Scope, values: Sequence[AtMost]) -> Statement:
    """Ask how many values there are of each kind, over all arms: one row, a column for each."""
    counts = listed(f"COALESCE(sum(c{index}), 0)" for index in range(len(values)))
    plan = ColumnPlan()
    text = f"""
WITH {_contributed(plan, scope, values, ())}
SELECT {counts} FROM contributed WHERE arm_id IS NOT NULL
"""
    return Statement(text, plan.earliest(scope))


def quantiles_statement(
    scope: Scope, cuts: Sequence[tuple[Total | AtMost, Sequence[float]]]
) -> Statement:
    """Ask for interpolated quantiles over all arms: one row, a list of numbers for each cut.

    Of a total, over the customers for whom it is not zero; of values, over all of them. The list
    is null where there is nothing to cut.
    """
    plan = ColumnPlan()
    sources = [plan.values_of(of) for of, _ in cuts]
    ctes = [f"cut_{index} AS ({source})" for index, source in enumerate(sources)]
    selected = [
        f"(SELECT percentile_cont(ARRAY[{listed(repr(float(level)) for level in levels)}])"
        f" WITHIN GROUP (ORDER BY x) FROM cut_{index})"
        for index, (_, levels) in enumerate(cuts)
    ]
    text = f"""
WITH {_exposed(scope)},
{plan.happened(scope)},
{plan.done()},
{", ".join(ctes)}
SELECT {listed(selected)}
"""
    return Statement(text, plan.earliest(scope))


def _contributed(
    plan: ColumnPlan,
    scope: Scope,
    columns: Sequence[Column],
    dimensions: Sequence[Dimension],
    *,
    most: int | None = None,
    phases: Sequence[datetime] = (),
) -> str:
    """Write every step up to the columns, and leave in the plan what they need."""
    expressions = [plan.column(column, now=scope.now) for column in columns]
    selected = listed(
        f"CAST({expression} AS double precision) AS c{index}"
        for index, expression in enumerate(expressions)
    )
    keys = "".join(f", placed.d{index}" for index in range(len(dimensions)))
    keys += f", {_phase(phases)} AS phase" if phases else ""
    joins = "".join(
        f"\n    LEFT JOIN {name} ON {name}.person = placed.person" for name in plan.beside
    )
    beside = "".join(f"{name} AS ({text}),\n" for name, text in plan.beside.items())
    exposed = _exposed(scope) if most is None else _sampled(scope, most)
    return f"""{exposed},
{_placed(scope, dimensions)},
{plan.happened(scope)},
{beside}{plan.done()},
contributed AS (
    SELECT placed.arm_id{keys}, {selected}
    FROM placed
    LEFT JOIN done ON done.person = placed.person{joins}
)"""


def values_statement(
    scope: Scope, columns: Sequence[Column], *, most: int | None = None
) -> Statement:
    """Ask for the columns' values of each person, or of a sample of so many, always the same."""
    plan = ColumnPlan(scope.given)
    names = ", ".join(f"c{index}" for index in range(len(columns)))
    contributed = _contributed(plan, scope, columns, (), most=most)
    text = f"WITH {contributed} SELECT {names} FROM contributed"
    return Statement(text, plan.earliest(scope))


def days_statement(scope: Scope) -> Statement:
    """Ask how many people were exposed on each day (UTC)."""
    text = f"""
WITH {_exposed(scope)}
SELECT CAST(exposed_at AS date) AS day, count(*) FROM exposed GROUP BY CAST(exposed_at AS date)
"""
    return Statement(text, scope.since)


def _phase(starts: Sequence[datetime]) -> str:
    """Number the phase in which somebody was exposed, from 0 on."""
    begun = (f"CASE WHEN placed.exposed_at >= {as_time(at)} THEN 1 ELSE 0 END" for at in starts)
    return " + ".join(["0", *begun])


def _exposed(scope: Scope, *, name: str = "exposed") -> str:
    if scope.entry is not None:
        return f"""{name} AS (
    SELECT COALESCE(customer.merged_into_id, customer.id) AS person, 1 AS arm_id,
           min(event.occurred_at) AS exposed_at
    FROM audience_event AS event
    JOIN audience_customer AS customer ON customer.id = event.customer_id
    WHERE event.name = {quoted(scope.entry.event)}
      AND event.occurred_at >= {as_time(scope.since)}
      AND event.occurred_at < {as_time(scope.entry.until)}
    GROUP BY COALESCE(customer.merged_into_id, customer.id)
)"""
    return f"""{name} AS (
    SELECT COALESCE(customer.merged_into_id, customer.id) AS person,
           CASE WHEN min(exposure.arm_id) = max(exposure.arm_id) THEN min(exposure.arm_id) END
               AS arm_id,
           min(exposure.exposed_at) AS exposed_at
    FROM experiments_exposure AS exposure
    JOIN audience_customer AS customer ON customer.id = exposure.customer_id
    WHERE exposure.experiment_id = {scope.experiment_id}
      AND exposure.exposed_at <= {as_time(scope.now)}
    GROUP BY COALESCE(customer.merged_into_id, customer.id)
)"""


def _sampled(scope: Scope, most: int) -> str:
    """Take people whose numbers, well mixed, come first: a draw that every engine does alike."""
    # Knuth's multiplier is odd, so nobody shares a mixed number with another below 2^32 people.
    return f"""{_exposed(scope, name="everybody")},
exposed AS (
    SELECT person, arm_id, exposed_at FROM everybody
    ORDER BY person * 2654435761 % 4294967296, person LIMIT {most}
)"""


def _placed(scope: Scope, dimensions: Sequence[Dimension]) -> str:
    """Give each person its segments, the small ones of a dimension together."""
    if not dimensions:
        return "placed AS (SELECT person, arm_id, exposed_at FROM exposed)"
    ctes, joins, raw = [], [], []
    for index, dimension in enumerate(dimensions):
        if isinstance(dimension, AttributeDimension):
            raw.append(f"COALESCE(who.attributes ->> {quoted(dimension.name)}, '{NOT_KNOWN}')")
        else:
            other = Scope(dimension.experiment_id, scope.since, scope.now)
            ctes.append(_exposed(other, name=f"other_{index}"))
            joins.append(f" LEFT JOIN other_{index} ON other_{index}.person = exposed.person")
            raw.append(f"COALESCE(CAST(other_{index}.arm_id AS varchar), '{NOT_KNOWN}')")
    selected = listed(f"{value} AS raw_{index}" for index, value in enumerate(raw))
    ctes.append(f"""belongs AS (
    SELECT exposed.person, exposed.arm_id, exposed.exposed_at, {selected}
    FROM exposed JOIN audience_customer AS who ON who.id = exposed.person{"".join(joins)}
)""")
    tops, keys = [], []
    for index in range(len(raw)):
        ctes.append(f"""top_{index} AS (
    SELECT raw_{index} AS top_value FROM belongs GROUP BY raw_{index}
    ORDER BY count(*) DESC, raw_{index} COLLATE "C" LIMIT {MOST_SEGMENTS}
)""")
        tops.append(f" LEFT JOIN top_{index} ON top_{index}.top_value = belongs.raw_{index}")
        keys.append(f"COALESCE(top_{index}.top_value, '{THE_REST}') AS d{index}")
    ctes.append(f"""placed AS (
    SELECT belongs.person, belongs.arm_id, belongs.exposed_at, {listed(keys)}
    FROM belongs{"".join(tops)}
)""")
    return ",\n".join(ctes)
