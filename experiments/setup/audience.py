"""The third step: who takes part, how many of them, and which experiments come before."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.db import transaction

from audience.customers.sampling import sample_attributes
from audience.typed import to_scalar
from experiments.assigning.assignment import BUCKETS
from experiments.models import LIVE, Arm, ExclusionGroup, Experiment, Prerequisite
from experiments.setup.base import Step
from experiments.setup.groups import NoRoom, find_room, read_group

MOST_CONDITIONS = 8

OPERATORS = {
    "is": "$eq",
    "is not": "$ne",
    "is one of": "$in",
    "is none of": "$nin",
    "is at least": "$gte",
    "is at most": "$lte",
    "is known": "$exists",
    "is not known": "$exists",
}


class AudienceStep(Step):
    """Conditions that all have to hold, traffic, exclusion, hold-outs and prerequisites."""

    title = "Audience"
    explanation = "Who may take part. Without a condition it is everybody who comes."
    template = "experiments/setup/audience.html"

    traffic = forms.DecimalField(
        label="How many of them, in per cent",
        min_value=0.01,
        max_value=100,
        decimal_places=2,
        initial=100,
        help_text="Begin with few if it may go wrong; more can be let in later, and nobody "
        "changes arms by that.",
    )
    group = forms.ModelChoiceField(
        ExclusionGroup.objects.all(),
        required=False,
        label="Exclusion group",
        empty_label="none",
        help_text="Experiments of a group share no customers.",
    )
    new_group = forms.CharField(required=False, max_length=100, label="Or a new group, named")
    group_share = forms.DecimalField(
        required=False,
        label="Share of the group in per cent",
        min_value=0.01,
        max_value=100,
        decimal_places=2,
    )
    holdouts = forms.ModelMultipleChoiceField(
        Experiment.objects.none(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Keep to hold-outs",
        help_text="Their customers do not take part, so that the sum of all can be measured.",
    )
    requires = forms.ModelChoiceField(
        Arm.objects.none(),
        required=False,
        label="Only customers who have",
        empty_label="no other experiment's arm is required",
    )

    def __init__(self, experiment: Experiment, data: Mapping[str, Any] | None = None) -> None:
        """Offer what there is."""
        super().__init__(experiment, data)
        self.conditions = self.count_of("condition", at_least=1, at_most=MOST_CONDITIONS)
        sample = sample_attributes()
        self.attributes = sorted({name for row in sample for name in row})
        # A postcode is a text, whatever it looks like.
        self.texts = {
            name
            for name in self.attributes
            if all(isinstance(row[name], str) for row in sample if name in row)
        }
        for i in range(self.conditions):
            self.fields[f"attribute_{i}"] = forms.CharField(
                required=False,
                max_length=100,
                label=f"Attribute {i + 1}",
                widget=forms.TextInput(attrs={"list": "attributes", "autocomplete": "off"}),
            )
            self.fields[f"operator_{i}"] = forms.ChoiceField(
                required=False,
                choices=[(word, word) for word in OPERATORS],
                label=f"Comparison {i + 1}",
            )
            self.fields[f"value_{i}"] = forms.CharField(
                required=False, max_length=1000, label=f"Value {i + 1}"
            )
        others = Experiment.objects.exclude(pk=experiment.pk)
        self._field("holdouts").queryset = others.filter(is_holdout=True, status__in=LIVE)
        self._field("requires").queryset = (
            Arm.objects.filter(
                experiment__in=others.filter(is_standalone=True, is_holdout=False),
                experiment__started_at__isnull=False,
            )
            .select_related("experiment")
            .order_by("-experiment__started_at", "position")
        )
        self._field("requires").label_from_instance = lambda arm: f"{arm} of {arm.experiment}"
        if experiment.is_holdout:
            for name in ("holdouts", "requires", "group", "new_group", "group_share"):
                del self.fields[name]

    def _field(self, name: str) -> Any:
        return self.fields[name]

    @classmethod
    def read(cls, experiment: Experiment) -> dict[str, Any]:
        """Return what the draft says."""
        rows = _to_rows(experiment.audience)
        required = list(experiment.prerequisites.select_related("arm__experiment"))
        found: dict[str, Any] = {
            "condition_count": len(rows),
            "traffic": f"{experiment.traffic * 100 / BUCKETS:g}",
            "group": experiment.group_id,
            "holdouts": [
                row.arm.experiment_id for row in required if row.arm.experiment.is_holdout
            ],
            "requires": next(
                (row.arm_id for row in required if not row.arm.experiment.is_holdout), None
            ),
        }
        if experiment.group_id is not None:
            share = experiment.group_until - experiment.group_from
            found["group_share"] = f"{share * 100 / BUCKETS:g}"
        for i, (attribute, operator, value) in enumerate(rows):
            found |= {f"attribute_{i}": attribute, f"operator_{i}": operator, f"value_{i}": value}
        return found

    def clean(self) -> dict[str, Any]:
        """Refuse conditions without a value, and a share that the group does not have."""
        cleaned = super().clean() or {}
        for i in range(self.conditions):
            operator, value = cleaned.get(f"operator_{i}") or "is", cleaned.get(f"value_{i}")
            if cleaned.get(f"attribute_{i}") and not value and OPERATORS[operator] != "$exists":
                self.add_error(f"value_{i}", "Say what it is compared with.")
            is_order = operator in ("is at least", "is at most")
            if is_order and value and not isinstance(to_scalar(value), int | float):
                self.add_error(f"value_{i}", "Compare with a number.")
        if cleaned.get("group") and cleaned.get("new_group"):
            self.add_error("new_group", "Choose a group or name a new one.")
        if (cleaned.get("group") or cleaned.get("new_group")) and not cleaned.get("group_share"):
            self.add_error("group_share", "How much of the group may this experiment have?")
        group = cleaned.get("group")
        if group and cleaned.get("group_share"):
            try:
                find_room(group, _buckets(cleaned["group_share"]), besides=self.experiment)
            except NoRoom as error:
                self.add_error("group_share", str(error))
        return cleaned

    @property
    def condition(self) -> dict[str, Any]:
        """The audience as a condition; of rows that are filled in."""
        cleaned = self.cleaned_data
        rows = [
            self._to_condition(
                attribute, cleaned.get(f"operator_{i}") or "is", cleaned[f"value_{i}"]
            )
            for i in range(self.conditions)
            if (attribute := cleaned.get(f"attribute_{i}"))
            and (
                cleaned.get(f"value_{i}")
                or OPERATORS[cleaned[f"operator_{i}"] or "is"] == "$exists"
            )
        ]
        if len(rows) < 2:
            return rows[0] if rows else {}
        return {"$and": rows}

    def _to_condition(self, attribute: str, operator: str, value: str) -> dict[str, Any]:
        code = OPERATORS[operator]
        if code == "$exists":
            return {attribute: {"$exists": operator == "is known"}}
        read = str if attribute in self.texts else to_scalar
        if code in ("$in", "$nin"):
            return {attribute: {code: [read(part.strip()) for part in value.split(",")]}}
        if code in ("$gte", "$lte"):
            read = to_scalar
        return {attribute: {code: read(value)}}

    def write(self) -> None:
        """Save it."""
        cleaned, experiment = self.cleaned_data, self.experiment
        with transaction.atomic():
            experiment.audience = self.condition
            experiment.traffic = _buckets(cleaned["traffic"])
            group = cleaned.get("group") or read_group(cleaned.get("new_group") or "")
            experiment.group = group
            experiment.group_from = experiment.group_until = 0
            if group is not None:
                # Whoever saves at the same moment looks for room after this one has taken its own.
                ExclusionGroup.objects.select_for_update(no_key=True).get(pk=group.pk)
                share = _buckets(cleaned["group_share"])
                try:
                    experiment.group_from = find_room(group, share, besides=experiment)
                except NoRoom as error:
                    raise forms.ValidationError(str(error)) from error
                experiment.group_until = experiment.group_from + share
            experiment.save(
                update_fields=["audience", "traffic", "group", "group_from", "group_until"]
            )
            experiment.prerequisites.all().delete()
            arms = [
                holdout.arms.get(is_control=False) for holdout in cleaned.get("holdouts") or []
            ] + ([cleaned["requires"]] if cleaned.get("requires") else [])
            Prerequisite.objects.bulk_create(
                Prerequisite(experiment=experiment, arm=arm) for arm in arms
            )


def keep_to_holdouts(experiment: Experiment) -> None:
    """Let a new draft leave out the customers of every hold-out, until somebody says otherwise.

    But for the one from all campaigns, which is to measure campaigns alone.
    """
    open_arms = Arm.objects.filter(
        experiment__is_holdout=True,
        experiment__is_global=False,
        experiment__status__in=LIVE,
        is_control=False,
    )
    Prerequisite.objects.bulk_create(
        Prerequisite(experiment=experiment, arm=arm) for arm in open_arms
    )


def _buckets(percent: Any) -> int:
    return max(int(percent * BUCKETS / 100), 1)


def _to_rows(condition: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Turn a condition that this page wrote back into rows."""
    words = {code: word for word, code in OPERATORS.items() if code != "$exists"}
    rows = []
    for part in condition.get("$and", [condition] if condition else []):
        for attribute, test in part.items():
            ((code, value),) = test.items()
            if code == "$exists":
                rows.append((attribute, "is known" if value else "is not known", ""))
            elif isinstance(value, list):
                rows.append((attribute, words[code], ", ".join(_said(item) for item in value)))
            else:
                rows.append((attribute, words[code], _said(value)))
    return rows


def _said(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
