"""The rows of the builder: a form for each kind of condition."""

import csv
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

from django import forms

from audience.rules.draft import Row
from audience.rules.grammar import NoRule, parse_rule
from audience.rules.values import KINDS
from audience.typed import to_number, to_scalar

TESTS = [(kind, each.says.removesuffix(" {}").format("…")) for kind, each in KINDS.items()]
WINDOWS = [("ever", "ever"), ("days", "in the last"), ("dates", "between dates")]
TIMES = [(word, word) for word in ("at least", "at most", "exactly")]
AND = re.compile(r"\s*(?:,|;|–|\band\b|\bto\b)\s*")
LONGEST = 4_000

Given = dict[str, Any]


class Choices(Protocol):
    """What rows need to know of the data."""

    @property
    def audiences(self) -> Mapping[str, str]:
        """The names of other audiences, by their keys."""
        ...

    def is_text(self, path: str) -> bool:
        """Say whether an attribute is always a text."""
        ...

    def is_text_property(self, path: str) -> bool:
        """Say whether a property is always a text."""
        ...


def _name(label: str, listed: str, *, required: bool = True) -> forms.CharField:
    widget = forms.TextInput(attrs={"list": listed, "autocomplete": "off", "size": 18})
    return forms.CharField(max_length=255, label=label, widget=widget, required=required)


def _text(label: str) -> forms.CharField:
    widget = forms.TextInput(attrs={"autocomplete": "off", "size": 16})
    return forms.CharField(
        required=False, max_length=LONGEST, label=label, widget=widget, strip=True
    )


def _days(label: str, *, required: bool) -> forms.IntegerField:
    widget = forms.NumberInput(attrs={"class": "short"})
    return forms.IntegerField(required=required, min_value=1, label=label, widget=widget)


def _date(label: str) -> forms.DateField:
    return forms.DateField(
        required=False, label=label, widget=forms.DateInput(attrs={"type": "date"})
    )


class RowForm(forms.Form):
    """A condition; what all kinds have in common.

    Attributes:
        kind: Its name in the page.
        title: What it is about, on the button that adds one.
        sentence: The fields that make the sentence.
    """

    kind = ""
    title = ""
    sentence: tuple[str, ...] = ()

    negated = forms.BooleanField(required=False, label="not")

    def __init__(self, data: Mapping[str, Any], *, prefix: str, choices: Choices) -> None:
        """Take what was typed so far."""
        super().__init__(data, prefix=prefix, use_required_attribute=False)
        self.choices = choices
        self.row: Row | None = None

    def clean(self) -> dict[str, Any]:
        """Read the row as a rule."""
        cleaned = super().clean() or {}
        if not self.errors:
            try:
                self.row = Row(parse_rule(self.write(cleaned)), negated=cleaned["negated"])
            except NoRule as error:
                self.add_error(None, _after_place(str(error)))
        return cleaned

    def write(self, cleaned: Mapping[str, Any]) -> Given:
        """Write the condition as the grammar reads it."""
        raise NotImplementedError

    @property
    def parts(self) -> list[forms.BoundField]:
        """The fields that make the sentence."""
        return [self[name] for name in self.sentence]


class AttributeRow(RowForm):
    """What is known of them."""

    kind = "attribute"
    title = "What is known of them"
    sentence = ("name", "test", "value")

    name = _name("Attribute", "attributes")
    test = forms.ChoiceField(choices=TESTS, label="Comparison")
    value = _text("Value")

    def write(self, cleaned: Mapping[str, Any]) -> Given:
        """Write an attribute and its test."""
        is_text = partial(self.choices.is_text, cleaned["name"])
        return {"attribute": cleaned["name"], **_test(cleaned, "", is_text=is_text)}


class _EventsRow(RowForm):
    """Events of a name, perhaps with one property."""

    name = _name("Event", "events")
    detail = _name("Property", "properties", required=False)
    detail_test = forms.ChoiceField(
        choices=TESTS, required=False, label="Comparison of the property"
    )
    detail_value = _text("Value of the property")

    @property
    def extras(self) -> list[forms.BoundField]:
        """The fields of the property that events may need."""
        return [self[name] for name in ("detail", "detail_test", "detail_value")]

    def write_events(self, key: str, cleaned: Mapping[str, Any]) -> Given:
        """Write which events the row is about."""
        given: Given = {key: cleaned["name"]}
        if cleaned.get("detail"):
            is_text = partial(self.choices.is_text_property, cleaned["detail"])
            test = _test(cleaned, "detail_", is_text=is_text)
            given["where"] = [{"property": cleaned["detail"], **test}]
        return given


class _WindowRow(_EventsRow):
    """Events in a window."""

    window = forms.ChoiceField(choices=WINDOWS, label="When")
    days = _days("Days", required=False)
    since = _date("From")
    until = _date("Until")

    def write_events(self, key: str, cleaned: Mapping[str, Any]) -> Given:
        """Write which events the row is about, and when they count."""
        given = super().write_events(key, cleaned)
        if cleaned["window"] == "days":
            given["days"] = cleaned["days"] or 0
        elif cleaned["window"] == "dates":
            for part, name in (("from", "since"), ("until", "until")):
                if cleaned[name]:
                    given[part] = cleaned[name].isoformat()
        return given


class EventRow(_WindowRow):
    """What they did, and how often."""

    kind = "event"
    title = "What they did"
    sentence = ("name", "order", "times", "window", "days", "since", "until")

    order = forms.ChoiceField(choices=TIMES, label="How often")
    times = forms.IntegerField(
        min_value=0, label="Times", widget=forms.NumberInput(attrs={"class": "short"})
    )

    def write(self, cleaned: Mapping[str, Any]) -> Given:
        """Write how often events happened."""
        times, order = cleaned["times"], cleaned["order"]
        bounds = {} if order == "at most" else {"at_least": times}
        bounds |= {} if order == "at least" else {"at_most": times}
        return self.write_events("event", cleaned) | bounds


class LastRow(_EventsRow):
    """When they last did something."""

    kind = "last"
    title = "When they last did it"
    sentence = ("name", "order", "days")

    order = forms.ChoiceField(
        choices=[
            ("within_days", "last time within"),
            ("before_days", "last time longer ago than"),
        ],
        label="How long ago",
    )
    days = _days("Days", required=True)

    def write(self, cleaned: Mapping[str, Any]) -> Given:
        """Write how long ago the last event was."""
        return self.write_events("last", cleaned) | {cleaned["order"]: cleaned["days"]}


class TotalRow(_WindowRow):
    """What the events were worth."""

    kind = "total"
    title = "What it was worth"
    sentence = ("name", "order", "amount", "window", "days", "since", "until")

    order = forms.ChoiceField(
        choices=[
            ("at_least", "worth at least"),
            ("at_most", "worth at most"),
        ],
        label="How much",
    )
    amount = forms.DecimalField(
        decimal_places=2, label="Amount", widget=forms.NumberInput(attrs={"class": "amount"})
    )

    def write(self, cleaned: Mapping[str, Any]) -> Given:
        """Write what events come to."""
        return self.write_events("total", cleaned) | {cleaned["order"]: float(cleaned["amount"])}


class AudienceRow(RowForm):
    """To which other audience they belong."""

    kind = "audience"
    title = "Another audience or list"
    sentence = ("audience",)

    audience = forms.ChoiceField(label="Audience")

    def __init__(self, data: Mapping[str, Any], *, prefix: str, choices: Choices) -> None:
        """Offer what there is."""
        super().__init__(data, prefix=prefix, choices=choices)
        offered = self.fields["audience"]
        assert isinstance(offered, forms.ChoiceField), "it is declared above"
        offered.choices = [("", "choose one"), *choices.audiences.items()]

    def write(self, cleaned: Mapping[str, Any]) -> Given:
        """Write the audience."""
        return {"audience": cleaned["audience"]}


ROWS: Mapping[str, type[RowForm]] = {
    row.kind: row for row in (AttributeRow, EventRow, LastRow, TotalRow, AudienceRow)
}


def _test(cleaned: Mapping[str, Any], prefix: str, *, is_text: Callable[[], bool]) -> Given:
    """Read what a value is compared with, as its test takes it."""
    kind, text = cleaned[f"{prefix}test"] or "equal", cleaned[f"{prefix}value"]
    if kind == "known":
        return {"is": kind}
    return {"is": kind, "value": _READ.get(kind, _read_scalar)(text, is_text)}


def _read_scalar(text: str, is_text: Callable[[], bool]) -> Any:
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1]
    value = to_scalar(text)
    # Only where it matters is the data looked at.
    return value if isinstance(value, str) or not is_text() else text


def _read_list(text: str, is_text: Callable[[], bool]) -> Any:
    parts = [part.strip() for part in next(csv.reader([text], skipinitialspace=True), [])]
    return [_read_scalar(part, is_text) for part in parts if part]


def _read_text(text: str, _: Callable[[], bool]) -> Any:
    return text


def _read_number(text: str, _: Callable[[], bool]) -> Any:
    return to_number(text)


def _read_range(text: str, _: Callable[[], bool]) -> Any:
    return [to_number(part) for part in AND.split(text.strip())]


_READ: Mapping[str, Callable[[str, Callable[[], bool]], Any]] = {
    "one of": _read_list,
    "contain": _read_text,
    "after": _read_text,
    "until": _read_text,
    "between": _read_range,
    **dict.fromkeys(("at least", "at most", "more than", "less than"), _read_number),
    **dict.fromkeys(("in last days", "in next days", "days ago"), _read_number),
}


def _after_place(message: str) -> str:
    """Leave out where in the rule something is wrong: on the page it stands beside it."""
    text = message.rpartition(": ")[2].removeprefix("The rule, ")
    return text[:1].upper() + text[1:]
