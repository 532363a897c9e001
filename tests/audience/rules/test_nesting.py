"""Audiences stand in for one another, and never for themselves."""

from collections.abc import Mapping
from typing import Any

import pytest

from audience.rules import Person, holds
from audience.rules.grammar import All, In, Known, Listed, NoRule, Not, Rule, Some, parse_rule
from audience.rules.nesting import find_names, inline
from audience.rules.sql import holds_for
from tests.makers import NOW

DE = parse_rule({"attribute": "country", "is": "equal", "value": "DE"})


def test_other_audiences_are_put_in_their_place() -> None:
    others: Mapping[str, Rule] = {"germans": Not(In("de")), "de": DE, "vips": Listed(7)}
    rule = All((In("germans"), Some((In("vips"), DE))))
    assert inline(rule, others.get) == All((Not(DE), Some((Listed(7), DE))))


def test_the_same_audience_may_be_named_twice() -> None:
    assert inline(Some((In("de"), In("de"))), {"de": DE}.get) == Some((DE, DE))


def test_an_audience_of_itself_is_refused() -> None:
    others: Mapping[str, Rule] = {"a": In("b"), "b": Not(In("a"))}
    with pytest.raises(NoRule, match="The audience a would be defined by itself"):
        inline(In("a"), others.get)
    with pytest.raises(NoRule, match="The audience c would be defined by itself"):
        inline(In("c"), {"c": DE}.get, own_key="c")


def test_an_audience_that_is_not_there_is_named() -> None:
    with pytest.raises(NoRule, match="There is no audience gone"):
        inline(In("gone"), {"a": DE}.get)


def test_audiences_cannot_grow_a_rule_without_end() -> None:
    others: dict[str, Rule] = {"0": DE}
    for n in range(1, 12):
        others[str(n)] = Some((In(str(n - 1)),) * 4)
    with pytest.raises(NoRule, match="too large"):
        inline(In("11"), others.get)


def test_the_names_in_a_rule_are_found() -> None:
    assert list(find_names(All((In("a"), Not(Some((In("b"), DE))))))) == ["a", "b"]


def test_a_name_that_is_left_is_an_error() -> None:
    with pytest.raises(ValueError, match="not put in its place"):
        holds(In("a"), Person(), now=NOW)
    with pytest.raises(ValueError, match="not put in its place"):
        holds_for(In("a"))


def test_known_is_what_it_says() -> None:
    given: dict[str, Any] = {"attribute": "address.city", "is": "known"}
    rule = parse_rule(given)
    assert isinstance(rule, Known)
    assert holds(rule, Person({"address": {"city": "Köln"}}), now=NOW)
    assert not holds(rule, Person({"address": {"city": None}}), now=NOW)
    assert not holds(rule, Person({"address": ["city"]}), now=NOW)
