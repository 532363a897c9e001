"""Draft experiments: their arms, their metrics, and what they promise."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from django.db import transaction

from experiments.models import Arm, Experiment, ExperimentMetric, Metric, Role


@dataclass(frozen=True, slots=True)
class ArmPlan:
    """An arm that an experiment is to have; `weight` in buckets of 10,000."""

    key: str
    name: str
    weight: int
    is_control: bool = False
    payload: Mapping[str, Any] = field(default_factory=dict)


def plan_experiment(
    *,
    key: str,
    name: str,
    arms: Sequence[ArmPlan],
    goal: Metric | None = None,
    others: Sequence[Metric] = (),
    guardrails: Mapping[Metric, float | None] = MappingProxyType({}),
    seed: str = "",
    **promises: Any,
) -> Experiment:
    """Make a draft with its arms and metrics, and a seed of its own unless one is given.

    Args:
        key: Of the experiment.
        name: For people.
        arms: All arms, in their order.
        goal: The metric that decides, if it is known yet.
        others: Metrics that explain.
        guardrails: Metrics that must not be harmed, each with the loss that is acceptable, if any.
        seed: Decides who falls into which arm.
        promises: Fields of the experiment that its plan is made of, such as `planned_customers`.
    """
    with transaction.atomic():
        experiment = Experiment.objects.create(
            key=key,
            name=name,
            seed=seed or f"{key}:{secrets.token_hex(4)}",
            **promises,
        )
        Arm.objects.bulk_create(
            Arm(
                experiment=experiment,
                key=arm.key,
                name=arm.name,
                weight=arm.weight,
                is_control=arm.is_control,
                payload=dict(arm.payload),
                position=position,
            )
            for position, arm in enumerate(arms)
        )
        parts: list[tuple[Metric, Role, float | None]] = [
            *([(goal, Role.GOAL, None)] if goal is not None else []),
            *((metric, Role.GUARDRAIL, margin) for metric, margin in guardrails.items()),
            *((metric, Role.SECONDARY, None) for metric in others),
        ]
        for position, (metric, role, margin) in enumerate(parts):
            ExperimentMetric.objects.create(
                experiment=experiment, metric=metric, role=role, margin=margin, position=position
            )
    return experiment
