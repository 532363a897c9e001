"""Lets people write what is known of an offer as lines of names with numbers or words."""

import re
from collections.abc import Iterable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from campaigns.models import Offer
from recommender.line_fields import LinesField
from recommender.weighing.offer_facts import Fact, check_facts

NUMBER = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*%?")


class FactsField(LinesField):
    """Facts, each on a line as `name: number` or `name: words`."""

    example = "discount: 20"

    def __init__(self, **options: Any) -> None:
        """Say what facts are for."""
        super().__init__(
            required=False,
            label=options.pop("label", "What is known of it"),
            help_text="What an offer is, one thing on a line: “discount: 20”, “kind: free "
            "shipping”. A new offer then starts from what offers that are alike have earned; cost "
            "and value are known already. Use the same names and words for all offers.",
            **options,
        )

    def split(self, value: dict[str, Fact]) -> Iterable[tuple[str, Fact]]:
        """Return facts by name."""
        return sorted(value.items())

    def join(self, lines: list[tuple[str, Fact]]) -> dict[str, Fact]:
        """Return what is said.

        Raises:
            ValidationError: A fact is said twice, or is none.
        """
        facts = dict(lines)
        if len(facts) < len(lines):
            raise ValidationError("A fact is said twice.")
        try:
            return check_facts(facts)
        except ValueError as error:
            raise ValidationError(str(error)) from error

    def read(self, line: str) -> tuple[str, Fact] | None:
        """Return a fact's name, and the number or the words after it."""
        name, _, said = (part.strip() for part in line.partition(":"))
        if not name or not said:
            return None
        number = NUMBER.fullmatch(said)
        return name, said if number is None else float(number[1])


class OfferForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """An offer, as the admin shows it."""

    facts = FactsField()

    class Meta:
        model = Offer
        fields = ["facts"]  # the admin says which others
