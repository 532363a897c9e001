"""Say a ranking's rules, and the reasons of its lists, in words for a marketer."""

from collections.abc import Iterable, Iterator, Mapping

from recommender.listing.lists import Rules
from recommender.ranking.reasons import Reason


def say_rules(rules: Rules) -> list[str]:
    """Return what the rules do to every list, one sentence each; nothing where they do nothing."""
    return [f"{words}." for words in _say(rules)]


def _say(rules: Rules) -> Iterator[str]:
    if not rules.shows_sold_out:
        yield "What is not in stock is left out"
    if rules.bought_days:
        yield f"What somebody bought within {rules.bought_days} days is not shown to them"
    if rules.met_days:
        yield f"What somebody looked at within {rules.met_days} days is not shown to them"
    yield from _say_prices(rules.price_from, rules.price_to)
    for one in rules.boosts:
        yield f"The {one.attribute} “{one.value}” counts {one.factor:g} times"
    if rules.most_of_category is not None:
        yield f"Of each category there are {rules.most_of_category} at most"
    if rules.diversity:
        yield f"Lists are mixed: {rules.diversity:.0%} by how products differ, the rest by score"


def _say_prices(low: float | None, high: float | None) -> Iterator[str]:
    if low is not None and high is not None:
        yield f"Prices are from {low:g} to {high:g}"
    elif low is not None:
        yield f"Prices are {low:g} at least"
    elif high is not None:
        yield f"Prices are {high:g} at most"


def say_reasons(reasons: Iterable[Reason], names: Mapping[str, str]) -> list[str]:
    """Return what speaks for a product, or against it, with its part of all that does either.

    Args:
        reasons: The weightiest first.
        names: What products are called, by key.
    """
    return [f"{_say_reason(each, names)} {each.share:.0%}" for each in reasons]


def _say_reason(reason: Reason, names: Mapping[str, str]) -> str:
    if reason.kind == "met":
        return f"met {names.get(reason.name, reason.name)}"
    if reason.kind == "said":
        return f"“{reason.name}”"
    return "its price" if reason.kind == "price" else "the product itself"
