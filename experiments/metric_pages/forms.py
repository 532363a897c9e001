"""Forms that define a metric without JSON: one for each type."""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from django import forms
from django.core.exceptions import ValidationError

from audience.naming import free_key, has_letters, to_stem
from experiments.metrics import METRICS
from experiments.metrics.base import read_params
from experiments.models import Metric


class MetricForm(forms.Form):
    """Name and direction of a metric; each type adds what it needs and writes its parameters."""

    kind: ClassVar[str]
    explanation: ClassVar[str]

    name = forms.CharField(
        max_length=100, help_text="What it measures, as a noun: conversion, spend, visits."
    )
    higher_is_better = forms.TypedChoiceField(
        label="Good is",
        coerce=lambda value: value == "yes",
        choices=[("yes", "more of it"), ("no", "less of it")],
        initial="yes",
    )

    def __init__(self, data: Mapping[str, Any] | None = None) -> None:
        """Put what is common first and the direction last."""
        super().__init__(data)
        own = [name for name in self.fields if name not in ("name", "higher_is_better")]
        self.order_fields(["name", *own, "higher_is_better"])
        for name in ("event", "less", "numerator", "denominator"):
            if name in self.fields:
                self.fields[name].widget.attrs |= {"list": "events", "autocomplete": "off"}

    def to_params(self, cleaned: Mapping[str, Any]) -> dict[str, Any]:
        """Return the type's parameters."""
        raise NotImplementedError

    def clean(self) -> dict[str, Any]:
        """Check the parameters by the type's own rules, and the name."""
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        params = without_empty(self.to_params(cleaned))
        try:
            read_params(METRICS[self.kind], params)
        except msgspec.ValidationError as error:
            raise ValidationError(f"{error}.") from error
        if not has_letters(cleaned["name"]):
            self.add_error("name", "Use at least one letter or digit.")
        cleaned["params"] = params
        return cleaned

    def save(self) -> Metric:
        """Make the metric; its key follows from its name."""
        cleaned = self.cleaned_data
        return Metric.objects.create(
            key=free_key(to_stem(cleaned["name"], otherwise="metric"), Metric),
            name=cleaned["name"],
            kind=self.kind,
            params=cleaned["params"],
            higher_is_better=cleaned["higher_is_better"],
        )


def event_field(label: str = "Event", *, required: bool = True, **options: Any) -> forms.CharField:
    """Ask for the name of an event."""
    return forms.CharField(max_length=255, label=label, required=required, **options)


def window_field() -> forms.FloatField:
    """Ask how long after exposure events count."""
    return forms.FloatField(
        required=False,
        min_value=0.01,
        max_value=3660,
        label="Days after exposure in which it counts",
        help_text="Empty is until the analysis.",
    )


def currency_field() -> forms.RegexField:
    """Ask for a currency."""
    return forms.RegexField(
        r"^[A-Z]{3}\Z",
        required=False,
        label="Currency",
        help_text="EUR, USD, …: if it is money.",
        max_length=3,
    )


def only_in_currency_field() -> forms.BooleanField:
    """Ask whether what is in another currency is left out."""
    return forms.BooleanField(
        required=False,
        label="Count only events that say this currency",
        help_text="Those in another currency, and those that say none, are left out.",
    )


class ConversionForm(MetricForm):
    """Who did something at least once."""

    kind = "conversion"
    explanation = "The share of customers who did something at least once."
    event = event_field(help_text="The event that counts as done.")
    less = event_field("Taken back by the event", required=False)
    window_days = window_field()

    def to_params(self, cleaned: Mapping[str, Any]) -> dict[str, Any]:
        """Return the type's parameters."""
        return {name: cleaned.get(name) for name in ("event", "less", "window_days")}


class MeanForm(MetricForm):
    """How much or how often, per customer."""

    kind = "mean"
    explanation = "How much, or how often, per customer; customers with nothing count as 0."
    event = event_field()
    of = forms.ChoiceField(
        label="What is added up",
        choices=[("value", "the events' values"), ("count", "the number of events")],
    )
    less = event_field("Less those of the event, such as refunds", required=False)
    window_days = window_field()
    cap_percentile = forms.FloatField(
        required=False,
        min_value=50,
        max_value=99.99,
        label="Cap at the percentile",
        help_text="99 takes the few largest customers down to the 99th percentile, and noise out.",
    )
    currency = currency_field()
    only_in_currency = only_in_currency_field()

    def to_params(self, cleaned: Mapping[str, Any]) -> dict[str, Any]:
        """Return the type's parameters."""
        cap = cleaned.get("cap_percentile")
        names = ("event", "of", "less", "window_days", "currency", "only_in_currency")
        return {name: cleaned.get(name) for name in names} | {"cap": cap and {"percentile": cap}}


class RatioForm(MetricForm):
    """One total over another."""

    kind = "ratio"
    explanation = "One total over another, such as revenue per order or clicks per view."
    numerator = event_field("Event above")
    numerator_of = forms.ChoiceField(
        label="What is added up above",
        choices=[("count", "the number of events"), ("value", "the events' values")],
    )
    denominator = event_field("Event below")
    denominator_of = forms.ChoiceField(
        label="What is added up below",
        choices=[("count", "the number of events"), ("value", "the events' values")],
    )
    window_days = window_field()
    is_share = forms.BooleanField(required=False, label="It is a percentage")
    currency = currency_field()
    only_in_currency = only_in_currency_field()

    def to_params(self, cleaned: Mapping[str, Any]) -> dict[str, Any]:
        """Return the type's parameters."""
        return {
            "numerator": {"event": cleaned["numerator"], "of": cleaned["numerator_of"]},
            "denominator": {"event": cleaned["denominator"], "of": cleaned["denominator_of"]},
            "window_days": cleaned.get("window_days"),
            "is_share": cleaned.get("is_share"),
            "currency": cleaned.get("currency"),
            "only_in_currency": cleaned.get("only_in_currency"),
        }


class QuantileForm(MetricForm):
    """A quantile of values."""

    kind = "quantile"
    explanation = "A percentile of values, such as the median order or the slowest tenth of pages."
    event = event_field()
    percentile = forms.FloatField(min_value=1, max_value=99, initial=50)
    over = forms.ChoiceField(
        label="Of what",
        choices=[("events", "single events' values"), ("customers", "customers' totals")],
    )
    window_days = window_field()
    currency = currency_field()
    only_in_currency = only_in_currency_field()

    def to_params(self, cleaned: Mapping[str, Any]) -> dict[str, Any]:
        """Return the type's parameters."""
        names = ("event", "percentile", "over", "window_days", "currency", "only_in_currency")
        return {name: cleaned.get(name) for name in names}


class RetentionForm(MetricForm):
    """Who did something in a span of days."""

    kind = "retention"
    explanation = "The share of customers who did something from one day after exposure to another."
    event = event_field()
    from_day = forms.FloatField(min_value=0, max_value=3660, initial=7)
    to_day = forms.FloatField(min_value=0.01, max_value=3660, initial=14)

    def to_params(self, cleaned: Mapping[str, Any]) -> dict[str, Any]:
        """Return the type's parameters."""
        return {name: cleaned.get(name) for name in ("event", "from_day", "to_day")}


class FunnelForm(MetricForm):
    """Who went through steps in their order."""

    kind = "funnel"
    explanation = "The share of customers who went through steps, each after the one before."
    steps = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="The events, one on each line, in their order.",
    )
    window_days = window_field()

    def to_params(self, cleaned: Mapping[str, Any]) -> dict[str, Any]:
        """Return the type's parameters."""
        lines = [line.strip() for line in cleaned["steps"].splitlines()]
        steps = [{"event": line} for line in lines if line]
        return {"steps": steps, "window_days": cleaned.get("window_days")}


METRIC_FORMS: dict[str, type[MetricForm]] = {
    form.kind: form
    for form in (ConversionForm, MeanForm, RatioForm, QuantileForm, RetentionForm, FunnelForm)
}


def without_empty(params: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what was left empty, so that the types' defaults hold."""
    # A zero is no empty answer, though Python takes it for False.
    return {n: v for n, v in params.items() if v is not None and v is not False and v != ""}
