"""Lets people write what is known of an offer as lines of names with numbers or words."""

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextareaWidget

from campaigns.models import Offer
from recommender.offer_facts import Fact, check_facts

EXAMPLE = "discount: 20"
NUMBER = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*%?")


class FactsField(forms.Field):
    """Facts, each on a line as `name: number` or `name: words`; empty lines are left out."""

    def __init__(self, **options: Any) -> None:
        """Show a text area."""
        options.setdefault("widget", UnfoldAdminTextareaWidget(attrs={"rows": 4}))
        super().__init__(
            required=False,
            label=options.pop("label", "What is known of it"),
            help_text="What an offer is, one thing on a line: “discount: 20”, “kind: free "
            "shipping”. A new offer then starts from what offers that are alike have earned; cost "
            "and value are known already. Use the same names and words for all offers.",
            **options,
        )

    def prepare_value(self, value: Any) -> Any:
        """Write facts as lines, by name; what was not understood stays as it was written."""
        if isinstance(value, str) or value is None:
            return value
        return "\n".join(f"{name}: {_say(fact)}" for name, fact in sorted(value.items()))

    def to_python(self, value: Any) -> dict[str, Fact]:
        """Read the lines.

        Raises:
            ValidationError: One is not understood; the message names it.
        """
        lines = [line.strip() for line in (value or "").splitlines() if line.strip()]
        pairs = [_read(line) for line in lines]
        facts = dict(pairs)
        if len(facts) < len(pairs):
            raise ValidationError("A fact is said twice.")
        try:
            return check_facts(facts)
        except ValueError as error:
            raise ValidationError(str(error)) from error


class OfferForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """An offer, as the admin shows it."""

    facts = FactsField()

    class Meta:
        model = Offer
        fields = ["facts"]  # the admin says which others


def _read(line: str) -> tuple[str, Fact]:
    name, _, said = (part.strip() for part in line.partition(":"))
    if not name or not said:
        raise ValidationError(f"“{line}” is not understood. Write it as in “{EXAMPLE}”.")
    number = NUMBER.fullmatch(said)
    return name, said if number is None else float(number[1])


def _say(fact: Fact) -> str:
    return fact if isinstance(fact, str) else f"{fact:.12g}"
