"""Seeds OpenFeature's test flags as experiments that were decided, or are paused."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.db.models import JSONField, Value
from django.utils import timezone

from experiments.lifecycle.drafting import ArmPlan, plan_experiment
from experiments.models import Arm, Experiment, Outcome, Status

# Their expressions as our audiences, with the variant for whoever is in it.
EXPRESSIONS: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "email == 'ballmer@macrosoft.com' ? 'zero' : ''": (
        {"email": "ballmer@macrosoft.com"},
        "zero",
    ),
    "!customer && email == 'ballmer@macrosoft.com' && age > 10 ? 'internal' : ''": (
        {"customer": {"$ne": True}, "email": "ballmer@macrosoft.com", "age": {"$gt": 10}},
        "internal",
    ),
}
# What is disabled leaves the value to the application: a control without a payload.
NOTHING = "code-default"


def seed_flags(path: Path) -> None:
    """Seed all flags of the file that have a default; no example asks for the others."""
    for key, flag in json.loads(path.read_text()).items():
        if flag.get("defaultVariant") is not None:
            _seed(key, flag)


def _seed(key: str, flag: Mapping[str, Any]) -> None:
    values: dict[str, Any] = dict(flag["variants"])
    control: str = flag["defaultVariant"]
    if is_disabled := flag.get("disabled", False):
        values, control = {NOTHING: None, **values}, NOTHING
    audience, served = EXPRESSIONS.get(flag.get("contextEvaluator", ""), ({}, control))
    share = 10_000 // len(values)
    experiment = plan_experiment(
        key=key,
        name=key,
        arms=[ArmPlan(name, name, share, is_control=name == control) for name in values],
        audience=dict(audience),
        is_standalone=True,
        planned_customers=100,
    )
    for name, value in values.items():
        payload = Value(None, JSONField()) if value is None else value
        Arm.objects.filter(experiment=experiment, key=name).update(payload=payload)
    now = timezone.now()
    row = Experiment.objects.filter(pk=experiment.pk)
    row.update(metadata=flag.get("flagMetadata") or {})
    if is_disabled:
        row.update(status=Status.PAUSED, started_at=now)
    else:
        arm = experiment.arms.get(key=served)
        row.update(
            status=Status.STOPPED,
            started_at=now,
            stopped_at=now,
            outcome=Outcome.SHIPPED,
            served_arm=arm,
        )
