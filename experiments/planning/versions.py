"""Keeps what an experiment promised: the plan at its start, and every later version."""

from datetime import datetime
from typing import cast

import msgspec

from experiments.models import Experiment, PlanVersion
from experiments.plan import (
    Adjustment,
    Extension,
    Monitoring,
    Plan,
    PlannedArm,
    PlannedMetric,
    RoleName,
    Rule,
    plan_from_json,
)


def draft_plan(experiment: Experiment) -> Plan:
    """Read the plan as it would be if the experiment started now."""
    return Plan(
        arms=tuple(
            # A halted arm keeps its buckets, but gets no more customers.
            PlannedArm(arm.key, arm.name, 0 if arm.halted_at else arm.weight, arm.is_control)
            for arm in experiment.arms.all()
        ),
        metrics=tuple(
            PlannedMetric(
                key=row.metric.key,
                name=row.metric.name,
                kind=row.metric.kind,
                params=row.metric.params,
                higher_is_better=row.metric.higher_is_better,
                role=cast(RoleName, row.role),
                margin=row.margin,
            )
            for row in experiment.measured.select_related("metric")
        ),
        planned_customers=experiment.planned_customers,
        minimum_days=experiment.minimum_days,
        monitoring=Monitoring(cast(Rule, experiment.monitoring)),
        adjustment=Adjustment(
            days=experiment.history_days,
            prediction=experiment.prediction or None,
            strata=experiment.strata or None,
        ),
        segments=tuple(experiment.segments),
    )


def record_plan(
    experiment: Experiment, *, now: datetime, extension: Extension | None = None
) -> PlanVersion:
    """Fix the plan as it is, from now on, beside the versions before it.

    Args:
        experiment: As it is now.
        now: From when on.
        extension: That more customers are planned by this version.
    """
    last = experiment.plans.last()
    extensions = () if last is None else read_plan(last).extensions
    plan = msgspec.structs.replace(
        draft_plan(experiment), extensions=extensions + ((extension,) if extension else ())
    )
    return PlanVersion.objects.create(
        experiment=experiment,
        number=experiment.plans.count() + 1,
        plan=plan.to_json(),
        digest=plan.digest,
        valid_from=now,
    )


def read_plan(version: PlanVersion) -> Plan:
    """Return the plan of a version."""
    return plan_from_json(version.plan)
