"""Lets people write what a ranking wants as lines of plain words instead of JSON."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from recommender.line_fields import LinesField
from recommender.listing.lists import ATTRIBUTES
from recommender.models.rankings import Ranking


class WeightsField(LinesField):
    """Events, and what each counts."""

    example = "Product Viewed: 1"

    def split(self, value: dict[str, float]) -> Iterable[tuple[str, float]]:
        """Return events and what they count."""
        return value.items()

    def join(self, lines: list[tuple[str, float]]) -> dict[str, float]:
        """Return what each event counts.

        Raises:
            ValidationError: One is named twice.
        """
        weights = dict(lines)
        if len(weights) < len(lines):
            raise ValidationError("An event is named twice.")
        return weights


class BoostsField(LinesField):
    """Attributes of products with a value, and by what their scores are multiplied."""

    example = "brand Acme: 2"

    def split(self, value: list[dict[str, Any]]) -> Iterable[tuple[str, float]]:
        """Return attributes with their value, and factors."""
        return ((f"{one['attribute']} {one['value']}", one["factor"]) for one in value)

    def join(self, lines: list[tuple[str, float]]) -> list[dict[str, Any]]:
        """Return boosts as JSON.

        Raises:
            ValidationError: A line begins with no attribute, or names no value of it.
        """
        boosts = []
        for words, factor in lines:
            attribute, _, named = words.partition(" ")
            if attribute not in ATTRIBUTES or not named.strip():
                raise ValidationError(
                    f"“{words}” does not begin with {', '.join(ATTRIBUTES[:-1])} or "
                    f"{ATTRIBUTES[-1]} and its value. Write it as in “{self.example}”."
                )
            boosts.append({"attribute": attribute, "value": named.strip(), "factor": factor})
        return boosts


class RankingForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A ranking's settings."""

    event_weights = WeightsField(
        help_text="What each event counts, one on a line. Events name their product as product_id "
        "or sku.",
    )
    boosts = BoostsField(
        required=False,
        help_text="Products of a category, brand or variant have their score multiplied, one on a "
        "line: “brand Acme: 2”. By 2 the last of a list comes up to its best, by 0 it comes last.",
    )

    class Meta:
        model = Ranking
        fields = ["event_weights", "boosts"]  # the admin says which others
