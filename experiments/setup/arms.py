"""The second step: the arms, their shares, and what each of them gives to a client."""

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.text import slugify

from experiments.assigning.assignment import BUCKETS
from experiments.models import Arm, Experiment
from experiments.setup.base import Step

LEAST_ARMS, MOST_ARMS = 2, 10
MOST_VARIABLES = 20


class ArmsStep(Step):
    """A table: a column for every arm, a row for every value that a client reads."""

    title = "Arms"
    explanation = (
        "Customers are divided between these. A client asks for the arm and reads its values."
    )
    template = "experiments/setup/arms.html"

    def __init__(self, experiment: Experiment, data: Mapping[str, Any] | None = None) -> None:
        """Have as many columns and rows as are there, or were asked for."""
        super().__init__(experiment, data)
        self.arms = self.count_of("arm", at_least=LEAST_ARMS, at_most=MOST_ARMS)
        self.variables = self.count_of("variable", at_least=1, at_most=MOST_VARIABLES)
        self.fields["control"] = forms.TypedChoiceField(
            coerce=int, choices=[(i, f"Arm {i + 1}") for i in range(self.arms)], initial=0
        )
        for i in range(self.arms):
            self.fields[f"arm_{i}_key"] = forms.CharField(
                required=False, max_length=40, widget=forms.HiddenInput
            )
            # An arm without a name is left out.
            self.fields[f"arm_{i}_name"] = forms.CharField(
                required=i < LEAST_ARMS, max_length=100, label=f"Name of arm {i + 1}"
            )
            self.fields[f"arm_{i}_share"] = forms.DecimalField(
                required=i < LEAST_ARMS,
                min_value=0,
                max_value=100,
                decimal_places=2,
                label=f"Share of arm {i + 1} in per cent",
            )
        for j in range(self.variables):
            self.fields[f"variable_{j}_name"] = forms.RegexField(
                r"^[^\s\"\\]{1,60}\Z", required=False, label=f"Name of value {j + 1}"
            )
            for i in range(self.arms):
                self.fields[f"variable_{j}_{i}"] = forms.CharField(
                    required=False, max_length=10_000, label=f"Value {j + 1} in arm {i + 1}"
                )

    @classmethod
    def read(cls, experiment: Experiment) -> dict[str, Any]:
        """Return what the draft says."""
        arms = list(experiment.arms.all())
        names = list(dict.fromkeys(name for arm in arms for name in arm.named_values))
        found: dict[str, Any] = {"arm_count": len(arms), "variable_count": len(names)}
        for i, arm in enumerate(arms):
            found |= {
                f"arm_{i}_key": arm.key,
                f"arm_{i}_name": arm.name,
                f"arm_{i}_share": f"{arm.weight * 100 / BUCKETS:g}",
            }
            if arm.is_control:
                found["control"] = i
            for j, name in enumerate(names):
                if name in arm.named_values:
                    found[f"variable_{j}_{i}"] = write_value(arm.named_values[name])
        return found | {f"variable_{j}_name": name for j, name in enumerate(names)}

    def clean(self) -> dict[str, Any]:
        """Refuse shares that are not all, a control that is left out, and a value named twice."""
        cleaned = super().clean() or {}
        named = [i for i in range(self.arms) if cleaned.get(f"arm_{i}_name")]
        shares = [cleaned.get(f"arm_{i}_share") or 0 for i in named]
        if not self.errors and sum(shares) != 100:
            self.add_error(None, f"The shares add up to {sum(shares):g}%, and not to 100%.")
        control = cleaned.get("control")
        if not self.errors and (control not in named or not shares[named.index(control)]):
            self.add_error("control", "The control needs a name and a share.")
        names = [cleaned.get(f"variable_{j}_name") for j in range(self.variables)]
        for j, name in enumerate(names):
            if name and name in names[:j]:
                self.add_error(f"variable_{j}_name", f"{name} is there already.")
            has_value = any(cleaned.get(f"variable_{j}_{i}") for i in named)
            if has_value and not name and not self.has_error(f"variable_{j}_name"):
                self.add_error(f"variable_{j}_name", "Name this value.")
            for i in named:
                try:
                    read_value(cleaned.get(f"variable_{j}_{i}") or "")
                except ValueError as error:
                    self.add_error(f"variable_{j}_{i}", str(error))
        return cleaned

    def write(self) -> None:
        """Save the arms by their keys, so that what requires one of them stays."""
        cleaned, experiment = self.cleaned_data, self.experiment
        named = [i for i in range(self.arms) if cleaned[f"arm_{i}_name"]]
        with transaction.atomic():
            known = {arm.key: arm for arm in experiment.arms.all()}
            # Only one arm can be the control at any time.
            experiment.arms.update(is_control=False)
            kept: set[str] = set()
            for position, i in enumerate(named):
                key = cleaned[f"arm_{i}_key"]
                arm = known.get(key) or Arm(
                    experiment=experiment, key=_free(cleaned[f"arm_{i}_name"], {*known, *kept})
                )
                arm.name = cleaned[f"arm_{i}_name"]
                arm.weight = int(cleaned[f"arm_{i}_share"] * BUCKETS / 100)
                values = self._payload(i)
                # A plain value, which only code gives an arm, has no place in the form and stays.
                if values or isinstance(arm.payload, dict):
                    arm.payload = values
                arm.is_control = cleaned["control"] == i
                arm.position = position
                arm.save()
                kept.add(arm.key)
            for key, arm in known.items():
                if key not in kept:
                    _remove(arm)

    def _payload(self, i: int) -> dict[str, Any]:
        cleaned = self.cleaned_data
        return {
            name: read_value(raw)
            for j in range(self.variables)
            if (name := cleaned[f"variable_{j}_name"]) and (raw := cleaned[f"variable_{j}_{i}"])
        }


def read_value(raw: str) -> Any:
    """Read what people type: a number, true or false, a document in brackets, or else a text.

    Raises:
        ValueError: It begins like a document or a quoted text, and is none.
    """
    if raw[:1] in ("{", "[", '"'):
        try:
            value = json.loads(raw, parse_constant=_refuse)
        except ValueError as error:
            raise ValueError(f"This begins like JSON and is none: {error}.") from error
        if "\\u0000" in json.dumps(value):
            raise ValueError("Texts must not hold the character zero.")
        return value
    if raw in ("true", "false"):
        return raw == "true"
    try:
        number = json.loads(raw, parse_constant=_refuse) if raw[:1] in "-0123456789" else None
    except ValueError:
        return raw
    return raw if number is None else number


def write_value(value: Any) -> str:
    """Write a value so that `read_value` gives it back."""
    if isinstance(value, str) and read_or_none(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False)


def read_or_none(raw: str) -> Any:
    """Read a value; None where it cannot be."""
    try:
        return read_value(raw)
    except ValueError:
        return None


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _free(name: str, taken: set[str]) -> str:
    stem = slugify(name)[:36] or "arm"
    return next(
        key
        for key in (stem, *(f"{stem}-{n}" for n in range(2, MOST_ARMS + 99)))
        if key not in taken
    )


def _remove(arm: Arm) -> None:
    required_by = arm.required_by.select_related("experiment").first()
    if required_by is not None:
        raise ValidationError(f"{required_by.experiment} requires the arm {arm}.")
    arm.delete()
