"""The fourth step: what decides, what must not be harmed, and what explains."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.db import transaction

from experiments.models import Experiment, ExperimentMetric, Metric, Role
from experiments.setup.base import Step

MOST_GUARDRAILS = 8


class MetricsStep(Step):
    """One goal, guardrails with margins, and any number of others."""

    title = "Metrics"
    explanation = (
        "The goal decides. Guardrails must not be harmed. Others explain, and are judged only "
        "once the goal is."
    )
    template = "experiments/setup/metrics.html"

    goal = forms.ModelChoiceField(Metric.objects.order_by("name"), empty_label="choose …")
    secondary = forms.ModelMultipleChoiceField(
        Metric.objects.order_by("name"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Also measure",
    )

    def __init__(self, experiment: Experiment, data: Mapping[str, Any] | None = None) -> None:
        """Have as many guardrails as are there, or were asked for."""
        super().__init__(experiment, data)
        self.guardrails = self.count_of("guardrail", at_least=1, at_most=MOST_GUARDRAILS)
        for i in range(self.guardrails):
            self.fields[f"guardrail_{i}"] = forms.ModelChoiceField(
                Metric.objects.order_by("name"),
                required=False,
                empty_label="choose …" if i == 0 else "none",
                label=f"Guardrail {i + 1}",
            )
            self.fields[f"margin_{i}"] = forms.DecimalField(
                required=False,
                min_value=0.1,
                max_value=99,
                label=f"Acceptable loss {i + 1} in per cent",
            )

    @classmethod
    def read(cls, experiment: Experiment) -> dict[str, Any]:
        """Return what the draft says."""
        rows = list(experiment.measured.all())
        guardrails = [row for row in rows if row.role == Role.GUARDRAIL]
        found: dict[str, Any] = {
            "goal": next((row.metric_id for row in rows if row.role == Role.GOAL), None),
            "secondary": [row.metric_id for row in rows if row.role == Role.SECONDARY],
            "guardrail_count": len(guardrails),
        }
        for i, row in enumerate(guardrails):
            found[f"guardrail_{i}"] = row.metric_id
            found[f"margin_{i}"] = None if row.margin is None else f"{100 * row.margin:g}"
        return found

    def clean(self) -> dict[str, Any]:
        """Refuse a metric with two roles, and a margin without its guardrail."""
        cleaned = super().clean() or {}
        seen = {cleaned.get("goal")} - {None}
        for i in range(self.guardrails):
            metric = cleaned.get(f"guardrail_{i}")
            if metric in seen:
                self.add_error(f"guardrail_{i}", f"{metric} is chosen already.")
            elif metric is None and cleaned.get(f"margin_{i}") is not None:
                self.add_error(f"guardrail_{i}", "Of which metric?")
            seen |= {metric} - {None}
        twice = [metric.name for metric in cleaned.get("secondary") or [] if metric in seen]
        if twice:
            self.add_error("secondary", f"{', '.join(twice)}: chosen above already.")
        return cleaned

    def write(self) -> None:
        """Save them in order of importance."""
        cleaned = self.cleaned_data
        parts: list[tuple[Metric, Role, float | None]] = [(cleaned["goal"], Role.GOAL, None)]
        for i in range(self.guardrails):
            if metric := cleaned[f"guardrail_{i}"]:
                margin = cleaned[f"margin_{i}"]
                parts.append(
                    (metric, Role.GUARDRAIL, None if margin is None else float(margin) / 100)
                )
        parts += [(metric, Role.SECONDARY, None) for metric in cleaned["secondary"]]
        with transaction.atomic():
            self.experiment.measured.all().delete()
            ExperimentMetric.objects.bulk_create(
                ExperimentMetric(
                    experiment=self.experiment,
                    metric=metric,
                    role=role,
                    margin=margin,
                    position=position,
                )
                for position, (metric, role, margin) in enumerate(parts)
            )
