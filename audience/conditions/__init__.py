"""Conditions on attributes, in the language of GrowthBook: JSON after the manner of MongoDB."""

from audience.conditions.grammar import check
from audience.conditions.meaning import matches
from audience.conditions.wording import describe

__all__ = ["check", "describe", "matches"]
