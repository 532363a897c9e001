"""The SQL behind a report: the statements that gave its moments, as they run on PostgreSQL."""

from collections.abc import Mapping

from experiments.measuring.queries import count_exposures, find_layout
from experiments.models import Analysis, Experiment
from experiments.plan import Plan, plan_from_json
from experiments.planning.phases import Phases, find_weights
from experiments.sql.columns import Scope
from experiments.sql.statements import (
    AttributeDimension,
    exposures_statement,
    moments_statement,
)


def to_sql(experiment: Experiment, analysis: Analysis) -> str:
    """Write the statements of a stored analysis, with what each column is.

    Thresholds, such as the percentile of a cap, are found anew as of the analysis's time.
    """
    plan = plan_from_json(analysis.moments["plan"])
    now = analysis.computed_at
    exposed = count_exposures(experiment.pk, now=now)
    first_at = min((group.first_at for group in exposed), default=now)
    scope = Scope(experiment.pk, first_at, now)
    layout = find_layout(scope, plan.metrics, plan.adjustment)
    attributes = dict.fromkeys(
        [*plan.segments, *([plan.adjustment.strata] if plan.adjustment.strata else [])]
    )
    by_attribute = [AttributeDimension(name) for name in attributes]
    columns = "\n".join(
        f"--   {number}: {_comment(str(column))}"
        for number, column in enumerate(layout.columns, start=1)
    )
    places = "\n".join(
        f"--   {_comment(placed.measured.planned.name)}: columns "
        f"{', '.join(str(place + 1) for place in placed.own)}"
        for placed in layout.metrics
    )
    served = find_weights(list(experiment.plans.filter(valid_from__lte=now)))
    exposures = exposures_statement(scope, served.starts, by_attribute)
    moments = moments_statement(scope, layout.columns, by_attribute, served.starts).text
    phase = "phase, " if served.starts else ""
    return f"""-- {_comment(experiment.name)}, as of {now.isoformat()}
-- Arms: {_arms(plan, experiment)}
{_phases(served)}
-- Who was exposed: phase, arm, whether each attribute is left out with its value, how many people,
-- and when the first and the last of them was.
{exposures};

-- What they did: {phase}arm, whether each attribute is left out with its value, how many people,
-- the mean of every column, the lower triangle of their covariances row by row, and the largest
-- values.
-- A row without an arm counts people who were met in two.
-- The columns:
{columns}
-- The metrics:
{places}
{moments};
"""


def _phases(served: Phases) -> str:
    """Say which weights were served in each phase, where they changed."""
    if not served.starts:
        return ""
    return "".join(
        f"-- Phase {number}: {' or '.join(map(_say_weights, weights))}\n"
        for number, weights in enumerate(served.weights)
    )


def _say_weights(weights: Mapping[str, int]) -> str:
    return ", ".join(f"{_comment(arm)} {weight}" for arm, weight in weights.items())


def _arms(plan: Plan, experiment: Experiment) -> str:
    ids = dict(experiment.arms.values_list("key", "pk"))
    return ", ".join(f"{_comment(arm.name)} is {ids[arm.key]}" for arm in plan.arms)


def _comment(words: str) -> str:
    """Keep a comment on its line."""
    return " ".join(words.split())
