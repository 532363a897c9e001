"""Say a ranking's rules as sentences for a marketer."""

from collections.abc import Iterator

from recommender.lists import Rules


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
