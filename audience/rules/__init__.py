"""Rules that say who belongs to an audience: by what is known of people and what they did."""

from audience.rules.evaluation import Happening, Person, holds
from audience.rules.grammar import Rule, parse_rule, to_json

__all__ = ["Happening", "Person", "Rule", "holds", "parse_rule", "to_json"]
