"""Sorts the fields of setting up into the tables that show them, and says shares."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.forms import BoundField
from django.template import Library

from experiments.assigning.assignment import BUCKETS
from experiments.setup.arms import ArmsStep
from experiments.setup.audience import AudienceStep
from experiments.setup.metrics import MetricsStep

register = Library()


@dataclass(frozen=True, slots=True)
class ArmFields:
    """A column of the table of arms."""

    key: BoundField
    name: BoundField
    share: BoundField
    is_control: bool


@register.filter
def arm_fields(form: ArmsStep) -> list[ArmFields]:
    """List the fields of each arm."""
    control = str(form["control"].value())
    return [
        ArmFields(
            form[f"arm_{i}_key"], form[f"arm_{i}_name"], form[f"arm_{i}_share"], control == str(i)
        )
        for i in range(form.arms)
    ]


@register.filter
def variable_fields(form: ArmsStep) -> Iterator[dict[str, Any]]:
    """List the fields of each value: its name, and what it is in every arm."""
    for j in range(form.variables):
        yield {
            "name": form[f"variable_{j}_name"],
            "values": [form[f"variable_{j}_{i}"] for i in range(form.arms)],
        }


@register.filter
def condition_fields(form: AudienceStep) -> list[list[BoundField]]:
    """List the fields of each condition."""
    names = ("attribute", "operator", "value")
    return [[form[f"{name}_{i}"] for name in names] for i in range(form.conditions)]


@register.filter
def guardrail_fields(form: MetricsStep) -> list[list[BoundField]]:
    """List the fields of each guardrail."""
    return [[form[f"guardrail_{i}"], form[f"margin_{i}"]] for i in range(form.guardrails)]


@register.filter
def share(buckets: int) -> str:
    """Say buckets as a share."""
    return f"{buckets * 100 / BUCKETS:g}%"


@register.filter
def percent(value: float) -> str:
    """Say a part of 1 as a percentage."""
    return f"{100 * value:g}%"


@register.filter
def as_json(value: Any) -> str:
    """Write a value as JSON on one line."""
    return json.dumps(value, ensure_ascii=False)
